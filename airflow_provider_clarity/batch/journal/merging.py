"""Our own view of an image, brought together with the task record that others write too. Pure.

Two ledgers that do not know of each other may both record the same first attempt; one of them buys it, and where a
reply was lost neither can tell which. So the task record decides: whoever first writes an outcome into it has the cost,
unless it knows that it did not buy (``adopted``).

Invariants: an attempt that this run recorded first stays ours, with its times and its place; its cost is counted by one
of those who recorded it and only there; what became of it is what the task record says; attempts of others are taken
over as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from airflow_provider_clarity.batch.ledger import Change
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.batch.tally import paid_in_vain


def merged(stored: TaskRecord, local: TaskRecord, ours: Collection[int]) -> TaskRecord:
    """Return the record as it counts for us; of an open attempt, the POST that left last counts, whoever sent it.

    :param stored: as it lies in the bucket, with our change
    :param local: as we know it, with our change; it has no attempt that is not stored
    :param ours: numbers of the attempts that this run recorded first
    """
    attempts = tuple(
        _ours(one, local.attempt(one.n)) if one.n in ours and one.n <= len(local.attempts) else one
        for one in stored.attempts
    )
    return stored.model_copy(update={"attempts": attempts})


def _ours(stored: Attempt, local: Attempt) -> Attempt:
    if stored.turned_away and local.acknowledged_at is not None:
        return local  # another run's POST was; the service has it from us
    known = local.acknowledged_at if local.acknowledged_at is not None else stored.acknowledged_at
    later = stored if _sent(stored) > _sent(local) else local
    return local.model_copy(
        update={
            "sent_at": local.sent_at if local.sent_at is not None else stored.sent_at,
            "last_sent_at": later.last_sent_at,
            "submit_timeout": later.submit_timeout,
            "endpoint_expires_at": later.endpoint_expires_at,
            "acknowledged_at": known,
            "outcome": stored.outcome,
            "ended_at": stored.ended_at,
            "failure": stored.failure,
            "cost_microusd": stored.cost_microusd if stored.cost_microusd is not None else local.cost_microusd,
            "kept": stored.kept,
            "adopted": _bought_by_others(stored, local),
        }
    )


def _bought_by_others(stored: Attempt, local: Attempt) -> bool:
    """Whether somebody else pays: what we never sent may have been sent by whoever took our claim over."""
    if stored.place == local.place:
        return stored.adopted and local.adopted
    return local.adopted or _is_theirs(stored)


def _is_theirs(stored: Attempt) -> bool:
    """Whether another ledger has the cost of an attempt that we recorded, too.

    One that was told that it failed, and of no cost, has none: the service may have taken it from us all the same.
    """
    for_nothing = stored.outcome == "failed" and stored.cost_microusd is None and not paid_in_vain(stored)
    return stored.outcome is not None and not stored.adopted and not for_nothing


def claiming(change: Change, local: TaskRecord, ours: Collection[int]) -> Change:
    """Return the change of the task record with our name on what it settles of ours, unless others have the cost.

    :param local: as we know it, with our change
    :param ours: as for :func:`merged`
    """

    def changed(stored: TaskRecord) -> TaskRecord:
        after = change(stored)
        attempts = tuple(
            _claimed(one, stored.attempts[one.n - 1 : one.n], local.attempt(one.n))
            if one.n in ours and one.n <= len(local.attempts)
            else one
            for one in after.attempts
        )
        return after.model_copy(update={"attempts": attempts})

    return changed


def _claimed(after: Attempt, before: Sequence[Attempt], local: Attempt) -> Attempt:
    settled_by_others = any(one.place != local.place and _is_theirs(one) for one in before)
    if after.outcome is None or after.place == local.place or local.adopted or settled_by_others:
        return after
    return after.model_copy(update={"place": local.place, "adopted": False})


def _sent(attempt: Attempt) -> float:
    return float("-inf") if attempt.last_sent_at is None else attempt.last_sent_at


def changed_attempts(before: TaskRecord, after: TaskRecord) -> tuple[Attempt, ...]:
    """Return the attempts that are new or other than they were."""
    return tuple(one for one in after.attempts if before.attempts[one.n - 1 : one.n] != (one,))


def settles(before: TaskRecord, after: TaskRecord) -> bool:
    """Say whether a change is one that others must be able to see: an attempt has, had, or gets an outcome."""
    return any(
        one.outcome is not None or any(was.outcome is not None for was in before.attempts[one.n - 1 : one.n])
        for one in changed_attempts(before, after)
    )


def without_rounds(change: Change) -> Change:
    """Return the change without what it says of the end of a round: those entries are for single images."""
    return lambda record: change(record).model_copy(update={"runs": record.runs})
