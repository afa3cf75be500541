"""A set of whole numbers that mostly follow each other, as ranges. Pure.

Invariant: the spans are in order, none is empty, and no two touch: two equal sets are equal values.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

_FIRST, _END = itemgetter(0), itemgetter(1)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Positions in a plan.

    :param spans: each from its first number to before its end
    """

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Ranges:
        """Make a set of any spans, in any order, also overlapping or empty ones."""
        made = cls()
        for first, end in spans:
            made = made.added(first, end)
        return made

    def added(self, first: int, end: int | None = None) -> Ranges:
        """Return the set with one number more, or with all from ``first`` to before ``end``."""
        end = first + 1 if end is None else end
        if end <= first:
            return self
        left = bisect_left(self.spans, first, key=_END)
        right = bisect_right(self.spans, end, key=_FIRST)
        touched = self.spans[left:right]
        joined = (min(first, touched[0][0]), max(end, touched[-1][1])) if touched else (first, end)
        return Ranges((*self.spans[:left], joined, *self.spans[right:]))

    def missing(self, end: int) -> Iterator[int]:
        """Give the numbers from 0 to before ``end`` that are not in the set."""
        upto = 0
        for first, after in self.spans:
            yield from range(upto, min(first, end))
            upto = after
        yield from range(upto, end)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.spans, number, key=_FIRST) - 1
        return at >= 0 and number < self.spans[at][1]

    def __len__(self) -> int:
        return sum(end - first for first, end in self.spans)
