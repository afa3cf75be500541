"""A process that works on a run: it may die before or after any of its requests, or be frozen there and wake later.

Invariants: once it is dead none of its requests has an effect, but for those that were on their way when it died and
arrive (``arrives``); a frozen one makes no request until it wakes, and then goes on as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Self, TypeVar

from sequence_loop import SequenceLoop, pause

from airflow_provider_clarity.exceptions import ClarityDeliveryError

T = TypeVar("T")

Op = Literal["any", "write", "create", "rewrite", "delete", "look", "submit", "response", "details", "fetch"]
What = Literal["die_before", "die_after", "freeze_before", "freeze_after", "fail_before", "fail_after", "repeat"]

OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)
_WRITES = frozenset({"create", "rewrite", "delete"})
_NO_ANSWER = "Cloud Storage did not answer (a fault of the sequence)."


class DiedError(BaseException):
    """The process is dead. Nothing that catches errors catches this."""


@dataclass(frozen=True)
class Fault:
    """Something that happens at the n-th request of a kind.

    :param op: the kind; ``any`` counts all, ``write`` what changes a bucket
    :param nth: from 0
    :param seconds: for which it is frozen
    """

    op: Op
    nth: int
    what: What
    seconds: float = 0.0


@dataclass(eq=False)
class Process:
    """A runner.

    :param place: run key and map index, for the accounts
    :param arrives: whether what is on its way when it dies still arrives
    """

    name: str
    run: str
    place: str
    loop: SequenceLoop
    random: Random
    faults: tuple[Fault, ...] = ()
    arrives: bool = False
    dead: bool = False
    frozen_until: float = 0.0
    met: Counter[str] = field(default_factory=Counter)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    error: BaseException | None = None
    reserve: Callable[[], int] | None = None
    flying: Callable[[], set[str]] | None = None
    stop: Callable[[], None] = lambda: None
    round_number: int = 0
    life: asyncio.Task[None] | None = None

    def die(self) -> None:
        """Be dead from now on, at whatever it is."""
        if not self.dead:
            self.dead = True
            for task in self.tasks:
                self.loop.call_soon(task.cancel)

    def ask(self, op: Op, effect: Callable[[], T]) -> T:
        """Make a request of Cloud Storage, in what runs as a thread."""
        fault = self._meets(op)
        self._thaw()
        if fault is not None and fault.what == "fail_before":
            pause(self.loop, self.latency())
            self._must_live()
            raise ClarityDeliveryError(_NO_ANSWER, retryable=True)
        pause(self.loop, self.latency())
        if self.dead and not (self.arrives and op in _WRITES):
            raise DiedError
        result = effect()
        if fault is not None and fault.what == "repeat":
            result = effect()  # the library repeats what it got no answer to
        self._after(fault)
        self._thaw()
        if op in _WRITES:
            pause(self.loop, self.latency())
        self._thaw()
        if fault is not None and fault.what == "fail_after":
            raise ClarityDeliveryError(_NO_ANSWER, retryable=True)
        return result

    async def send(self, op: Op, effect: Callable[[], T]) -> T:
        """Make a request of the service, on the loop. What becomes of the reply is the effect's."""
        fault = self._meets(op)
        await self._thawed()
        await asyncio.sleep(self.latency())
        if self.dead and not self.arrives:
            raise DiedError
        result = effect()
        self._after(fault)
        await self._thawed()
        await asyncio.sleep(self.latency())
        await self._thawed()
        return result

    def latency(self) -> float:
        """Draw what one way takes, seconds."""
        return self.random.uniform(0.005, 0.06)

    def _meets(self, op: Op) -> Fault | None:
        self._must_live()
        kinds = ["any", op, *(["write"] if op in _WRITES else [])]
        fault = next((one for one in self.faults if one.op in kinds and one.nth == self.met[one.op]), None)
        self.met.update(kinds)
        if fault is not None and fault.what == "die_before":
            self.die()
            raise DiedError
        if fault is not None and fault.what == "freeze_before":
            self.frozen_until = self.loop.now + fault.seconds
        return fault

    def _after(self, fault: Fault | None) -> None:
        if fault is not None and fault.what == "die_after":
            self.die()
        if fault is not None and fault.what == "freeze_after":
            self.frozen_until = self.loop.now + fault.seconds
        self._must_live()

    def _thaw(self) -> None:
        while self.loop.now < self.frozen_until and not self.dead:
            pause(self.loop, self.frozen_until - self.loop.now)
        self._must_live()

    async def _thawed(self) -> None:
        while self.loop.now < self.frozen_until and not self.dead:  # noqa: ASYNC110 - it may be frozen longer meanwhile
            await asyncio.sleep(self.frozen_until - self.loop.now)
        self._must_live()

    def _must_live(self) -> None:
        if self.dead:
            raise DiedError


class _Task(asyncio.Task[Any]):
    """A task whose place in a set is that of its making: sequences go the same way each time."""

    _made = itertools.count()

    def __new__(cls, *_what: Any, **_how: Any) -> Self:
        task = super().__new__(cls)
        task.number = next(cls._made)
        return task

    number: int

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


def owned(loop: asyncio.AbstractEventLoop, coro: Any, **how: Any) -> asyncio.Task[Any]:
    """Make a task, and remember whose it is (a task factory)."""
    task = _Task(coro, loop=loop, **how)
    owner = OWNER.get()
    if owner is not None:
        owner.tasks.add(task)
        task.add_done_callback(owner.tasks.discard)
    return task
