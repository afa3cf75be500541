"""One sweep for all waiters of a process: a thousand deferred tasks cost ten requests a look, not a thousand.

Invariants: waiting only reads. A poll that fails is no news. The sweep runs in an *empty* context (a task inherits the
context of who starts it, and a log handler found there would write into a stranger's log), is strongly referenced, and
tells each waiter through a future of its own; so a cancelled waiter takes nobody along. The last one to leave ends the
sweep, which closes its sockets. No thread of its own. Memory: one state a watched task, until its last waiter leaves.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import math
import random
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.arrays import MAX_TASKS
from airflow_provider_clarity.runware.pace import backoff
from airflow_provider_clarity.runware.replies import PollReply, TaskState
from airflow_provider_clarity.runware.schedule import Schedule

TICK: Final = 1.38
"""Seconds between two sweeps, at least: what falls due meanwhile goes together."""
_JITTER: Final = 0.05


class Poller(Protocol):
    """What the hub needs of a client; :class:`~airflow_provider_clarity.runware.client.ClarityClient` is one."""

    async def get_response(self, task_uuids: Iterable[UUID], /) -> PollReply:
        """Ask for the state of tasks."""
        ...

    async def aclose(self) -> None:
        """Close the sockets."""
        ...


ClientFactory = Callable[[], Awaitable[Poller]]


@dataclass(frozen=True, slots=True)
class WaitResult:
    """Why a waiter was woken.

    :param settled: the tasks that succeeded or failed, of those it waited for
    :param deadline_reached: the time was over before as many were settled as asked for
    :param unreachable: why the service cannot be asked any more (the key was refused); nothing is lost by it
    """

    settled: Mapping[UUID, TaskState]
    deadline_reached: bool = False
    unreachable: str | None = None


@dataclass(eq=False, slots=True)
class _Waiter:
    """One who waits: for what, for how many of it, and the future that wakes it with the reason, if there is one."""

    tasks: frozenset[UUID]
    wanted: int
    woken: asyncio.Future[str | None]
    settled: dict[UUID, TaskState] = field(default_factory=dict)

    def tell(self, state: TaskState) -> None:
        self.settled[state.task_uuid] = state
        if len(self.settled) >= self.wanted:
            self.wake(None)

    def wake(self, why: str | None) -> None:
        if not self.woken.done():
            self.woken.set_result(why)


_Key = tuple[str, str]
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, PollHub]] = WeakKeyDictionary()
_hubs_lock = threading.Lock()
_running: set[asyncio.Task[None]] = set()


class PollHub:
    """Waits for tasks together with everybody else who waits through the same connection, on the same loop.

    Made by :meth:`join`. It may be kept and used again after everybody left.

    :param client_factory: makes the client of a sweep; called once a sweep, and once more when the key is refused
    :param jitter: draws 0 to 1
    """

    def __init__(self, client_factory: ClientFactory, *, jitter: Callable[[], float] = random.random) -> None:
        self.client_factory = client_factory
        self._jitter = jitter
        self._schedule = Schedule()
        self._settled: dict[UUID, TaskState] = {}
        self._waiters: set[_Waiter] = set()
        self._by_task: dict[UUID, set[_Waiter]] = {}
        self._sweep: asyncio.Task[None] | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = -math.inf

    @classmethod
    def join(cls, client_factory: ClientFactory, *, base_url: str, api_key: str) -> PollHub:
        """Return the hub of this loop and connection.

        :param client_factory: makes a client of this connection, reading the connection anew
        :param base_url: the connection's address
        :param api_key: its key; only a digest is kept
        """
        key = (base_url.rstrip("/"), hashlib.sha256(api_key.encode()).hexdigest())
        with _hubs_lock:
            hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
            hub = hubs.setdefault(key, cls(client_factory))
            hub.client_factory = client_factory  # the newest knows the connection best
            return hub

    async def wait(
        self,
        task_uuids: Iterable[UUID],
        *,
        settled: int | Literal["all"] = "all",
        first_look: float | None = None,
        age: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109 - the end of the time is an answer here, no exception
    ) -> WaitResult:
        """Wait until enough of the tasks are settled, the time is over, or the service cannot be asked any more.

        :param task_uuids: the tasks to wait for
        :param settled: how many of them must have succeeded or failed
        :param first_look: seconds until the first look; none: as is usual for their age
        :param age: seconds since they were submitted
        :param timeout: seconds to wait at most; none: without end
        """
        tasks = frozenset(task_uuids)
        wanted = len(tasks) if settled == "all" else min(settled, len(tasks))
        waiter = _Waiter(tasks, wanted, asyncio.get_running_loop().create_future())
        self._enter(waiter, age=age, first_look=first_look)
        try:
            await asyncio.wait((waiter.woken,), timeout=timeout)
            over = not waiter.woken.done()
            return WaitResult(dict(waiter.settled), over, None if over else waiter.woken.result())
        finally:
            self._leave(waiter)

    @property
    def idle(self) -> bool:
        """Whether nobody waits and no sweep runs."""
        return self._sweep is None and not self._waiters

    def _enter(self, waiter: _Waiter, *, age: float, first_look: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._waiters.add(waiter)
        due = math.inf
        for task in waiter.tasks:
            due = min(due, self._schedule.watch(task, now, age=age, first_look=first_look))
            self._by_task.setdefault(task, set()).add(waiter)
            if known := self._settled.get(task):
                waiter.tell(known)
        if waiter.wanted == 0:
            waiter.wake(None)
        if self._sweep is None:
            self._start()
        elif due < self._alarm_at:
            self._ring()

    def _leave(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        for task in waiter.tasks:
            self._by_task[task].discard(waiter)
            if self._schedule.leave(task):
                self._settled.pop(task, None)
                del self._by_task[task]
        if not self._waiters and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        sweep = loop.create_task(self._run(), name="clarity-poll-hub", context=contextvars.Context())
        _running.add(sweep)
        sweep.add_done_callback(_running.discard)
        self._sweep = sweep

    def _ring(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _run(self) -> None:
        """Sweep until nobody waits; whatever ends it otherwise reaches all who wait."""
        me = asyncio.current_task()
        try:
            await self._poll_all()
        except asyncio.CancelledError:
            if self._sweep is me:  # not by the last waiter: the loop is being shut down
                self._end("The poll hub was stopped. Nothing is lost: the tasks can be waited for again.")
            raise
        except ClarityError as error:
            self._end(error.message)
        except Exception as error:  # noqa: BLE001 - a defect must reach those who wait, or they would wait for ever
            self._sweep = None
            for waiter in self._waiters:
                if not waiter.woken.done():
                    waiter.woken.set_exception(error)

    def _end(self, why: str) -> None:
        self._sweep = None
        for waiter in self._waiters:
            waiter.wake(why)

    async def _poll_all(self) -> None:
        loop = asyncio.get_running_loop()
        client = await self.client_factory()
        failures, renewed = 0, False
        not_before = -math.inf
        try:
            while True:
                await self._until(not_before)
                asked_at = loop.time()
                reply = await client.get_response(self._schedule.sweep(asked_at, MAX_TASKS))
                if reply.stop is not None:
                    if renewed:
                        raise reply.stop
                    renewed = True
                    stale, client = client, await self.client_factory()
                    await stale.aclose()
                    continue
                self._take(reply, asked_at)
                failures = 0 if reply.states and not reply.throttled else failures + 1
                renewed = renewed and not reply.states
                pause = TICK + _JITTER * self._jitter()
                if failures:
                    pause = max(pause, backoff(failures, self._jitter()), reply.retry_after or 0.0)
                not_before = asked_at + pause
        finally:
            await client.aclose()

    async def _until(self, not_before: float) -> None:
        """Sleep until a task is due and a sweep is allowed; a task that falls due earlier rings."""
        loop = asyncio.get_running_loop()
        while (at := max(self._schedule.next_moment(), not_before)) > loop.time():
            self._alarm = loop.create_future()
            self._alarm_at = at
            await asyncio.wait((self._alarm,), timeout=None if at == math.inf else at - loop.time())
        self._alarm_at = -math.inf

    def _take(self, reply: PollReply, asked_at: float) -> None:
        """Hand the news out. What was not answered stays due."""
        for task, state in reply.states.items():
            waiters = self._by_task.get(task)
            if waiters is None:  # its last waiter left meanwhile
                continue
            if state.status not in ("success", "failed"):
                self._schedule.looked(task, asked_at)
                continue
            self._schedule.done(task, asked_at)
            self._settled[task] = state
            for waiter in waiters:
                waiter.tell(state)
