"""Stops the buying where paid pictures do not land: what keeps them out would keep out the rest of a plan too. Pure.

Invariants: only what this round paid for counts; one picture that lands says that the way is open; what is pulled lets
nothing more leave, and hinders nothing that is in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_clarity.batch.record import Attempt, Failure

IN_A_ROW: Final = 8
"""So many paid pictures in a row that did not land are no accident."""
_LANDED: Final = frozenset({"delivered", "recovered"})


@dataclass(frozen=True, slots=True)
class Brake:
    """Counts the paid pictures that did not land since the last one that did.

    :param in_vain: how many
    """

    in_vain: int = 0

    @classmethod
    def from_json(cls, stored: object) -> Brake:
        """Take up what an earlier try has counted; whatever else lies there counts as nothing."""
        return cls(max(0, stored)) if type(stored) is int else cls()

    @property
    def pulled(self) -> bool:
        """Whether nothing more may be bought."""
        return self.in_vain >= IN_A_ROW

    def after(self, outcome: str, failure: Failure | None, attempt: Attempt | None, whose: tuple[str, int]) -> Brake:
        """Return the brake after the end of one more image.

        :param attempt: its last one
        :param whose: run key and round: what others paid for says nothing of what this round would
        """
        if self.pulled:
            return self
        if outcome in _LANDED:
            return Brake()
        kept = attempt is not None and attempt.outcome in ("undelivered", "superseded")  # it came, and lies elsewhere
        paid = attempt is not None and attempt.sent_at is not None and (attempt.run_key, attempt.round) == whose
        in_vain = outcome == "failed" and failure is not None and failure.kind == "delivery"
        return Brake(self.in_vain + 1) if paid and in_vain and not kept else self
