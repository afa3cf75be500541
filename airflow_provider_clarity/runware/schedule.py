"""Which of the watched tasks are due for a look, and when the next one is. Every time is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final
from uuid import UUID

from airflow_provider_clarity.runware.pace import earliest, next_look

FIRST: Final = 2.0
"""Seconds of age before which a task is not looked at here: it takes a deferral longer to come here."""
NOW: Final = 0.2
"""Seconds before it is due from which on a task has to go with the next sweep."""
AHEAD: Final = 0.6
"""Seconds before they are due from which on tasks go along, if they fill an array."""
FILL: Final = 5.0
"""Seconds before they are due from which on tasks fill up an array that goes anyway: they cost no request."""
_REMEMBERED: Final = 1000
_ENOUGH: Final = 5


@dataclass(slots=True)
class _Watched:
    """A task, since when it is known, when it is due, how many wait for it, and whether it was seen at work."""

    since: float
    due: float
    watchers: int = 1
    seen_working: bool = False


class Schedule:
    """The due times of all watched tasks, and what was learned of how long tasks take."""

    def __init__(self) -> None:
        self._tasks: dict[UUID, _Watched] = {}
        self._took: deque[float] = deque(maxlen=_REMEMBERED)
        self._median: float | None = None
        self._fresh = True

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def median(self) -> float | None:
        """Seconds that the last tasks took, in the middle; none, until a few are done.

        So many are remembered that the slow ones of a large group, which finish last, do not pass for the middle.
        """
        if not self._fresh:
            self._median, self._fresh = median(self._took), True
        return self._median

    def watch(self, task: UUID, now: float, *, age: float = 0.0, first_look: float | None = None) -> float:
        """Begin to watch a task, or watch it for one more.

        :param task: its UUID
        :param now: the time
        :param age: seconds since it was submitted
        :param first_look: seconds until the first look, as somebody said who does not know how long tasks take now: a
            look before any may be done is put off; none: as :func:`next_look` says
        :return: when it is due
        """
        at_least = max(FIRST, earliest(self.median)) - age
        due = now + max(next_look(age, self.median) if first_look is None else first_look, at_least, 0.0)
        if known := self._tasks.get(task):
            known.watchers += 1
            known.due = min(known.due, due)
            return known.due
        self._tasks[task] = _Watched(since=now - age, due=due)
        return due

    def leave(self, task: UUID) -> bool:
        """End one watching of a task.

        :return: whether nobody watches it any more
        """
        known = self._tasks[task]
        known.watchers -= 1
        if known.watchers == 0:
            del self._tasks[task]
        return known.watchers == 0

    def due(self, until: float) -> list[UUID]:
        """Return the tasks that are due until a time, the longest due first."""
        found = [(known.due, uuid) for uuid, known in self._tasks.items() if known.due <= until]
        return [uuid for _, uuid in sorted(found)]

    def sweep(self, now: float, array: int) -> list[UUID]:
        """Return the tasks to ask for now, the longest due first: as many whole arrays as are worth their request.

        :param now: the time
        :param array: tasks of one request
        """
        soon = self.due(now + FILL)
        must = sum(self._tasks[task].due <= now + NOW for task in soon)
        may = sum(self._tasks[task].due <= now + AHEAD for task in soon)
        return soon[: max(-(-must // array), may // array) * array]

    def next_moment(self) -> float:
        """Return when the next task is due; infinity, when none is."""
        return min((known.due for known in self._tasks.values()), default=math.inf)

    def looked(self, task: UUID, now: float) -> None:
        """Note that a task was looked at and is not done."""
        if known := self._tasks.get(task):
            known.seen_working = True
            known.due = now + next_look(now - known.since, self.median)

    def done(self, task: UUID, now: float) -> None:
        """Note that a task is done: it is not due any more, and how long it took is learned.

        Nothing is learned of one that was done at the first look: it may have been so for hours.
        """
        known = self._tasks.get(task)
        if known is None or known.due == math.inf:
            return
        known.due = math.inf
        if known.seen_working:
            self._took.append(now - known.since)
            self._fresh = len(self._took) < _ENOUGH
