"""How long to wait and where to do it. Pure: no clock, no randomness."""

from __future__ import annotations


def expected_remaining(age: float, median: float | None = None) -> float:
    """Guess how long a task will still take, in seconds.

    With nothing learned, what has taken long will take long: as much again as it has taken so far.

    :param age: seconds since its submit
    :param median: the learned median, where there is one
    """
    if median is not None and age < median:
        return median - age
    return max(age, 0.0)


def should_defer(next_useful_in: float, *, something_to_submit: bool, defer_after: float) -> bool:
    """Decide whether to free the worker.

    Feeding a window is work, not waiting. A deferral costs seconds, so a short wait stays on the worker.

    :param next_useful_in: seconds until something can be done
    :param something_to_submit: whether a submit can leave now
    :param defer_after: the wait from which on a deferral pays, in seconds
    """
    return not something_to_submit and next_useful_in >= defer_after
