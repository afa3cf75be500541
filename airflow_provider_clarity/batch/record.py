"""The task record: all that is known of the purchases of one identity, as it is stored in the bucket.

Invariants: attempts are counted from 1 without a gap and only grow; a new one begins only when the last has an outcome;
an outcome, once written, stays. The record holds no key, no presigned URL and no picture. ``v`` is its version: a
fixture of each released version loads for ever, and what a newer version added is carried through unread.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

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
    :param run_key: who recorded the intent first: the cost is theirs
    :param round: the round of that run key
    :param submit_timeout: seconds after which a POST of this attempt cannot be on its way any more
    :param sent_at: of the first POST; written before it leaves
    :param last_sent_at: of the last POST
    :param acknowledged_at: when the service was first seen to know the task
    :param endpoint_expires_at: until when the service can upload; None where it is not to: the picture is fetched
    :param kept: where an undelivered picture is kept
    """

    n: int = Field(ge=1)
    task_uuid: UUID
    staging: str
    run_key: str
    round: int = 0
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


class RunEnd(_Stored):
    """How a round of a run key ended; what a later try of it repeats.

    :param round: its number, from 0
    :param max_tries: Airflow's ``ti.max_tries`` at the end: only a clear raises it
    """

    round: int
    max_tries: int
    outcome: str
    ended_at: float
    failure: Failure | None = None
    result: dict[str, Any] | None = None


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

    def sent_again(self, now: float, *, submit_timeout: float, endpoint_expires_at: float | None) -> TaskRecord:
        """Return the record with one more POST of the open attempt."""
        last = self._open()
        return self._with_last(
            sent_at=last.sent_at if last.sent_at is not None else now,
            last_sent_at=now,
            submit_timeout=submit_timeout,
            endpoint_expires_at=endpoint_expires_at,
        )

    def refused(self) -> TaskRecord:
        """Return the record without the POST that was certainly not accepted, if it was the only one."""
        last = self._open()
        if last.acknowledged_at is not None or last.sent_at != last.last_sent_at:
            return self
        return self._with_last(sent_at=None, last_sent_at=None)

    def acknowledged(self, now: float) -> TaskRecord:
        """Return the record with the last attempt known to the service."""
        last = self._last()
        return self if last.acknowledged_at is not None else self._with_last(acknowledged_at=now)

    def ended(
        self,
        outcome: AttemptOutcome,
        now: float,
        *,
        failure: Failure | None = None,
        cost_microusd: int | None = None,
        kept: str | None = None,
    ) -> TaskRecord:
        """Return the record with the outcome of the last attempt.

        An outcome stays, but for two that found a better end: a *lost* or *failed* attempt whose picture turned up
        later, and one that was delivered again because its output had gone.
        """
        last = self._last()
        if last.outcome is not None and outcome in ("failed", "lost"):
            return self
        return self._with_last(
            outcome=outcome,
            ended_at=now,
            failure=failure,
            cost_microusd=last.cost_microusd if cost_microusd is None else cost_microusd,
            kept=kept,
        )

    def reopened(self) -> TaskRecord:
        """Return the record with a lost attempt open again: the service was seen to know it after all."""
        last = self._last()
        return self._with_last(outcome=None, ended_at=None, failure=None) if last.outcome == "lost" else self

    def run_ended(self, run_key: str, end: RunEnd) -> TaskRecord:
        """Return the record with the end of a round of a run key."""
        return self.model_copy(update={"runs": {**self.runs, run_key: end}})

    def attempts_in(self, run_key: str, round_: int) -> int:
        """Count the purchases that a round of a run key has made."""
        return sum(1 for attempt in self.attempts if (attempt.run_key, attempt.round) == (run_key, round_))

    def _last(self) -> Attempt:
        if self.last is None:
            raise ValueError("the record has no attempt yet")
        return self.last

    def _open(self) -> Attempt:
        last = self._last()
        if last.outcome is not None:
            raise ValueError(f"attempt {last.n} has ended: {last.outcome}")
        return last

    def _with_last(self, **changes: object) -> TaskRecord:
        return self.model_copy(update={"attempts": (*self.attempts[:-1], self._last().model_copy(update=changes))})


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
