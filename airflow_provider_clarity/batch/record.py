"""The task record: all that is known of the purchases of one identity, as it is stored in the bucket.

Invariants: attempts are counted from 1 without a gap and only grow; a new one begins only when the last has an outcome;
an outcome, once written, stays; every change names the attempt it is about, so that what was seen of one is never
written down for another. The record holds no key, no presigned URL and no picture. ``v`` is its version: a
fixture of each released version loads for ever, and what a newer version added is carried through unread.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_provider_clarity.exceptions import Kind

VERSION = 1

AttemptOutcome = Literal["delivered", "recovered", "superseded", "undelivered", "failed", "lost"]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Failure(_Stored):
    """Why an attempt or a round ended badly."""

    kind: Kind
    message: str
    code: str | None = None
    retryable: bool = False


class Attempt(_Stored):
    """One purchase, from the intent to its outcome. Times are epoch seconds, money is integer micro-dollars.

    :param n: counted from 1
    :param staging: where the service uploads to
    :param run_key: who recorded the intent first
    :param place: the run key and the map index: the cost is theirs
    :param round: the round of that run key
    :param seen: generation at the final name when the purchase was decided; 0 for nothing
    :param submit_timeout: seconds after which a POST of this attempt cannot be on its way any more
    :param sent_at: of the first POST; written before it leaves
    :param last_sent_at: of the last POST
    :param acknowledged_at: when the service was first seen to know the task
    :param endpoint_expires_at: until when the service can upload; None where it is not to: the picture is fetched
    :param kept: where an undelivered picture is kept
    :param adopted: the service knew the task before our first POST: somebody else pays it
    """

    n: int = Field(ge=1)
    task_uuid: UUID
    staging: str
    run_key: str
    place: str = ""
    round: int = 0
    seen: int | None = None
    submit_timeout: float
    sent_at: float | None = None
    last_sent_at: float | None = None
    acknowledged_at: float | None = None
    endpoint_expires_at: float | None = None
    outcome: AttemptOutcome | None = None
    ended_at: float | None = None
    failure: Failure | None = None
    cost_microusd: int | None = None
    kept: str | None = None
    adopted: bool = False

    @property
    def turned_away(self) -> bool:
        """Whether it failed at a POST, which says nothing of another run's POST of it: that one may have been taken."""
        return self.outcome == "failed" and self.acknowledged_at is None


class RunEnd(_Stored):
    """How a round of a run key ended; what a later try of it repeats.

    :param round: its number, from 0
    :param max_tries: Airflow's ``ti.max_tries`` at the end: only a clear raises it
    :param run_started: when Airflow began the DAG run, epoch seconds; None where it is not known
    """

    round: int
    max_tries: int
    outcome: str
    ended_at: float
    failure: Failure | None = None
    result: dict[str, Any] | None = None
    run_started: float | None = None


class TaskRecord(_Stored):
    """All purchases of one identity.

    :param owner: who may POST
    :param owner_since: when it became the owner, epoch seconds
    :param pixels: width and height of the source, EXIF orientation applied
    """

    v: int = VERSION
    identity: str
    content_key: str
    source: str
    source_generation: int | None = None
    pixels: tuple[int, int] | None = None
    destination: str
    parameters: dict[str, Any]
    owner: str
    owner_since: float
    attempts: tuple[Attempt, ...] = ()
    runs: dict[str, RunEnd] = Field(default_factory=dict)

    @field_validator("attempts")
    @classmethod
    def _without_a_gap(cls, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
        if [attempt.n for attempt in attempts] != list(range(1, len(attempts) + 1)):
            raise ValueError("attempts are counted from 1 without a gap")
        return attempts

    @property
    def last(self) -> Attempt | None:
        """The attempt that counts."""
        return self.attempts[-1] if self.attempts else None

    def begun(self, attempt: Attempt) -> TaskRecord:
        """Return the record with one more attempt. ValueError where the last one is still open."""
        last = self.last
        if attempt.n != (last.n if last else 0) + 1:
            raise ValueError(f"attempt {attempt.n} cannot follow attempt {last.n if last else 0}")
        if last is not None and last.outcome is None:
            raise ValueError(f"attempt {last.n} is still open: buying again might pay twice")
        return self.model_copy(update={"attempts": (*self.attempts, attempt)})

    def owned(self, owner: str, now: float) -> TaskRecord:
        """Return the record with this owner."""
        return self if self.owner == owner else self.model_copy(update={"owner": owner, "owner_since": now})

    def attempt(self, n: int) -> Attempt:
        """Return attempt ``n``. ValueError where there is none."""
        if not 1 <= n <= len(self.attempts):
            raise ValueError(f"the record has no attempt {n}")
        return self.attempts[n - 1]

    def sent_again(self, n: int, now: float, *, submit_timeout: float, endpoint_expires_at: float | None) -> TaskRecord:
        """Return the record with one more POST of attempt ``n``. ValueError where it has ended."""
        open_ = self._open(n)
        return self._with(
            n,
            sent_at=open_.sent_at if open_.sent_at is not None else now,
            last_sent_at=now,
            submit_timeout=submit_timeout,
            endpoint_expires_at=endpoint_expires_at,
        )

    def renewed(self, n: int, now: float) -> TaskRecord:
        """Return the record with the claim of attempt ``n`` of just now; its POST has not left yet."""
        open_ = self._open(n)
        only = open_.sent_at == open_.last_sent_at
        return self._with(n, last_sent_at=now, sent_at=now if only else open_.sent_at)

    def refused(self, n: int) -> TaskRecord:
        """Return the record without the POST of attempt ``n`` that was not accepted, if it was the only one."""
        attempt = self.attempt(n)
        if attempt.outcome is not None or attempt.acknowledged_at is not None:
            return self
        if attempt.sent_at != attempt.last_sent_at:
            return self
        return self._with(n, sent_at=None, last_sent_at=None)

    def acknowledged(self, n: int, now: float, *, adopted: bool = False) -> TaskRecord:
        """Return the record with attempt ``n`` known to the service.

        One that was turned away is open again by that, as long as no other has followed it.

        :param adopted: whether it knew the task before our first POST
        """
        known = self.attempt(n)
        if known.acknowledged_at is not None or (known.turned_away and n != len(self.attempts)):
            return self
        opened = {"outcome": None, "ended_at": None, "failure": None} if known.turned_away else {}
        return self._with(n, acknowledged_at=now, adopted=known.adopted or adopted, **opened)

    def ended(
        self,
        n: int,
        outcome: AttemptOutcome,
        now: float,
        *,
        acknowledged_at: float | None = None,
        failure: Failure | None = None,
        cost_microusd: int | None = None,
        kept: str | None = None,
    ) -> TaskRecord:
        """Return the record with the outcome of attempt ``n``, and of no other.

        An outcome stays, but for those that found a better end: a *lost* or *failed* attempt whose picture turned up
        later, and one that was delivered again because its output had gone. Whose POST was turned away ends nothing
        that the service has taken from another run: what became of that one counts. What ends and was never sent was
        bought by somebody else, under the same UUID.

        :param acknowledged_at: when the service was seen to know the task by whoever writes this; None for never
        """
        attempt = self.attempt(n)
        if outcome in ("failed", "lost"):
            turned_away = outcome == "failed" and acknowledged_at is None
            taken = attempt.acknowledged_at is not None and turned_away
            better = attempt.turned_away and acknowledged_at is not None
            if taken or (attempt.outcome is not None and not better):
                return self
        return self._with(
            n,
            acknowledged_at=attempt.acknowledged_at if attempt.acknowledged_at is not None else acknowledged_at,
            adopted=attempt.adopted or attempt.sent_at is None,
            outcome=outcome,
            ended_at=now,
            failure=failure,
            cost_microusd=attempt.cost_microusd if cost_microusd is None else cost_microusd,
            kept=kept,
        )

    def reopened(self, n: int) -> TaskRecord:
        """Return the record with a lost attempt open again: the service was seen to know it after all."""
        if self.attempt(n).outcome != "lost" or n != len(self.attempts):
            return self
        return self._with(n, outcome=None, ended_at=None, failure=None)

    def run_ended(self, run_key: str, end: RunEnd) -> TaskRecord:
        """Return the record with the end of a round of a run key."""
        return self.model_copy(update={"runs": {**self.runs, run_key: end}})

    def attempts_in(self, run_key: str, round_: int) -> int:
        """Count the purchases that a round of a run key has made."""
        return sum(1 for attempt in self.attempts if (attempt.run_key, attempt.round) == (run_key, round_))

    def _open(self, n: int) -> Attempt:
        attempt = self.attempt(n)
        if attempt.outcome is not None:
            raise ValueError(f"attempt {n} has ended: {attempt.outcome}")
        return attempt

    def _with(self, n: int, **changes: object) -> TaskRecord:
        changed = self.attempt(n).model_copy(update=changes)
        return self.model_copy(update={"attempts": (*self.attempts[: n - 1], changed, *self.attempts[n:])})


def may_take_over(record: TaskRecord, now: float, lease: float) -> float:
    """Say from when on somebody else may POST in the owner's place, as epoch seconds; infinity for never.

    Who has been acknowledged needs no second POST. Who has not may still have one on its way for a lease and a submit
    timeout. After an ended attempt the next one is free: the generation of the record decides who wins.

    :param now: epoch seconds
    :param lease: seconds
    """
    last = record.last
    if last is None or (last.outcome is None and last.last_sent_at is None):
        return record.owner_since + lease
    if last.outcome is not None:
        return now
    if last.acknowledged_at is not None or last.last_sent_at is None:
        return float("inf")
    return last.last_sent_at + lease + last.submit_timeout
