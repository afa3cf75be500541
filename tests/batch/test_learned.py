"""How long tasks take, learned from the last ones."""

from __future__ import annotations

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.learned import REMEMBERED, Learned


def test_a_few_tasks_are_not_enough() -> None:
    """The first task may be odd: nothing is said before four."""
    learned = Learned()
    for seconds in (1.0, 9.0, 2.0):
        learned = learned.after(seconds)
        assert learned.median is None
    assert learned.after(3.0).median == 2.5


@given(st.lists(st.floats(-5, 1e6), min_size=4, max_size=100))
def test_only_the_last_ones_count(seconds: list[float]) -> None:
    """So what it says follows the work; a clock that was set back is no negative time."""
    learned = Learned()
    for one in seconds:
        learned = learned.after(one)
    last = [round(max(0.0, one), 3) for one in seconds[-REMEMBERED:]]
    assert learned.took == tuple(last)
    assert learned.median == median(last)


def test_thirty_two_are_remembered() -> None:
    """As many as the default ceiling of a window: older ones are of the past, and fewer would be luck."""
    learned = Learned()
    for seconds in range(40):
        learned = learned.after(seconds)
    assert learned.took == tuple(range(8, 40))
    assert learned.median == 23.5
