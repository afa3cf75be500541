"""What is counted of purchases: read off the task record, by whoever writes a fact down first. Pure.

Invariant: every fact is counted at most once, over all processes that share a record, since its counter is what a write
changed. A process that dies between the write and the telling counts too little, never too much.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from airflow_provider_clarity.batch.record import Attempt, TaskRecord

_LANDED: Final = frozenset({"delivered", "recovered", "superseded", "undelivered"})


def bought(attempt: Attempt) -> bool:
    """Whether the record proves that the service accepted it: it was seen to know the task, or its picture came."""
    return attempt.acknowledged_at is not None or attempt.outcome in _LANDED


def paid_in_vain(attempt: Attempt) -> bool:
    """Whether its picture was made and did not land: of the attempts that failed, these cost what a picture costs."""
    return attempt.outcome == "failed" and attempt.failure is not None and attempt.failure.kind == "delivery"


def counts_between(before: TaskRecord, after: TaskRecord, *, adopted: int | None = None) -> Counter[str]:
    """Count what a write made known.

    :param adopted: number of the attempt that the service knew before its first POST: it was counted when it was bought
    :return: ``purchases``, ``delivered``, ``recovered`` and ``cost_microusd``, where there is something to count
    """
    counts: Counter[str] = Counter()
    for now in after.attempts:
        was = before.attempts[now.n - 1] if now.n <= len(before.attempts) else None
        if now.n != adopted:
            counts["purchases"] += bought(now) and not (was is not None and bought(was))
            counts["cost_microusd"] += max(0, (now.cost_microusd or 0) - ((was and was.cost_microusd) or 0))
        if now.outcome in ("delivered", "recovered"):
            counts[now.outcome] += was is None or was.outcome not in _LANDED
    return +counts


class Tally:
    """Counters that an engine fills, and whoever drives it takes and tells."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def throttled(self) -> None:
        """Count an answer that asked us to slow down."""
        self._counts["throttled"] += 1

    def wrote(self, before: TaskRecord, after: TaskRecord, *, adopted: int | None = None) -> None:
        """Count what a write made known, once it is written."""
        self._counts += counts_between(before, after, adopted=adopted)

    def take(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        counts, self._counts = dict(self._counts), Counter()
        return counts
