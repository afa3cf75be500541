"""What to do next for one image: the decision on which every purchase rests.

:func:`next_action` is asked again and again with what is known by then, until it says to wait or that all is over. It
is pure, so the waiting and the deferring operator, a first try and a fifth one cannot drift apart.

Invariants, each a property in the tests:

- a first POST of an attempt leaves only with its intent recorded, and only where the destination and staging were
  looked at and hold nothing;
- a second POST of a UUID leaves only where no acknowledgement is known, destination and staging were looked at again
  since the last POST, and after that a look-up was answered without news, just before;
- what is on its way is seen to its end even where its final name was taken meanwhile: it is paid, so it is kept;
- another attempt begins only after the outcome of the last, and only where :func:`~.policy.may_buy_again` says so;
- silence never leads to a purchase: it leads to *lost*, counted from the last news and heard by this very try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_clarity.batch import messages
from airflow_provider_clarity.batch.policy import OnLost, Verdict, may_buy_again
from airflow_provider_clarity.batch.record import Attempt, Failure

Staged = Literal["empty", "ready", "broken"]
LookStatus = Literal["processing", "success", "failed", "silent"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers that the decisions rest on, in seconds where nothing else is said.

    :param max_attempts: purchases that a round may make
    :param resubmit_window: how long after the first POST the same UUID may be sent again
    :param resubmit_after: least age of the last POST
    :param look_is_fresh: how old the look-up before a second POST may be
    :param storage_is_fresh: how old the looks at destination and staging before a second POST may be; they come first
    :param item_timeout: silence after which a task counts as lost
    :param silence_confirmed: how long this try itself must have heard nothing before it says lost
    :param upload_grace: how long a successful task's upload may be on its way
    :param fetch_grace: how long an address that answers 404 is asked again before its picture counts as gone
    :param lease: how long a claim is good for a POST
    """

    max_attempts: int = 3
    on_lost: OnLost = "fail"
    resubmit_window: float = 24 * 3600
    resubmit_after: float = 1.0
    look_is_fresh: float = 5.0
    storage_is_fresh: float = 60.0
    item_timeout: float = 900.0
    silence_confirmed: float = 30.0
    upload_grace: float = 30.0
    fetch_grace: float = 30.0
    lease: float = 20.0


@dataclass(frozen=True, slots=True)
class Look:
    """An answered look-up of a task.

    :param at: epoch seconds of the answer
    :param image_url: whether the answer holds the address of the picture (the address itself stays with the engine)
    :param priced: whether it says what the task cost
    """

    status: LookStatus
    at: float
    image_url: bool = False
    priced: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is known of an image by now. None means: nobody looked yet, or not since the last POST.

    :param verdict: of the destination
    :param verdict_at: when that was seen
    :param another: whether what lies there is the picture of another purchase, by a run that wanted one of its own
    :param staged: what lies in staging
    :param staged_at: when that was seen
    :param attempt: the last one of the record
    :param in_round: purchases that this round has made
    :param claimed: whether this process holds the claim for the next POST of the open attempt
    :param may_claim_at: from when on it may take the claim; infinity for never
    :param response: last answered getResponse
    :param details: last answered getTaskDetails
    :param succeeded_at: when the success of the open attempt was first seen
    :param heard_at: when the service last said anything of the open attempt
    :param silent_since: since when this try has heard nothing of it, where it has asked
    :param followed: whether this try was there when somebody else's attempt ended
    :param asked: whether a person asked for another purchase, by the row of a dead letter
    :param unasked: whether no clear opened this round, but a DAG run that came back under its old id
    :param no_resend: whether a later POST of the UUID was refused, so that only an earlier one can still have arrived
    :param refused: why what lies in staging was refused
    :param look_at: when the next getResponse is due
    :param send_at: when the next POST may leave: the pace
    :param unfetched: whether the picture's address was tried in vain, and need not be again
    :param missing_since: when the address was first seen to know nothing of the picture (404), in this try
    :param missing_at: when it was last
    :param asked_in_vain: whether the service did not answer what a picture in staging cost
    """

    run_key: str
    round_number: int = 0
    verdict: Verdict | None = None
    verdict_at: float = 0.0
    another: bool = False
    staged: Staged | None = None
    staged_at: float = 0.0
    attempt: Attempt | None = None
    in_round: int = 0
    claimed: bool = False
    may_claim_at: float = 0.0
    response: Look | None = None
    details: Look | None = None
    succeeded_at: float | None = None
    heard_at: float | None = None
    silent_since: float | None = None
    followed: bool = False
    asked: bool = False
    unasked: bool = False
    no_resend: bool = False
    refused: str = ""
    look_at: float = 0.0
    send_at: float = 0.0
    unfetched: bool = False
    missing_since: float | None = None
    missing_at: float = 0.0
    asked_in_vain: bool = False


@dataclass(frozen=True, slots=True)
class LookAtDestination:
    """See what lies at the final name."""


@dataclass(frozen=True, slots=True)
class LookAtStaging:
    """See what the service uploaded."""


@dataclass(frozen=True, slots=True)
class AskResponse:
    """Ask getResponse for the last attempt."""


@dataclass(frozen=True, slots=True)
class AskDetails:
    """Ask getTaskDetails for the last attempt."""


@dataclass(frozen=True, slots=True)
class Buy:
    """Record the intent of attempt ``n``, then POST it."""

    n: int


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Claim the open attempt and POST the same UUID once more."""


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the picture in staging its final name."""


@dataclass(frozen=True, slots=True)
class Recover:
    """Fetch the picture from its address and put it into staging."""


@dataclass(frozen=True, slots=True)
class End:
    """Record the outcome of the open attempt."""

    outcome: Literal["failed", "lost"]
    failure: Failure


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more can or need be done in this round."""

    outcome: Literal["done", "stale", "foreign", "exists", "failed"]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before ``until``, epoch seconds."""

    until: float


Action = (
    LookAtDestination
    | LookAtStaging
    | AskResponse
    | AskDetails
    | Buy
    | SendAgain
    | Promote
    | Recover
    | End
    | Finish
    | Wait
)

_VERDICTS: dict[Verdict, Finish] = {
    "done": Finish("done"),
    "stale": Finish("stale"),
    "foreign": Finish("foreign"),
    "error": Finish("exists"),
}


def next_action(view: View, now: float, rules: Rules) -> Action:
    """Decide what to do next for one image.

    :param view: what is known by now
    :param now: epoch seconds
    :param rules: the numbers
    """
    if view.verdict is None:
        return LookAtDestination()
    attempt = view.attempt
    delivered = view.verdict == "done" and not view.another
    if delivered or (view.verdict != "buy" and not _flying(attempt)):
        return _VERDICTS[view.verdict]
    if attempt is None:
        return Buy(1) if now >= view.send_at else Wait(view.send_at)
    if view.staged is None:
        return LookAtStaging()
    if view.staged == "ready":
        return _ready(view, attempt)
    if attempt.outcome is not None:
        return _after_outcome(view, attempt, now, rules)
    if attempt.last_sent_at is None:
        return _send(view, now)
    return _open(view, attempt, now, rules)


def _flying(attempt: Attempt | None) -> bool:
    """Whether a purchase may be on its way: then it is seen to its end, whatever has come to lie at its final name."""
    return attempt is not None and attempt.outcome is None and attempt.last_sent_at is not None


def _unasked(details: Look | None, since: float) -> bool:
    """Whether the archive was not asked since something else was learned."""
    return details is None or details.at < since


def _ready(view: View, attempt: Attempt) -> Action:
    """Promote; but ask first, once, what it cost, since the final object says so for ever."""
    if attempt.cost_microusd is None and attempt.last_sent_at is not None and not view.asked_in_vain:
        if view.response is None or (not view.response.priced and view.response.at < view.staged_at):
            return AskResponse()
        if not view.response.priced and _unasked(view.details, view.response.at):
            return AskDetails()
    return Promote()


def _after_outcome(view: View, attempt: Attempt, now: float, rules: Rules) -> Action:
    """Ask whether the service still has a picture that lies nowhere any more, and decide what then."""
    if not _gone(view, rules) and _worth_asking(attempt):
        if view.response is None:
            return AskResponse()
        if view.response.image_url:
            return _fetch(view, now, rules)
        if _unasked(view.details, view.response.at):
            return AskDetails()
        if view.details is not None and view.details.image_url:
            return _fetch(view, now, rules)
    again = may_buy_again(
        attempt,
        run_key=view.run_key,
        round_number=view.round_number,
        in_round=view.in_round,
        max_attempts=rules.max_attempts,
        on_lost=rules.on_lost,
        followed=view.followed,
        asked=view.asked,
        unasked=view.unasked,
    )
    if not again:
        return Finish("failed", attempt.failure or messages.GONE)
    return Buy(attempt.n + 1) if now >= view.send_at else Wait(view.send_at)


def _worth_asking(attempt: Attempt) -> bool:
    """Whether a picture may exist: it does not where the service itself reported that it made none."""
    if attempt.outcome != "failed" or attempt.failure is None:
        return True
    return attempt.failure.kind in ("timeout", "delivery")


def _send(view: View, now: float) -> Action:
    """Send an attempt whose only POST was certainly not accepted, or never left."""
    ready_at = max(view.send_at, view.may_claim_at)
    return SendAgain() if now >= ready_at else Wait(ready_at)


def _open(view: View, attempt: Attempt, now: float, rules: Rules) -> Action:
    """Go on with an attempt that was sent and has no outcome yet."""
    response = view.response
    if response is None:
        return AskResponse() if now >= view.look_at else Wait(view.look_at)
    if response.status == "success":
        return _success(view, attempt, response, now, rules)
    if response.status == "failed":
        return _failed(view, response, now, rules)
    if response.status == "processing":
        return AskResponse() if now >= view.look_at else Wait(view.look_at)
    return _silence(view, attempt, response, now, rules)


def _success(view: View, attempt: Attempt, look: Look, now: float, rules: Rules) -> Action:
    """Wait for the upload of a picture that exists, else fetch it; at once where none was asked for."""
    since = look.at if view.succeeded_at is None else view.succeeded_at
    until = since + rules.upload_grace if attempt.endpoint_expires_at is not None else since
    if view.staged_at < since:
        return LookAtStaging()
    if view.staged == "empty" and view.verdict_at < view.staged_at:
        return LookAtDestination()  # another run may have promoted it
    if view.staged == "empty" and now < until:
        again_at = min(view.staged_at + max(0.5, (view.staged_at - since) / 2), until)
        return LookAtStaging() if now >= again_at else Wait(again_at)
    if view.staged == "empty" and view.staged_at < until:
        return LookAtStaging()
    if view.missing_since is not None and _gone(view, rules) and view.staged_at < view.missing_at:
        return LookAtStaging()
    if _gone(view, rules):
        return End("failed", _not_landed(view, attempt))
    if look.image_url:
        return _fetch(view, now, rules)
    if _unasked(view.details, look.at):
        return AskDetails()
    found = view.details is not None and view.details.image_url
    return _fetch(view, now, rules) if found else End("failed", _not_landed(view, attempt))


def _fetch(view: View, now: float, rules: Rules) -> Action:
    """Fetch the picture; its address may know it only a while after the service has reported success."""
    if view.missing_since is None:
        return Recover()
    pause = max(0.5, (view.missing_at - view.missing_since) / 2)
    again_at = min(view.missing_at + pause, view.missing_since + rules.fetch_grace)
    return Recover() if now >= again_at else Wait(again_at)


def _gone(view: View, rules: Rules) -> bool:
    """Whether the picture's address has told for good that there is nothing to be had."""
    missing = view.missing_since is not None and view.missing_at >= view.missing_since + rules.fetch_grace
    return view.unfetched or missing


def _not_landed(view: View, attempt: Attempt) -> Failure:
    """Say why a paid picture did not land: it is nowhere, or it is there and was refused."""
    return messages.refused_picture(attempt, view.refused) if view.staged == "broken" else messages.NEVER_LANDED


def _failed(view: View, look: Look, now: float, rules: Rules) -> Action:
    """End an attempt that the API reported as failed; where a picture may exist all the same, look for it first."""
    failure = look.failure or messages.UNNAMED
    if view.staged_at < look.at:
        return LookAtStaging()
    if failure.kind in ("timeout", "delivery") and not _gone(view, rules):
        if look.image_url:
            return _fetch(view, now, rules)
        if _unasked(view.details, look.at):
            return AskDetails()
        if view.details is not None and view.details.image_url:
            return _fetch(view, now, rules)
    return End("failed", failure)


def _silence(view: View, attempt: Attempt, response: Look, now: float, rules: Rules) -> Action:
    """Go on where the service says nothing of the task: it may be running, forgotten, or never have arrived."""
    details = view.details
    if details is not None and details.status == "success":
        return _success(view, attempt, details, now, rules)
    if details is not None and details.status == "failed":
        return _failed(view, details, now, rules)
    if _may_resend(view, attempt, now, rules):
        return _resend(view, attempt, response, now, rules)
    if view.staged_at < response.at:
        return LookAtStaging()  # what the service has forgotten may have been uploaded
    news = max(at for at in (attempt.last_sent_at, attempt.acknowledged_at, view.heard_at, 0.0) if at is not None)
    since = response.at if view.silent_since is None else view.silent_since
    over_at = max(news + rules.item_timeout, since + rules.silence_confirmed)
    if now < over_at:
        return AskResponse() if now >= view.look_at else Wait(min(view.look_at, over_at))
    if response.at < over_at:
        return AskResponse()
    if _unasked(details, response.at):
        return AskDetails()
    if view.verdict_at < response.at:
        return LookAtDestination()
    return End("lost", messages.lost(attempt))


def _may_resend(view: View, attempt: Attempt, now: float, rules: Rules) -> bool:
    """Whether nothing shows that a POST arrived, and another of the same UUID is worth it."""
    known = attempt.acknowledged_at is not None or view.heard_at is not None
    in_window = now < (attempt.sent_at or now) + rules.resubmit_window
    return view.verdict == "buy" and in_window and not known and not view.no_resend


def _resend(view: View, attempt: Attempt, response: Look, now: float, rules: Rules) -> Action:
    """Send the same UUID again, once all that could show that it arrived was looked at: the service last."""
    sent_at = attempt.last_sent_at or now
    if view.details is None:
        return AskDetails()
    ready_at = max(sent_at + rules.resubmit_after, view.send_at, 0.0 if view.claimed else view.may_claim_at)
    if now < ready_at:
        return AskResponse() if now >= view.look_at else Wait(min(ready_at, view.look_at))
    seen_after = max(sent_at, now - rules.storage_is_fresh)
    if view.staged_at < seen_after:
        return LookAtStaging()
    if view.verdict_at < seen_after:
        return LookAtDestination()
    oldest = max(view.staged_at, view.verdict_at, now - rules.look_is_fresh)
    return AskResponse() if response.at < oldest else SendAgain()
