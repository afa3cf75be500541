"""An event loop in virtual time whose threads are greenlets: whole runs in milliseconds, always in the same order.

What the package does in a thread runs in a greenlet that gives way at each request (:func:`pause`), so that requests of
one process and of several come between each other as they would, and a request takes virtual time only.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from greenlet import GreenletExit, getcurrent, greenlet

from airflow_provider_clarity.batch import threads
from airflow_provider_clarity.batch.journal import journal
from airflow_provider_clarity.batch.plan import ahead


class SequenceLoop(asyncio.SelectorEventLoop):
    """A loop that, with nothing to do until its next timer, moves its clock there."""

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now

    def set_default_executor(self, executor: Any) -> None:
        """Take none: there are no threads, and to end some would wait for real ones."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # noqa: ARG002
        """Begin at once, in a greenlet of its own."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except GreenletExit:  # nobody needs it any more
                return
            except BaseException as error:  # noqa: BLE001 - a death is one
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        greenlet(work).switch()
        return future


class _JumpingSelector(selectors.SelectSelector):
    """Never asks the system: nothing in such a loop waits for a socket."""

    def __init__(self, loop: SequenceLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            message = "everybody waits and no timer is set: a deadlock"
            raise AssertionError(message)
        self._loop.now += max(0.0, timeout)
        return []


def pause(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Give way for a while; to be called in what runs as a thread."""
    me = getcurrent()
    if me.parent is None:
        message = "a request was made on the event loop"
        raise AssertionError(message)
    loop.call_later(seconds, me.switch)
    me.parent.switch()


class _InlineExecutor(Executor):
    """A pool that does its work at once: the requests of one call come after each other."""

    def __init__(self, *_how: Any, **_more: Any) -> None:
        pass

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001 - a death is one
            future.set_exception(error)
        return future


class _Lock:
    """``threading.RLock`` for greenlets: all of them are one thread to the real one, which would let each in."""

    def __init__(self) -> None:
        self._owner: Any = None
        self._depth = 0

    def __enter__(self) -> None:
        me = getcurrent()
        while self._owner not in (None, me):
            pause(asyncio.get_running_loop(), 0.01)
        self._owner, self._depth = me, self._depth + 1

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None


@contextmanager
def greenlets_for_threads() -> Iterator[None]:
    """Put greenlets in the place of threads wherever the package makes some itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "ThreadPoolExecutor", _InlineExecutor)
        patch.setattr(ahead, "beside", lambda work, _name: work())
        patch.setattr(journal, "threading", SimpleNamespace(RLock=_Lock, Lock=threading.Lock))
        yield
