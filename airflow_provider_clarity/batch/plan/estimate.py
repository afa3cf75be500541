"""What a plan will cost and how long it may take. Pure.

Invariants: low <= expected <= high; nothing to do costs nothing; what is said is where the numbers come from, and they
are no promise: the cap of a run is what holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_clarity.batch.plan.judging import Costs

LEAST_COST: Final = 1300
"""Micro-dollars: the cheapest of the vendor's examples (the model's page)."""
SECONDS_EACH: Final = (3.0, 30.0)
"""How long one image is at work, short and long; nobody promises either."""
LEAST_AT_ONCE: Final = 4
"""How many are at work at once where the service is slow: what the vendor advises to begin with."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a plan has found.

    :param planned: rows; the sum of the next four
    :param to_do: what is to be bought
    """

    planned: int = 0
    to_do: int = 0
    done: int = 0
    stale: int = 0
    foreign: int = 0


def estimate(
    counts: Counts,
    passed_over: Mapping[str, int],
    *,
    costs: Costs,
    expected_cost: int,
    max_in_flight: int,
    seconds_each: tuple[float, float] = SECONDS_EACH,
) -> dict[str, Any]:
    """Say what is to be done, and what it would cost.

    :param costs: what the pictures that are done have cost
    :param expected_cost: micro-dollars an image, from the connection; used where nothing is done yet
    :param max_in_flight: how many may be at work at once
    :param seconds_each: how long one image is at work, short and long
    :return: ``{"planned", "to_do", "done", "stale", "foreign", "passed_over", "cost_usd": {"low", "expected", "high"},
        "basis", "seconds": {"low", "high"}}``
    """
    if costs.number:
        low, expected, high = costs.least, -(-costs.total // costs.number), costs.most
        basis = f"what {costs.number} pictures that are already there have cost"
    else:
        low, expected, high = min(LEAST_COST, expected_cost), expected_cost, expected_cost
        basis = "expected_cost_usd of the connection; nothing is done yet that could tell more"
    short, long = seconds_each
    to_do = counts.to_do
    return {
        "planned": counts.planned,
        "to_do": to_do,
        "done": counts.done,
        "stale": counts.stale,
        "foreign": counts.foreign,
        "passed_over": dict(passed_over),
        "cost_usd": {"low": _usd(to_do * low), "expected": _usd(to_do * expected), "high": _usd(to_do * high)},
        "basis": basis,
        "seconds": {
            "low": math.ceil(to_do / max(1, max_in_flight)) * short,
            "high": math.ceil(to_do / max(1, min(LEAST_AT_ONCE, max_in_flight))) * long,
        },
    }


def _usd(micro: int) -> float:
    return micro / 1_000_000
