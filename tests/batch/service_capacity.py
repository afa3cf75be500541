"""A service with slots and a queue, and a client that keeps a window full, in virtual time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from airflow_provider_clarity.batch.window import Window

ROUND_TRIP = 0.1


def fixed(seconds: float = 3.0) -> Callable[[], float]:
    """Every task takes the same."""
    return lambda: seconds


def lognormal(median: float = 3.0, seed: int = 0) -> Callable[[], float]:
    """As the emulator draws it: one in twenty takes 2.7 times the median."""
    dice = random.Random(seed)  # noqa: S311 - the same every time
    return lambda: dice.lognormvariate(math.log(median), 0.6)


@dataclass(slots=True)
class Service:
    """``slots`` tasks at a time, ``queue`` more may wait, 429 beyond: for each task, or for the whole POST."""

    seconds: Callable[[], float]
    slots: int
    queue: int
    whole: bool
    now: float = 0.0
    busy_seconds: float = 0.0
    slot_seconds: float = 0.0
    number: int = 0
    running: list[tuple[float, int]] = field(default_factory=list)
    waiting: deque[int] = field(default_factory=deque)
    done: list[int] = field(default_factory=list)

    def until(self, now: float) -> None:
        """Let time pass."""
        while self.running and self.running[0][0] <= now:
            ended, task = heapq.heappop(self.running)
            self._count(ended)
            self.done.append(task)
            self.admit()
        self._count(now)

    def post(self, tasks: int) -> list[int]:
        """Take what fits; return the tasks that were taken."""
        free = max(0, self.slots + self.queue - len(self.running) - len(self.waiting))
        taken = min(tasks, free) if not self.whole or tasks <= free else 0
        new = list(range(self.number, self.number + taken))
        self.number += taken
        self.waiting.extend(new)
        self.admit()
        return new

    def admit(self) -> None:
        """Give free slots to those who wait."""
        while self.waiting and len(self.running) < self.slots:
            heapq.heappush(self.running, (self.now + self.seconds(), self.waiting.popleft()))

    def _count(self, now: float) -> None:
        passed = now - self.now
        self.busy_seconds += min(len(self.running), self.slots) * passed
        self.slot_seconds += self.slots * passed
        self.now = now


@dataclass(frozen=True, slots=True)
class Mark:
    """The sums at a moment."""

    at: float
    busy_seconds: float
    slot_seconds: float
    accepted: int
    refused: int
    posts: int
    limit: int


@dataclass(slots=True)
class Client:
    """Looks at its tasks every so often, and fills its window again."""

    window: Window
    service: Service
    looks_every: float = 0.25
    retry_after: float | None = None
    sent: dict[int, float] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0
    posts: list[float] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    jitter: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    def run(self, until: float, changes: Sequence[tuple[float, Callable[[Service], None]]] = ()) -> Client:
        """Work until then; a change of the service happens at its time."""
        now, left = self.service.now, deque(changes)
        while now < until:
            while left and left[0][0] <= now:
                left.popleft()[1](self.service)
                self.service.admit()
            self._look(now)
            ended = self._fill(now)
            self._mark(ended)
            now = max(now + self.looks_every * self.jitter.uniform(0.9, 1.1), ended)
        return self

    def used(self, start: float, end: float) -> float:
        """Return the share of the slots that were used between two moments."""
        first, last = self._between(start, end)
        return (last.busy_seconds - first.busy_seconds) / (last.slot_seconds - first.slot_seconds)

    def turned_away(self, start: float, end: float) -> float:
        """Return the share of the tasks that were answered 429 between two moments."""
        first, last = self._between(start, end)
        refused, accepted = last.refused - first.refused, last.accepted - first.accepted
        return refused / max(1, refused + accepted)

    def _between(self, start: float, end: float) -> tuple[Mark, Mark]:
        found = [mark for mark in self.marks if start <= mark.at <= end]
        return found[0], found[-1]

    def _look(self, now: float) -> None:
        self.service.until(now)
        for task in self.service.done:
            self.window = self.window.succeeded(self.sent.pop(task), now)
        self.service.done.clear()

    def _fill(self, now: float) -> float:
        """POST until the window is full or refuses; return when that was."""
        while (room := min(self.window.room(len(self.sent), now), 100)) > 0:
            self.posts.append(now)
            self.service.until(now + ROUND_TRIP / 2)
            taken = self.service.post(room)
            self.sent |= dict.fromkeys(taken, now)
            now += ROUND_TRIP
            self.accepted += len(taken)
            self.refused += room - len(taken)
            self.window = self.window.answered(
                accepted=len(taken),
                refused=room - len(taken),
                in_flight=len(self.sent),
                now=now,
                retry_after=self.retry_after if len(taken) < room else None,
            )
            if len(taken) < room:
                break
        return now

    def _mark(self, now: float) -> None:
        if not self.marks or now >= self.marks[-1].at + 5:
            service = self.service
            self.marks.append(
                Mark(
                    now,
                    service.busy_seconds,
                    service.slot_seconds,
                    self.accepted,
                    self.refused,
                    len(self.posts),
                    self.window.limit,
                )
            )
