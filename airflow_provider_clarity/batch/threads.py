"""Threads beside what runs now, for what waits for Cloud Storage.

Invariant: a generator that uses them has nothing to close. One that is left alone is closed by the garbage collector,
wherever that happens to run, such as in a thread that is just starting: to wait for another thread there may never end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def beside(work: Callable[[], None], name: str) -> None:
    """Begin it in a thread of its own, for which nobody waits.

    :param work: raises nothing
    """
    Thread(target=work, name=name, daemon=True).start()


def at_once(work: Callable[[T], R], items: Sequence[T], *, workers: int, name: str) -> list[R]:
    """Do it for each, several at a time; return what came of it, in order.

    :raises Exception: the first that came of it, when all that was begun is over
    """
    if len(items) < 2:  # noqa: PLR2004 - one needs no thread
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(workers, len(items)), name) as threads:
        return list(threads.map(work, items))


def in_batches(work: Callable[[T], R], items: Iterable[T], *, batch: int, workers: int, name: str) -> Iterator[R]:
    """Give what comes of each, in order; no thread is left between two batches.

    :param batch: items that are taken at once
    """
    rest = iter(items)
    while some := list(islice(rest, batch)):
        yield from at_once(work, some, workers=workers, name=name)
