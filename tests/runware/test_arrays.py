"""Cutting tasks into POSTs."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.runware.arrays import cut, encode, join

SIZES = st.lists(st.integers(1, 30), max_size=60)


@given(SIZES, st.integers(1, 7), st.integers(10, 60), st.integers(5, 30))
def test_every_task_is_in_exactly_one_array_that_fits(sizes: list[int], tasks: int, most: int, alone: int) -> None:
    """A task in none is never bought, a task in two is refused."""
    parts = cut(sizes, max_tasks=tasks, max_bytes=most, alone_above=alone)
    assert [position for part in parts for position in part] == list(range(len(sizes)))
    for part in parts:
        body = sum(sizes[position] + 1 for position in part) + 1
        assert 1 <= len(part) <= tasks
        assert len(part) == 1 or body <= most
        assert len(part) == 1 or all(sizes[position] <= alone for position in part)


def test_small_tasks_fill_their_arrays() -> None:
    """Ten arrays of ten would be ten times the requests."""
    assert [len(part) for part in cut([100] * 250)] == [100, 100, 50]
    assert cut([]) == []


@given(st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers()), min_size=1, max_size=5))
def test_the_body_is_the_array(tasks: list[dict[str, object]]) -> None:
    """Joined by hand, so that each task is encoded once: it must still be JSON."""
    encoded = [encode(task) for task in tasks]
    assert json.loads(join(encoded)) == tasks
    assert len(join(encoded)) == sum(len(task) + 1 for task in encoded) + 1
