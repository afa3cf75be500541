"""How long to wait, and where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.waiting import expected_remaining, should_defer

SECONDS = st.floats(0, 1e6)


@given(SECONDS, st.none() | SECONDS)
def test_what_remains_is_never_negative(age: float, median: float | None) -> None:
    """A negative wait would spin."""
    assert expected_remaining(age, median) >= 0


def test_what_is_learned_is_believed_until_it_is_over() -> None:
    """A young task takes what tasks take; an old one takes as long again."""
    assert expected_remaining(2, 60) == 58
    assert expected_remaining(60, 60) == 60
    assert expected_remaining(7) == 7
    assert expected_remaining(0) == expected_remaining(-3) == 0
    assert expected_remaining(-3, 60) == 63


@given(SECONDS, SECONDS)
def test_a_worker_that_can_submit_stays(wait: float, defer_after: float) -> None:
    """Feeding a window is work, not waiting."""
    assert not should_defer(wait, something_to_submit=True, defer_after=defer_after)


@given(SECONDS, SECONDS)
def test_a_long_wait_frees_the_worker(wait: float, defer_after: float) -> None:
    """And a short one does not: a deferral costs seconds."""
    assert should_defer(wait, something_to_submit=False, defer_after=defer_after) == (wait >= defer_after)
