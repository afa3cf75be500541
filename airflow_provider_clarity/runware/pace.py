"""How long to wait. Pure: the time and the jitter are arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_RETRY_AFTER: Final = 3600.0
FIRST_LOOK: Final = 1.5
SHORTEST_LOOK: Final = 1.25
LONGEST_LOOK: Final = 10.0
_LONGEST_BACKOFF: Final = 60.0
_OF_AGE: Final = 0.14
_EARLIEST_OF_MEDIAN: Final = 0.4
_TAIL_OF_MEDIAN: Final = 4.0
_BEAT_OF_MEDIAN: Final = 0.08
_SHORTEST_BEAT: Final = 0.25
_LONGEST_BEAT: Final = 1.0
_BEAT_UNKNOWN: Final = 0.5


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long the service asks us to wait: ``Retry-After-Ms``, or ``Retry-After`` in seconds or as a date.

    :param headers: of the reply; capitals do not count
    :param now: the time as seconds since the epoch, for a date
    :return: seconds, 0 to 3600; none, when nothing readable is there
    """
    found = {name.casefold(): value.strip() for name, value in headers.items()}
    milliseconds = _seconds(found.get("retry-after-ms"))
    wait = milliseconds / 1000 if milliseconds is not None else _seconds(found.get("retry-after"))
    if wait is None:
        wait = _until(found.get("retry-after"), now)
    return None if wait is None else min(max(wait, 0.0), LONGEST_RETRY_AFTER)


def backoff(n: int, jitter: float) -> float:
    """Return the seconds to wait after failures in a row: 1, 2, 4 ... at most 60, less up to half of it by jitter.

    :param n: how many failures in a row, counted from 1
    :param jitter: 0 to 1, drawn by the caller
    """
    longest = min(_LONGEST_BACKOFF, 2.0 ** min(max(n, 1) - 1, 16))
    return longest * (0.5 + 0.5 * jitter)


def earliest(median: float | None) -> float:
    """Return the age in seconds at which the fastest tasks may be done; 0, when it is not known.

    :param median: seconds that tasks took lately, in the middle
    """
    return 0.0 if median is None else median * _EARLIEST_OF_MEDIAN


def beat(median: float | None) -> float:
    """Return the seconds between two look-ups of many tasks, and between two submits: a twelfth of what a task takes.

    Without a queue at the service a slot is idle from the end of its task until we have looked and submitted, so what
    is lost is a share of the tasks' own time, and the number of requests an image does not depend on how long it takes.

    :param median: seconds that tasks took lately, in the middle; none, when it is not known
    :return: 0.25 to 1 seconds
    """
    return _BEAT_UNKNOWN if median is None else min(max(median * _BEAT_OF_MEDIAN, _SHORTEST_BEAT), _LONGEST_BEAT)


def next_look(age: float, median: float | None = None, *, shortest: float = SHORTEST_LOOK) -> float:
    """Return the seconds until a task is worth looking at (again).

    The first look is at 1.5 s, or, where it is known how long tasks take, when the fastest may be done. From then on
    looks are as far apart as 14 % of what the task takes, so that being late stays small beside the wait, and never
    further than 10 s (https://runware.ai/docs/platform/task-polling: begin with 1 to 2 seconds and increase).

    :param age: seconds since the task was submitted
    :param median: seconds that tasks took lately, in the middle; none, when it is not known
    :param shortest: least time between two looks; less than usual only where one request looks at many tasks
    """
    age = max(age, 0.0)
    first = max(FIRST_LOOK, earliest(median))
    takes = age if median is None else max(median, age / _TAIL_OF_MEDIAN)
    apart = min(max(takes * _OF_AGE, shortest), LONGEST_LOOK)
    return max(apart, first - age) if age < first else apart


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _until(text: str | None, now: float) -> float | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
