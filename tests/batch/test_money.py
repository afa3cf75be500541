"""Amounts of money: what a user writes becomes micro-dollars without drift, or is refused."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.money import micro_up, parse_max_cost, shares, tighter, usd
from airflow_provider_clarity.exceptions import ClarityValidationError


@pytest.mark.parametrize(
    ("written", "micro"),
    [
        (None, None),
        (25, 25_000_000),
        (25.0, 25_000_000),
        (0.1, 100_000),
        (2.3, 2_300_000),
        (0.0038, 3_800),
        (1e-6, 1),
        (1.9e-6, 1),
        (0, 0),
        (Decimal("0.07"), 70_000),
        ("25", 25_000_000),
        ("25.", 25_000_000),
        ("25.50", 25_500_000),
        (" $25 ", 25_000_000),
        ("$ 0.29", 290_000),
        ("0.0000019", 1),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
def test_an_amount_becomes_micro_dollars(written: object, micro: int | None) -> None:
    """0.29 dollars are 290,000 and not 289,999; what is smaller than a micro-dollar is not allowed."""
    assert parse_max_cost(written) == micro


@pytest.mark.parametrize(
    "written",
    [
        True, False, math.nan, math.inf, -math.inf, -1, -0.01, Decimal("NaN"), "NaN", "inf", "-3", "+3", "", " ",
        "None", "$", "1,000", "1_000", "1e3", "25 EUR", "25$", "$$25", ".5", "٢٥", "9" * 13, "0." + "1" * 21, b"25",
        [25], "25\n26",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(written: object) -> None:
    """A cap that is misread is no cap: it says what happened, that nothing was paid, and what to write."""
    with pytest.raises(ClarityValidationError) as refused:
        parse_max_cost(written, name="budget")
    assert refused.value.message == (
        f"budget is not an amount of dollars: {written!r}. Nothing was sent and nothing was paid. Write 25, 2.5 or "
        '"25.00", without separators; leave it out, or give None, where nothing limits the cost.'
    )


def test_a_long_text_is_not_repeated_whole() -> None:
    """It may be anything that a template rendered."""
    with pytest.raises(ClarityValidationError) as refused:
        parse_max_cost("x" * 1000)
    assert "'" + "x" * 39 + "...." in refused.value.message
    assert refused.value.message.startswith("max_cost_usd is not")
    for size, shown in ((38, "'" + "x" * 38 + "'"), (39, "'" + "x" * 39 + "..."), (40, "'" + "x" * 39 + "...")):
        with pytest.raises(ClarityValidationError) as refused:
            parse_max_cost("x" * size)
        assert f" dollars: {shown}. Nothing" in refused.value.message


@given(st.integers(0, 10**17))
def test_nothing_drifts(micro: int) -> None:
    """Every amount that a person can write with six digits comes back to the micro-dollar."""
    assert parse_max_cost(f"{micro // 10**6}.{micro % 10**6:06}"[-32:]) == micro


@given(st.integers(0, 10**13))
def test_floats_do_not_drift_either(micro: int) -> None:
    """A float with six digits after the point is what it prints as."""
    assert parse_max_cost(micro / 10**6) == micro
    assert parse_max_cost(usd(micro)) == micro


@given(st.floats(0, 1e9))
def test_a_cap_is_never_rounded_up(dollars: float) -> None:
    """What is allowed is at most what was written."""
    micro = parse_max_cost(dollars)
    assert micro is not None
    assert Decimal(micro) / 10**6 <= Decimal(repr(dollars)) < Decimal(micro + 1) / 10**6


@given(st.decimals(0, 1000, allow_nan=False, allow_infinity=False))
def test_an_expectation_is_never_rounded_down(dollars: Decimal) -> None:
    """A reserve of nothing would reserve nothing."""
    micro = micro_up(dollars)
    assert micro >= 1
    assert Decimal(micro) >= dollars * 10**6
    assert micro == 1 or Decimal(micro - 1) < dollars * 10**6


def test_the_smaller_cap_counts() -> None:
    """A shard's and the operator's: whoever allows less."""
    assert tighter(None, None) is None
    assert tighter(3, None) == 3
    assert tighter(None, 3) == 3
    assert tighter(3, 2) == 2
    assert tighter(0, 2) == 0


def test_a_cap_is_divided_exactly() -> None:
    """In whole micro-dollars, the last share the greater where it does not come out; none where nothing is to do."""
    assert shares(100, (1, 1, 1)) == (33, 33, 34)
    assert shares(10**17 + 1, (1, 2)) == (33_333_333_333_333_333, 66_666_666_666_666_668)
    assert shares(100, (0, 0)) == (0, 0)
    assert shares(100, ()) == ()


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), max_size=20))
def test_a_divided_cap_is_not_more_than_the_whole(cap: int, weights: list[int]) -> None:
    """All of it is given, nothing twice, and to each as much as its weight, to the micro-dollar."""
    parts = shares(cap, weights)
    assert len(parts) == len(weights)
    assert sum(parts) == (cap if sum(weights) else 0)
    assert all(part >= 0 for part in parts)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - cap * weight / (sum(weights) or 1)) <= 1 + cap * 1e-12
