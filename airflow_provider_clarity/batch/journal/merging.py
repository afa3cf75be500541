"""Our own view of an image, brought together with the task record that others write too. Pure.

Invariants: an attempt that this run recorded first stays ours, with its times and its place, whoever wrote the task
record first, so that its cost is counted here and only here; what became of it is what the task record says; attempts
of others are taken over as they are.
"""

from __future__ import annotations

from collections.abc import Collection

from airflow_provider_clarity.batch.ledger import Change
from airflow_provider_clarity.batch.record import Attempt, TaskRecord


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
        }
    )


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
