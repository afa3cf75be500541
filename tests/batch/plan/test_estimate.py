"""What a plan is said to cost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.estimate import Counts, estimate
from airflow_provider_clarity.batch.plan.judging import Costs


def costs_of(*paid: int) -> Costs:
    costs = Costs()
    for cost in paid:
        costs.add(cost)
    return costs


@settings(deadline=None)
@given(
    to_do=st.integers(0, 10**7),
    paid=st.lists(st.integers(0, 10**6), max_size=9),
    expected=st.integers(0, 10**5),
    at_once=st.integers(1, 64),
    more=st.integers(0, 100),
)
def test_an_estimate_is_in_order_and_grows_with_the_work(
    to_do: int, paid: list[int], expected: int, at_once: int, more: int
) -> None:
    """Breaks if the low end is above the high one, or more images are said to cost less."""

    def said(number: int) -> dict[str, dict[str, float]]:
        return estimate(
            Counts(to_do=number), {}, costs=costs_of(*paid), expected_cost=expected, max_in_flight=at_once
        )  # fmt: skip

    one, other = said(to_do), said(to_do + more)
    for key in ("cost_usd", "seconds"):
        values = list(one[key].values())
        assert values == sorted(values)
        assert all(before <= after for before, after in zip(values, other[key].values(), strict=True))
        assert to_do or not any(values)


def test_an_estimate_says_where_its_numbers_come_from() -> None:
    """Breaks if a person approves a number and cannot tell what it rests on."""
    counts = Counts(planned=1000, to_do=300, done=650, stale=20, foreign=30)
    said = estimate(counts, {"folder": 2}, costs=costs_of(), expected_cost=3800, max_in_flight=32)
    assert said == {
        "planned": 1000,
        "to_do": 300,
        "done": 650,
        "stale": 20,
        "foreign": 30,
        "passed_over": {"folder": 2},
        "cost_usd": {"low": 0.39, "expected": 1.14, "high": 1.14},
        "basis": "expected_cost_usd of the connection; nothing is done yet that could tell more",
        "seconds": {"low": 30.0, "high": 2250.0},
    }
    said = estimate(counts, {}, costs=costs_of(1000, 1001, 4000), expected_cost=3800, max_in_flight=2)
    assert said["cost_usd"] == {"low": 0.3, "expected": 0.6003, "high": 1.2}
    assert said["basis"] == "what 3 pictures that are already there have cost"
    assert said["seconds"] == {"low": 450.0, "high": 4500.0}
