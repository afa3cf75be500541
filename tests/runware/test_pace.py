"""How long to wait, whatever the service says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.runware import backoff, next_look, retry_after
from airflow_provider_clarity.runware.pace import beat

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"RETRY-AFTER": "0"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1e9"}, 3600),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:57 GMT"}, 20),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:57 GMT"}, 20),
        ({"Retry-After": "Sun Nov  6 08:49:57 1994"}, 20),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:17 GMT"}, 0),
        ({"Retry-After": "Sun, 06 Nov 1994 10:49:57 +0200"}, 20),
        ({"Retry-After": "Tue, 06 Nov 2094 08:49:57 GMT"}, 3600),
        ({"Retry-After-Ms": "250", "Retry-After": "3"}, 0.25),
        ({"Retry-After-Ms": "soon", "Retry-After": "3"}, 3),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "99999999999999999999 Nov 1994"}, None),
    ],
    ids=repr,
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], expected: float | None) -> None:
    """A form that is not read is a service flooded while it asks for a pause."""
    assert retry_after(headers, NOW) == expected


@given(st.text())
def test_no_retry_after_raises_or_leaves_the_range(text: str) -> None:
    """The header is written by whatever stands in between."""
    found = retry_after({"Retry-After": text}, NOW)
    assert found is None or 0 <= found <= 3600


@given(st.integers(-5, 10_000), st.floats(0, 1))
def test_backoff_stays_between_half_a_second_and_a_minute(n: int, jitter: float) -> None:
    """Zero would hammer, an hour would miss the recovery."""
    assert 0.5 <= backoff(n, jitter) <= 60


def test_backoff_doubles_and_jitter_spreads_it() -> None:
    """Without jitter all workers come back in the same second."""
    assert [backoff(n, 1) for n in range(1, 8)] == [1, 2, 4, 8, 16, 32, 60]
    assert backoff(3, 0) == 2


def test_the_first_look_is_after_one_to_two_seconds_then_looks_grow_apart_to_ten() -> None:
    """As the service's page on polling asks."""
    ages, waits = [0.0], []
    while ages[-1] < 300:
        waits.append(next_look(ages[-1]))
        ages.append(ages[-1] + waits[-1])
    assert 1 <= waits[0] <= 2
    assert waits[1:] == sorted(waits[1:])
    assert waits[-1] == 10


def test_the_beat_follows_the_tasks_and_floods_nobody() -> None:
    """A slot waits for half a beat in the middle: too long costs throughput, too short floods the API."""
    assert [beat(median) for median in (None, 0.5, 3.0, 5.0, 10.0, 60.0)] == pytest.approx(
        [0.5, 0.25, 0.25, 0.4, 0.8, 1.0]
    )


def test_a_learned_median_saves_the_early_looks_and_keeps_the_tail_close() -> None:
    """Tasks that take a minute need no look in the first seconds; those that take ten must not be seen late."""
    assert next_look(0, 60) >= 15
    assert next_look(20, 9) <= 1.5
    assert next_look(0, 0.1) == pytest.approx(1.5)


def test_whoever_looks_at_many_at_once_may_look_more_often() -> None:
    """One request for a whole window may be sent more often than one for each task; the first is as late as ever."""
    assert next_look(3.0, shortest=0.5) == pytest.approx(0.5)
    assert next_look(0.0, shortest=0.5) == pytest.approx(1.5)
    assert next_look(30.0, shortest=0.5) == next_look(30.0)


@given(st.floats(-10, 1e6), st.none() | st.floats(0, 1e5))
def test_a_look_is_always_ahead_and_never_far(age: float, median: float | None) -> None:
    """Zero would spin; infinity would never look again."""
    wait = next_look(age, median)
    assert wait >= 1
    assert math.isfinite(wait)
    assert age < (median or 0) * 0.3 or wait <= 10
