"""A listing read one page ahead, in a thread of its own: while this page is worked on, the next is on its way.

Invariants: at most one page waits; who stops reading leaves no thread at work but for the request under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Generic, TypeVar

T = TypeVar("T")


def read_ahead(pages: Iterator[Sequence[T]]) -> Iterator[T]:
    """Give what is on the pages; an error of a page comes where the page would have come.

    :param pages: is only ever asked by one thread at a time
    """
    with ThreadPoolExecutor(1, "clarity-listing") as thread:
        coming = thread.submit(next, pages, None)
        try:
            while (page := coming.result()) is not None:
                coming = thread.submit(next, pages, None)
                yield from page
        finally:
            coming.cancel()


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
