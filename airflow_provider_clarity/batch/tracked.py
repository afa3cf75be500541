"""One image on its way, as the engine holds it: what is known, and how an answer changes that.

Invariant: nothing here does anything; the picture's address is held for a recovery and shows in no ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from airflow_provider_clarity.batch.adoption import Look, LookStatus, View
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.record import Attempt, Failure, TaskRecord
from airflow_provider_clarity.runware.client import TaskState
from airflow_provider_clarity.runware.errors import TaskError, to_exception
from airflow_provider_clarity.storage.delivery import Promotion, Staged
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.uris import GsUri

Outcome = Literal["delivered", "recovered", "done", "stale", "foreign", "failed"]

MICRO = 1_000_000
"""Micro-dollars in a dollar."""


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """How it ended for one image.

    :param uri: the final object, or where an undelivered picture is kept; None where there is none
    :param cost_microusd: what this run paid; 0 where the purchase was somebody else's; None where nobody knows
    :param seconds: from the first POST to the final name
    :param failure: for ``failed``, and why something is ``stale`` or ``foreign``
    :param notes: what a person should know about a delivered picture
    """

    outcome: Outcome
    uri: str | None
    task_uuid: str | None = None
    size: tuple[int, int] | None = None
    cost_microusd: int | None = 0
    seconds: float = 0.0
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Tracked:
    """An image and all that is known of it.

    :param record: as last read or written
    :param staged: the verified picture in staging
    :param broken_generation: of what lies in staging and was refused; 0 for nothing
    :param seen: generation at the final name when it was last looked at, 0 for nothing
    :param promotion: what became of it
    :param notes: what a person should know
    :param image_url: where the service serves the picture; never shown
    :param missing: what is told of an address that knows nothing of the picture, as long as it does not
    :param occupant: what was seen at the final name, where it is ours
    :param claimed_at: monotonic seconds of the last claim
    :param paused_until: epoch seconds before which nothing is tried, after an answer that did not come
    :param unanswered: look-ups in a row that the API did not answer
    :param failures: times in a row that something else around the image failed
    :param throttled: POSTs in a row that were not taken
    :param acknowledged: the attempt that the service was seen to know, and when; kept until the record says so too
    :param followed: attempts of others that this try saw open
    :param adopted: the attempt that the service knew before its first POST: it was bought without this record
    :param inspected: its source was looked at, and may be sent
    :param busy: something is being done with it
    :param due: epoch seconds before which there is nothing to do
    """

    item: Item
    view: View
    record: TaskRecord | None = None
    staged: Staged | None = None
    broken_generation: int = 0
    seen: int | None = None
    promotion: Promotion | None = None
    notes: tuple[str, ...] = ()
    image_url: str | None = field(default=None, repr=False)
    cost_microusd: int | None = None
    recovered: bool = False
    missing: str = ""
    occupant: Provenance | None = None
    claimed_at: float = 0.0
    paused_until: float = 0.0
    unanswered: int = 0
    failures: int = 0
    throttled: int = 0
    acknowledged: tuple[int, float] | None = None
    followed: set[int] = field(default_factory=set)
    adopted: int | None = None
    end: ItemEnd | None = None
    inspected: bool = False
    busy: bool = False
    due: float = 0.0

    @property
    def in_flight(self) -> bool:
        """Whether its last attempt was sent and has no outcome."""
        attempt = self.view.attempt
        return attempt is not None and attempt.outcome is None and attempt.last_sent_at is not None

    @property
    def at_service(self) -> bool:
        """Whether the service may be at work on it, as far as is known."""
        looks = (self.view.response, self.view.details)
        return self.in_flight and not any(look and look.status in ("success", "failed") for look in looks)

    @property
    def only_needs_time(self) -> bool:
        """Whether somebody else may wait for it: the service knows its task, and has not settled it.

        What is not acknowledged may have to be sent again, and what is settled has its upload on its way: a trigger,
        which only sees whether a task is settled, would wait too long for the one and not at all for the other.
        """
        attempt, response = self.view.attempt, self.view.response
        if attempt is None or attempt.outcome is not None or attempt.acknowledged_at is None:
            return False
        return response is None or response.status in ("processing", "silent")

    @property
    def known_at(self) -> float | None:
        """When the service was seen to know the last attempt; that it failed says so in a look-up, not at a POST."""
        if self.attempt.acknowledged_at is not None:
            return self.attempt.acknowledged_at
        looks = (self.view.response, self.view.details)
        return self.view.heard_at if any(look and look.status == "failed" for look in looks) else None

    @property
    def told_cost(self) -> int | None:
        """What the last attempt cost: as the service said, or as its picture says, which a former runner promoted."""
        promoted = self.occupant
        if self.cost_microusd is None and promoted is not None and promoted.task_uuid == self.attempt.task_uuid:
            return promoted.cost_microusd
        return self.cost_microusd

    def know(self, record: TaskRecord | None, may_claim_at: float) -> None:
        """Take over what the record says.

        Where it tells of another attempt, or of an outcome that we did not know, whatever was seen before is of the
        past: it says nothing of what is there now.
        """
        before, attempt = self.view.attempt, record.last if record else None
        self.record = record
        if record is not None and record.pixels is not None and self.item.pixels is None:
            self.item = replace(self.item, pixels=record.pixels)
        if attempt is not None and self.acknowledged is not None and attempt.n == self.acknowledged[0]:
            if attempt.acknowledged_at is None:
                attempt = attempt.model_copy(update={"acknowledged_at": self.acknowledged[1]})
            else:
                self.acknowledged = None
        if before is not None and attempt is not None and before.n != attempt.n:
            self._another_attempt()
        elif before is not None and attempt is not None and before.outcome != attempt.outcome:
            self.view = replace(self.view, verdict=None, staged=None)
        self._follow(attempt)
        ours = record.attempts_in(self.view.run_key, self.view.round_number) if record else 0
        ended = [one for one in record.attempts if one.n in self.followed and one.outcome == "failed"] if record else []
        self.view = replace(
            self.view,
            attempt=attempt,
            in_round=ours + len(ended),
            followed=attempt is not None and attempt.n in self.followed,
            may_claim_at=may_claim_at,
        )

    def _follow(self, attempt: Attempt | None) -> None:
        """Remember whose open attempts we saw: their end is ours too."""
        key, number = self.view.run_key, self.view.round_number
        if attempt is not None and attempt.outcome is None and (attempt.run_key, attempt.round) != (key, number):
            self.followed.add(attempt.n)

    def _another_attempt(self) -> None:
        """Forget the last attempt: nothing that was seen of it is true of this one."""
        self.forget_looks()
        self.view = replace(
            self.view, unfetched=False, missing_since=None, no_resend=False, asked_in_vain=False, refused=""
        )
        self.missing = ""
        self.staged, self.image_url, self.cost_microusd, self.recovered = None, None, None, False

    def forget_looks(self) -> None:
        """After a POST, nothing that was seen before counts any more."""
        self.view = replace(
            self.view,
            verdict=None,
            staged=None,
            response=None,
            details=None,
            succeeded_at=None,
            heard_at=None,
            silent_since=None,
        )

    def begin(self) -> None:
        """Begin a new attempt of our own: its name and its staging were just seen to be free."""
        verdict, at = self.view.verdict, self.view.verdict_at
        self._another_attempt()
        self.view = replace(self.view, verdict=verdict, verdict_at=at, staged="empty")

    def look_of(self, state: TaskState, now: float) -> Look:
        """Turn an answer into what the decision needs, keeping the picture's address here."""
        result = state.result
        if result is not None:
            self.image_url = result.image_url or self.image_url
            if result.cost is not None:
                self.cost_microusd = round(result.cost * MICRO)
        failure = failure_of(state.error) if state.error is not None else None
        if state.error is not None and state.error.cost is not None:
            self.cost_microusd = round(state.error.cost * MICRO)
        return Look(
            _STATUS[state.status], now, image_url=self.image_url is not None, priced=self.cost_microusd is not None,
            failure=failure,
        )  # fmt: skip

    @property
    def attempt(self) -> Attempt:
        """The last attempt, where the decision has made sure that there is one."""
        if self.view.attempt is None:
            raise ValueError("no attempt yet")
        return self.view.attempt

    @property
    def staging(self) -> GsUri:
        """Where the picture of the last attempt lies."""
        return GsUri.parse(self.attempt.kept or self.attempt.staging)


_STATUS: dict[str, LookStatus] = {
    "processing": "processing",
    "success": "success",
    "failed": "failed",
    "silent": "silent",
}


def failure_of(error: TaskError) -> Failure:
    """Turn the service's error into what is stored and told."""
    told = to_exception(error)
    return Failure(kind=error.kind, message=told.message, code=told.code, retryable=error.retryable)


def result_of(end: ItemEnd) -> dict[str, Any] | None:
    """Return the part of an end that a later try repeats, which is what the operator returns."""
    if end.outcome == "failed":
        return None
    return {
        "uri": end.uri,
        "outcome": end.outcome,
        "width": end.size[0] if end.size else None,
        "height": end.size[1] if end.size else None,
        "cost_usd": None if end.cost_microusd is None else end.cost_microusd / MICRO,
        "seconds": round(end.seconds, 1),
        "task_uuid": end.task_uuid,
    }
