"""How many tasks may be with the service at once. Pure: the time and what happened come in.

The service tells its capacity in one way only: by 429, for single tasks or for a whole POST. So the window is raised by
probes, and a refusal sets it to what was just seen to fit.

Invariants, each a property in the tests:

- the window is never less than 1 nor more than its ceiling;
- a POST never asks for more than is free in it and, where one is due, a probe. A probe that is taken doubles the next,
  until it is a quarter of the window, one that is refused makes the next wait, longer each time; after two POSTs in a
  row of which nothing was taken, the next asks with one task. Where POSTs are refused as a whole it leaves alone, when
  the window is full, so that its refusal costs nothing else;
- nothing leaves before ``next_submit_at``, which is never earlier than ``Retry-After`` says;
- it grows only while tasks take at most twice as long as they did when the window was small: what takes longer waits
  in a queue, where more of them only make it longer.

It is advice: no purchase is made or spared by it, so what cannot be read of a stored one is begun anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from airflow_provider_clarity.batch.learned import REMEMBERED, Learned
from airflow_provider_clarity.runware.pace import LONGEST_RETRY_AFTER

VERSION: Final = 1
START: Final = 4

_SECONDS_BETWEEN_PROBES: Final = 1.0
_FIRST_PATIENCE: Final = 4.0
_LONGEST_PATIENCE: Final = 60.0
_LONGEST_PAUSE: Final = 60.0
_SAME: Final = (0.9, 1.1)  # of what fitted last time: then nothing has changed, and the next probe can wait longer
_AFTER_OVERLOAD: Final = 0.7
_SLOW: Final = 2.0
_TOO_LONG_SLOW: Final = 20  # median task times
_FIRST_LESSONS: Final = (8, 16)

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of the capacity. Times are epoch seconds. Begin with :meth:`opened`.

    :param ceiling: the most that the user allows
    :param limit: tasks that may be in flight
    :param reach: by how much the next probe exceeds the limit
    :param probe_at: when the next probe may leave
    :param patience: seconds until another probe, after the last refusal
    :param fitted: the limit after the last refusal, 0 where there was none
    :param whole: whether the service refuses POSTs as a whole
    :param refusals: POSTs in a row of which nothing was taken
    :param next_submit_at: before this nothing leaves
    :param settled: successes since the limit was last changed
    :param learned: how long tasks take
    :param lessons: how many tasks that was learned from
    :param learn_from: tasks that were sent earlier say nothing of this window
    :param calm: seconds that tasks took, in the middle, when it was shortest
    :param slow_since: since when tasks take too long for the window to grow
    :param cut_at: when an overload last made it smaller
    """

    ceiling: Annotated[int, Field(ge=1)]
    limit: Annotated[int, Field(ge=1)]
    reach: Annotated[int, Field(ge=1)]
    probe_at: Seconds = 0.0
    patience: Seconds = _FIRST_PATIENCE
    fitted: Count = 0
    whole: bool = False
    refusals: Count = 0
    next_submit_at: Seconds = 0.0
    settled: Count = 0
    learned: Learned = field(default_factory=Learned)
    lessons: Count = 0
    learn_from: Seconds = 0.0
    calm: Seconds | None = None
    slow_since: Seconds | None = None
    cut_at: Seconds = 0.0

    @classmethod
    def opened(cls, ceiling: int) -> Window:
        """Open a window: 4 tasks, which doubles with every window full of successes until it meets a limit."""
        if ceiling < 1:
            raise ValueError(f"a window has room for one task at least, not for {ceiling}")
        return cls(ceiling, min(START, ceiling), START)

    def room(self, in_flight: int, now: float) -> int:
        """Say how many tasks the next POST may carry; ask again after its reply.

        Where POSTs are refused as a whole each takes two thirds of what is free: so the one that is too much is small.

        :param in_flight: tasks that the service may have accepted and not finished
        :param now: epoch seconds
        """
        free = self.limit - in_flight
        if now < self.next_submit_at or free < 0:
            return 0
        probe = self._probe() if now >= self.probe_at else 0
        if self.refusals > 1:  # far more was refused than a slot or two: ask with one, not with all that became free
            return min(1, free + probe)
        return -(-2 * free // 3) if self.whole and free > 0 else free + probe

    def opens_at(self, in_flight: int, now: float) -> float:
        """Say when there may be room, epoch seconds; infinity where that takes the end of one in flight."""
        if in_flight < self.limit:
            return max(now, self.next_submit_at)
        if in_flight > self.limit or not self._probe():
            return float("inf")
        return max(now, self.next_submit_at, self.probe_at)

    def answered(
        self, *, accepted: int, refused: int, in_flight: int, now: float, retry_after: float | None = None
    ) -> Window:
        """Learn from the reply to a POST.

        :param accepted: how many of its tasks were taken
        :param refused: how many were answered 429; all of them where the whole POST was
        :param in_flight: what the service has accepted and not finished now, those of this POST among them
        :param now: epoch seconds
        :param retry_after: seconds the service asked to wait, where it did
        """
        if refused:
            return self._refused(accepted, refused, in_flight, now, retry_after or 0.0)
        if not accepted:
            return self
        if in_flight <= self.limit:
            return replace(self, refusals=0)
        return replace(
            self,
            limit=min(in_flight, self.ceiling),
            reach=min(2 * self.reach, max(1, in_flight // 4)) if self.fitted else 2 * self.reach,
            probe_at=now + _SECONDS_BETWEEN_PROBES,
            settled=0,
            refusals=0,
        )

    def overloaded(self, *, sent_at: float, now: float, retry_after: float | None = None) -> Window:
        """Learn from a 503 or 504: what was sent before the window was made smaller does not make it smaller again.

        :param sent_at: when the POST left that was answered so
        :param retry_after: seconds the service asked to wait, where it did
        """
        refusals = self.refusals + 1
        pause = max(retry_after or 0.0, _pause(refusals + 2))
        paused = replace(self, refusals=refusals, next_submit_at=max(self.next_submit_at, now + pause))
        if sent_at < self.cut_at:
            return paused
        limit = max(1, int(self.limit * _AFTER_OVERLOAD))
        return replace(paused, limit=limit, reach=1, probe_at=now + _FIRST_PATIENCE, settled=0, cut_at=now)

    def succeeded(self, sent_at: float, now: float, *, watched: bool = True) -> Window:
        """Learn from a task that made its picture.

        :param sent_at: when it was submitted
        :param watched: whether it was looked at while it was at work; else it may have been done for long
        """
        if sent_at < self.learn_from:
            return self
        one_more = replace(self, settled=self.settled + 1)
        if not watched:
            return one_more
        learned, lessons = self.learned.after(now - sent_at), self.lessons + 1
        calm, median = self.calm, learned.median
        # Of a window that has not turned over once, the quick ones are done first: their middle is not that of all.
        due = lessons >= self.limit and (lessons in _FIRST_LESSONS or lessons % REMEMBERED == 0)
        if median is not None and due:
            calm = median if calm is None else min(calm, median)
        wiser = replace(one_more, learned=learned, lessons=lessons, calm=calm)
        if not wiser.slow:
            return replace(wiser, slow_since=None)
        if self.slow_since is None:
            return replace(wiser, slow_since=now)
        if now - self.slow_since > _TOO_LONG_SLOW * (median or 0.0):
            return self._begun_anew(now)
        return wiser

    @property
    def slow(self) -> bool:
        """Whether tasks take so long that the window does not grow."""
        median = self.learned.median
        return self.calm is not None and median is not None and median > _SLOW * self.calm

    def to_json(self) -> dict[str, Any]:
        """Return what is stored: all but the ceiling, which is what the user says today."""
        stored: dict[str, Any] = _STORED.dump_python(self, mode="json", exclude={"ceiling"})
        return {"v": VERSION} | stored

    @classmethod
    def from_json(cls, value: object, *, ceiling: int, now: float) -> Window:
        """Take a stored window up again; one that cannot be read is begun anew.

        :param now: epoch seconds; what another machine's clock wrote is not waited for longer than need be
        """
        fresh = cls.opened(ceiling)
        if not isinstance(value, dict) or value.get("v") != VERSION:
            return fresh
        try:
            stored = _STORED.validate_python(value | {"ceiling": ceiling})
        except ValidationError:
            return fresh
        return replace(
            stored,
            limit=min(stored.limit, ceiling),
            probe_at=min(stored.probe_at, now + _LONGEST_PATIENCE),
            next_submit_at=min(stored.next_submit_at, now + LONGEST_RETRY_AFTER),
            learn_from=min(stored.learn_from, now),
            cut_at=min(stored.cut_at, now),
            slow_since=None,
        )

    def _probe(self) -> int:
        """How far a probe may exceed the limit, once a window full of tasks has shown that it is used and right."""
        if self.settled < self.limit or self.slow:
            return 0
        median, roof = self.learned.median, self.ceiling
        if self.calm is not None and median:  # Little's law: this much in flight takes about that long
            roof = min(roof, max(self.limit + 1, int(self.limit * _SLOW * self.calm / median)))
        elif self.learned.took and self.limit > _FIRST_LESSONS[0]:
            return 0
        return min(self.limit + self.reach, roof) - self.limit

    def _refused(self, accepted: int, refused: int, in_flight: int, now: float, retry_after: float) -> Window:
        """Set the limit to what fits: exactly that where the service took some, else half of what was too much."""
        fits = in_flight if accepted else in_flight + refused // 2
        limit = min(max(1, fits), self.ceiling)
        least, most = (self.fitted * factor for factor in _SAME)
        patience = min(2 * self.patience, _LONGEST_PATIENCE) if least <= limit <= most else _FIRST_PATIENCE
        refusals = 0 if accepted else self.refusals + 1
        return replace(
            self,
            limit=limit,
            reach=1,
            probe_at=now + patience,
            patience=patience,
            fitted=limit,
            whole=not accepted and (refused > 1 or self.whole),
            refusals=refusals,
            next_submit_at=max(self.next_submit_at, now + max(retry_after, _pause(refusals))),
            settled=0,
        )

    def _begun_anew(self, now: float) -> Window:
        """Halve the window and learn anew, where tasks have been slow for long.

        If they wait in a queue, half of it still fills all slots, and costs nothing. If the work itself has changed,
        what is learned now lets the window grow again.
        """
        return replace(
            self,
            limit=max(1, self.limit // 2),
            reach=1,
            settled=0,
            learned=Learned(),
            lessons=0,
            learn_from=now,
            calm=None,
            slow_since=None,
        )


_STORED: Final = TypeAdapter(Window)


def _pause(refusals: int) -> float:
    """Seconds until the next POST after so many in a row were refused; a single one says only that it is full."""
    return 0.0 if refusals < 2 else min(_LONGEST_PAUSE, 2.0 ** min(refusals - 3, 16))  # noqa: PLR2004
