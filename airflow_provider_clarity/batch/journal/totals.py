"""What a run's purchases come to: read off its attempts, never added up as they happen. Pure.

Invariants: all amounts are integer micro-dollars; the same attempts give the same totals, in whatever order and
however often they were noted; of an attempt that may have cost something either the cost is counted, or that nobody
knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_clarity.batch.record import Attempt
from airflow_provider_clarity.batch.tally import bought, paid_in_vain

_LANDED: Final = frozenset({"delivered", "recovered", "superseded", "undelivered"})


class Totals(BaseModel):
    """Sums over the attempts of a run, in the words of its budget.

    :param spent_microusd: the costs that are known and ours
    :param dearest_microusd: the greatest cost of one picture, whoever paid it
    :param priced: pictures of which the cost is known
    :param unknown: attempts of ours that are over, may have been paid, and of which nobody knows the cost
    :param in_flight: attempts of ours that were sent and have no outcome
    :param purchases: attempts of ours that the service is known to have accepted
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    spent_microusd: int = Field(default=0, ge=0)
    dearest_microusd: int = Field(default=0, ge=0)
    priced: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)
    in_flight: int = Field(default=0, ge=0)
    purchases: int = Field(default=0, ge=0)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            spent_microusd=self.spent_microusd + other.spent_microusd,
            dearest_microusd=max(self.dearest_microusd, other.dearest_microusd),
            priced=self.priced + other.priced,
            unknown=self.unknown + other.unknown,
            in_flight=self.in_flight + other.in_flight,
            purchases=self.purchases + other.purchases,
        )

    def closed(self) -> Totals:
        """Return the totals of an image that is over: what is still in flight then will never be known."""
        return self.model_copy(update={"unknown": self.unknown + self.in_flight, "in_flight": 0})


def totals_of(attempts: Iterable[Attempt]) -> Totals:
    """Sum up attempts.

    :param attempts: those that this run recorded first, each once
    """
    return sum((_one(attempt) for attempt in attempts), Totals())


def _one(attempt: Attempt) -> Totals:
    cost = attempt.cost_microusd
    priced = cost is not None and attempt.outcome is not None and attempt.outcome != "failed"
    dearest = cost if cost is not None and attempt.outcome is not None else 0
    if attempt.adopted:
        return Totals(dearest_microusd=dearest, priced=int(priced))  # somebody else pays; the price is worth knowing
    flying = attempt.outcome is None and attempt.sent_at is not None
    unpriced = cost is None and (attempt.outcome == "lost" or attempt.outcome in _LANDED or paid_in_vain(attempt))
    return Totals(
        spent_microusd=cost if cost is not None and attempt.outcome is not None else 0,
        dearest_microusd=dearest,
        priced=int(priced),
        unknown=int(unpriced),
        in_flight=int(flying),
        purchases=int(bought(attempt)),
    )


def counted(counts: Mapping[str, int], key: str, number: int = 1) -> dict[str, int]:
    """Return counts with some more under a key."""
    return {**counts, key: counts.get(key, 0) + number}
