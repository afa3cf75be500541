"""Amounts of money: integer micro-dollars inside, dollars where a person writes or reads them. Pure.

Invariants: no amount is ever a float on its way in, so nothing drifts; what is allowed is rounded down, what is
reserved is rounded up; what cannot be read as an amount is refused and never taken for "no limit".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from airflow_provider_clarity.exceptions import ClarityValidationError

MICRO: Final = 1_000_000
"""Micro-dollars in a dollar."""

_WRITTEN: Final = re.compile(r"\$? ?(?P<amount>[0-9]{1,12}(\.[0-9]{0,20})?)")


def parse_max_cost(value: object, *, name: str = "max_cost_usd") -> int | None:
    """Read a cap, as a user or a template writes it.

    A number, or a text such as ``"25"``, ``"2.50"`` or ``"$25"``. No separator of thousands is taken, since a comma
    means something else in half of the world; nor ``""`` and ``"None"``, into which templates turn what is missing:
    a limit must not vanish by a slip.

    :param value: dollars; None for no cap
    :param name: of the parameter, for the message
    :return: micro-dollars, rounded down; None for no cap
    :raises ClarityValidationError: it is no amount, not finite, or negative
    """
    if value is None:
        return None
    amount = _amount(value)
    if amount is None or amount < 0:
        raise ClarityValidationError(
            f"{name} is not an amount of dollars: {_shown(value)}. Nothing was sent and nothing was paid. Write 25, "
            f'2.5 or "25.00", without separators; leave it out, or give None, where nothing limits the cost.'
        )
    return math.floor(amount * MICRO)


def micro_up(dollars: Decimal) -> int:
    """Turn an expected cost into micro-dollars, rounded up, 1 at least: a reserve of 0 would reserve nothing."""
    return max(1, math.ceil(Fraction(dollars) * MICRO))


def usd(micro: int) -> float:
    """Return dollars, for people and JSON. Never to be added up."""
    return micro / MICRO


def tighter(cap: int | None, other: int | None) -> int | None:
    """Return the smaller of two caps, None where there is neither."""
    caps = [one for one in (cap, other) if one is not None]
    return min(caps) if caps else None


def shares(cap: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide a cap, such as over the shards of a plan by their images: to the micro-dollar, and never more in all.

    :param cap: micro-dollars
    :param weights: what each share is for; where there is none at all, all shares are 0
    """
    total, given, before, parts = sum(weights), 0, 0, []
    for weight in weights:
        before += weight
        upto = cap * before // total if total else 0
        parts.append(upto - given)
        given = upto
    return tuple(parts)


def _amount(value: object) -> Fraction | None:
    """Read an exact amount: a float is what it prints as, since nobody means 2.2999999999999998."""
    if isinstance(value, str):
        found = _WRITTEN.fullmatch(value.strip())
        return Fraction(found["amount"]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not math.isfinite(value):
        return None
    return Fraction(Decimal(str(value)))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."  # noqa: PLR2004 - enough to find it by
