"""A listing read one page ahead, in a thread of its own: while this page is worked on, the next is on its way.

Invariants: at most one page waits; who stops reading leaves no thread at work but for the request under way, and has
nothing to close.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider_clarity.batch.threads import beside

T = TypeVar("T")


def read_ahead(pages: Iterator[Sequence[T]]) -> Iterator[T]:
    """Give what is on the pages; an error of a page comes where the page would have come.

    :param pages: is only ever asked by one thread at a time
    """
    coming: SimpleQueue[Sequence[T] | BaseException | None] = SimpleQueue()

    def fetch() -> None:
        try:
            coming.put(next(pages, None))
        except BaseException as error:  # noqa: BLE001 - raised where the page is wanted
            coming.put(error)

    beside(fetch, "clarity-listing")
    while (page := coming.get()) is not None:
        if isinstance(page, BaseException):
            raise page
        beside(fetch, "clarity-listing")
        yield from page


class Peekable(Generic[T]):
    """An iterator that one can look ahead in.

    :param rows: is read only as far as it is looked at
    """

    def __init__(self, rows: Iterator[T]) -> None:
        self._rows = rows
        self._seen: deque[T] = deque()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._seen.popleft() if self._seen else next(self._rows)

    def peek(self, most: int) -> Iterator[T]:
        """Give what comes next, at most so many, without taking it."""
        yield from islice(chain(tuple(self._seen), self._fetched()), most)

    def _fetched(self) -> Iterator[T]:
        for row in self._rows:
            self._seen.append(row)
            yield row
