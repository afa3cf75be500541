"""What became of the images of a run, counted. Pure.

Invariants: every image that was planned has exactly one outcome, or is still to be settled; a sum that does not come
out is an error with a name, never a smaller number; what is not known by name is not counted as something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from airflow_provider_clarity.exceptions import ERRORS, ClarityPlanError

_SINGLE: Final = ("delivered", "recovered", "done", "stale", "foreign")
_WHYS: Final = ("budget", "deadline", "stopped")


@dataclass(frozen=True, slots=True)
class Counts:
    """Images by outcome.

    :param planned: all of them
    :param delivered: bought by this run, and under their final names
    :param recovered: the same, their upload had failed
    :param done: were there before this run, or another run was faster
    :param stale: left, made from another generation or with other parameters
    :param foreign: left, not ours
    :param failed: by kind
    :param not_submitted: by reason: ``budget``, ``deadline``, ``stopped``
    :param adopted: of those delivered or recovered, the ones that somebody else had bought
    :param passed_over: objects that are no images to take, by reason; they were never planned
    """

    planned: int = 0
    delivered: int = 0
    recovered: int = 0
    done: int = 0
    stale: int = 0
    foreign: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    not_submitted: Mapping[str, int] = field(default_factory=dict)
    adopted: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(
        cls, ended: Mapping[str, int], *, planned: int, adopted: int = 0, passed_over: Mapping[str, int] | None = None
    ) -> Counts:
        """Read them off a ledger, which counts under ``delivered``, ``failed.provider`` or ``not_submitted.budget``.

        :raises ClarityPlanError: there is an outcome that this version does not know
        """
        single: dict[str, int] = {}
        failed: dict[str, int] = {}
        not_submitted: dict[str, int] = {}
        for key, number in ended.items():
            outcome, _, detail = key.partition(".")
            if key in _SINGLE:
                single[key] = number
            elif outcome == "failed" and detail in ERRORS:
                failed[detail] = number
            elif outcome == "not_submitted" and detail in _WHYS:
                not_submitted[detail] = number
            else:
                raise ClarityPlanError(
                    f"The ledger counts {number} image(s) as {key!r}, an outcome that this version does not know. "
                    "Nothing more was sent, and what is paid is recorded. Upgrade this package, then clear the task."
                )
        return cls(
            planned,
            failed=failed,
            not_submitted=not_submitted,
            adopted=adopted,
            passed_over=dict(passed_over or {}),
            **single,
        )

    @property
    def failures(self) -> int:
        """Images that failed, of whatever kind."""
        return sum(self.failed.values())

    @property
    def due(self) -> int:
        """Images that there was something to do for: the whole of which failures are a share."""
        return self.planned - self.done - self.stale - self.foreign

    @property
    def settled(self) -> int:
        """Images that have an outcome."""
        single = self.delivered + self.recovered + self.done + self.stale + self.foreign
        return single + self.failures + sum(self.not_submitted.values())

    @property
    def pending(self) -> int:
        """Images that are still to be settled."""
        return self.planned - self.settled

    def checked(self, *, whole: bool) -> Counts:
        """Return them if they come out.

        :param whole: whether every image must have an outcome; else some may still be to be settled
        :raises ClarityPlanError: they do not
        """
        numbers = (self.planned, self.delivered, self.recovered, self.done, self.stale, self.foreign, self.adopted)
        each = (*numbers, *self.failed.values(), *self.not_submitted.values(), *self.passed_over.values())
        right = min(each) >= 0 and self.adopted <= self.delivered + self.recovered
        if right and (self.pending == 0 or (self.pending > 0 and not whole)):
            return self
        raise ClarityPlanError(
            f"{self.planned} image(s) were planned and {self.settled} are accounted for ({self.text()}; {self.adopted} "
            "adopted). Nothing more was sent, what is paid is recorded and what is delivered is safe. This is a "
            "defect of this package: please report it, with the ledger."
        )

    def text(self) -> str:
        """Say them in a line, what is nought left out."""
        parts = [f"{getattr(self, name)} {name}" for name in _SINGLE if getattr(self, name)]
        if self.failures:
            parts.append(f"{self.failures} failed ({by_number(self.failed)})")
        if any(self.not_submitted.values()):
            parts.append(f"{sum(self.not_submitted.values())} not submitted ({by_number(self.not_submitted)})")
        return ", ".join(parts) or "nothing"


def by_number(counts: Mapping[str, int]) -> str:
    """Say counts by name, the greatest first."""
    some = sorted(((number, name) for name, number in counts.items() if number), key=lambda one: (-one[0], one[1]))
    return ", ".join(f"{name} {number}" for number, name in some)
