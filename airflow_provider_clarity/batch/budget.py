"""How much may still be bought: what is spent, what is reserved, and the cap. Pure; all amounts are micro-dollars.

The reserve *r* for an image whose cost is not known is the greater of what is expected and 1.25 times the dearest
image seen. Something is submitted only if ``spent + (unknown + in flight + 1) x r <= cap``.

Invariants, each a property in the tests:

- what is bought exceeds the cap at most by the sum, over the images in flight at the last submit (and those whose cost
  nobody knows), of ``max(0, cost - r at their submit)``: by nothing, where no price exceeds r;
- nothing is submitted once the cap is exceeded;
- r never falls, so what was reserved stays reserved; lost and unknown costs are counted at r for ever;
- it is made of sums and a maximum: noting the same facts again, in any order, gives the same to the micro-dollar.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from airflow_provider_clarity.exceptions import ClarityBudgetError

VERSION: Final = 1
EXPECTED: Final = 3_800
"""Reserve for an image before anything is known: the dearest of the vendor's examples."""

_TRIAL: Final = 5
_TRIAL_IN_FLIGHT: Final = 4
_STORED: Final = ("spent", "dearest", "priced", "unknown")

Fact = Literal["picture", "failed", "lost", "adopted", "found"]
"""What became of a purchase, as far as money goes; see :meth:`Budget.noted`."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What was bought, under the cap of now. The cap is never stored: it is what the user says today.

    :param cap: what may be spent; None for no limit
    :param expected: what an image is expected to cost at most; 1 at least
    :param spent: sum of the costs that are known and ours
    :param dearest: the greatest cost seen of one image, whoever paid it
    :param priced: images of which the cost is known
    :param unknown: purchases of ours that are over and of which nobody knows the cost
    """

    cap: int | None = None
    expected: int = EXPECTED
    spent: int = 0
    dearest: int = 0
    priced: int = 0
    unknown: int = 0

    def __post_init__(self) -> None:
        if self.expected < 1 or min(self.spent, self.dearest, self.priced, self.unknown) < 0:
            raise ValueError(f"no account has negative amounts, or a reserve of nothing: {self}")

    @property
    def reserve(self) -> int:
        """What is reserved for an image whose cost is not known."""
        return max(self.expected, -(-self.dearest * 5 // 4))

    @property
    def counted(self) -> int:
        """What counts against the cap when nothing is in flight."""
        return self.spent + self.unknown * self.reserve

    @property
    def over(self) -> bool:
        """Whether nothing more can be bought, however little those in flight will cost."""
        return self.room(0) == 0

    def room(self, in_flight: int) -> int:
        """Say how many more images may be submitted now.

        Until a few costs are known only a few are in flight, so that a wrong expectation costs little.

        :param in_flight: purchases of ours without an outcome, with those of which an intent is stored
        :return: ``sys.maxsize`` where there is no cap
        """
        if self.cap is None:
            return sys.maxsize
        room = (self.cap - self.spent) // self.reserve - self.unknown - in_flight
        if self.priced < _TRIAL:
            room = min(room, _TRIAL_IN_FLIGHT - in_flight)
        return max(0, room)

    def noted(self, fact: Fact, cost: int | None = None) -> Budget:
        """Take account of what became of one purchase.

        ``picture``: it made a picture. ``failed``: it costs what the service states, else nothing. ``lost``: it may
        have been paid. ``adopted``: somebody else pays it, and its price is worth knowing. ``found``: one of those
        whose cost is unknown was heard of again; what it cost, or that it is in flight, is told separately.

        :param fact: which of these
        :param cost: what the service said; None where it did not
        """
        if cost is not None and (isinstance(cost, bool) or cost < 0):
            raise ValueError(f"{cost!r} is no cost")
        seen = replace(self, dearest=max(self.dearest, cost or 0))
        match fact:
            case "failed":
                return replace(seen, spent=self.spent + (cost or 0))
            case "found":
                return replace(self, unknown=self.unknown - 1)
            case "adopted":
                return replace(seen, priced=self.priced + (cost is not None))
            case "lost" | "picture" if cost is None:
                return replace(self, unknown=self.unknown + 1)
            case _:
                return replace(seen, spent=self.spent + (cost or 0), priced=self.priced + 1)

    def replayed(self, facts: Iterable[tuple[Fact, int | None]]) -> Budget:
        """Take account of many purchases, such as the lines of a journal."""
        budget = self
        for fact, cost in facts:
            budget = budget.noted(fact, cost)
        return budget

    def together(self, other: Budget) -> Budget:
        """Return the account of both, under this one's cap: a budget lasts over all rounds and ledgers of its key."""
        return replace(
            self,
            spent=self.spent + other.spent,
            dearest=max(self.dearest, other.dearest),
            priced=self.priced + other.priced,
            unknown=self.unknown + other.unknown,
        )

    def to_json(self) -> dict[str, int]:
        """Return what is stored: the facts, without cap and expectation."""
        return {"v": VERSION} | {name: getattr(self, name) for name in _STORED}

    @classmethod
    def from_json(cls, value: object, *, cap: int | None, expected: int = EXPECTED) -> Budget:
        """Rebuild it under the cap and the expectation of now.

        :raises ClarityBudgetError: it is damaged, or a newer version of this package wrote it: who cannot read what
            was spent spends nothing
        """
        if not isinstance(value, Mapping):
            raise _unreadable("it is damaged")
        version = value.get("v")
        if isinstance(version, int) and version > VERSION:
            raise _unreadable(f"a newer version of this package wrote it (v {version})")
        amounts = {name: value[name] for name in _STORED if _is_whole(value.get(name))}
        if version != VERSION or len(amounts) != len(_STORED):
            raise _unreadable("it is damaged")
        return cls(cap, expected, **amounts)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _unreadable(why: str) -> ClarityBudgetError:
    return ClarityBudgetError(
        f"The stored account of what this run has spent cannot be read: {why}. Nothing was sent, since it cannot be "
        "told what is left. Upgrade this package where a newer one wrote it; else start a new DAG run, whose "
        "account begins at nothing and which adopts what was bought."
    )
