"""What lies at the final names of sources that stream by, from one listing of the destination that streams by too.

Both listings are in the order of names. Final names follow it nearly: ``head + key + tail``, the key being a source's
name without its extension. They differ from it only where one key is the beginning of another (``a`` and ``a.b``, ``a``
and ``a-1``), but then by any number of names. So the merge remembers what it has passed (`look_back`), goes ahead a
little (`look_ahead`), and asks for the single name where that is not enough.

Invariants: the answer is that of the destination's listing for every name, whatever the order and however small the
two numbers are; memory is bounded by them; a listing is begun again only further on. Nothing here does I/O: listing
and asking come in from outside.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator

from airflow_provider_clarity.storage.listing import ListedObject

LOOK_BACK = 2000
LOOK_AHEAD = 1000
"""Objects: a page. To ask for one name costs as much as to list the next page."""

_MAY_GO_BACK = re.compile(r"[\x00-.]")


def floor(key_and_ending: str, head: str, tail_begins: str) -> str:
    """Give a name that the final names of this source and of all that are listed after it are never before.

    A later source has a key that is after this name, or one that is a beginning of it and ends where a character up to
    the dot follows (its own extension begins with the dot, so nothing else could still be listed).

    :param key_and_ending: the source's name, relative to the base
    :param head: what final names begin with
    :param tail_begins: what stands in every final name after the key
    """
    lowest = head + key_and_ending
    for found in _MAY_GO_BACK.finditer(key_and_ending):
        lowest = min(lowest, head + key_and_ending[: found.start()] + tail_begins)
    return lowest


class Destination:
    """The listing of a destination, asked name by name.

    :param listing: gives the objects from a name on, that name included, in order
    :param ask: looks at one name
    :param head: what every final name begins with, before the key
    :param tail_begins: what stands in every final name after the key
    :param look_back: how many objects are remembered; at least `look_ahead`
    :param look_ahead: how many objects are read to get at a name, before it is asked for instead
    """

    def __init__(
        self,
        listing: Callable[[str], Iterator[ListedObject]],
        ask: Callable[[str], ListedObject | None],
        *,
        head: str,
        tail_begins: str,
        look_back: int = LOOK_BACK,
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self._listing = listing
        self._ask = ask
        self._head = head
        self._tail_begins = tail_begins
        self._look_back = max(look_back, look_ahead, 1)
        self._look_ahead = max(look_ahead, 1)
        self._rows: Iterator[ListedObject] | None = None
        self._next: ListedObject | None = None
        self._passed: deque[ListedObject] = deque()
        self._by_name: dict[str, ListedObject] = {}
        self._forgotten: str | None = None  # nothing is known of names up to this one
        self._ahead_to: str | None = None  # the listing went ahead to this name, and did not find what it looked for
        self.asked = 0

    def find(self, name: str, source: str) -> ListedObject | None:
        """Say what lies at a final name.

        :param name: the final name
        :param source: the source's name, relative to the base; after all that were asked for before
        """
        if self._rows is None:
            self._begin(floor(source, self._head, self._tail_begins))
        read = 0
        while self._next is not None and self._next.name < name:
            if self._ahead_to is not None and self._head + source < self._ahead_to:
                return self._asked(name)  # already ahead: what is remembered is still needed
            if read == self._look_ahead:
                begin = floor(source, self._head, self._tail_begins)
                if self._next.name >= begin:
                    self._ahead_to = self._passed[-1].name
                    return self._asked(name)
                self._begin(begin)  # all that lies between is of no source
                read = 0
                continue
            self._pass(self._next)
            read += 1
        if self._next is not None and self._next.name == name:
            return self._next
        found = self._by_name.get(name)
        if found is None and self._forgotten is not None and name <= self._forgotten:
            return self._asked(name)
        return found

    def _asked(self, name: str) -> ListedObject | None:
        self.asked += 1
        return self._ask(name)

    def _begin(self, at: str) -> None:
        """List from here on. No later source has a final name before it."""
        self._passed.clear()
        self._by_name.clear()
        self._forgotten = self._ahead_to = None
        self._rows = self._listing(at)
        self._next = next(self._rows, None)

    def _pass(self, one: ListedObject) -> None:
        self._passed.append(one)
        self._by_name[one.name] = one
        if len(self._passed) > self._look_back:
            oldest = self._passed.popleft().name
            del self._by_name[oldest]
            self._forgotten = oldest
        if self._ahead_to is not None and one.name > self._ahead_to:
            self._ahead_to = None
        self._next = next(self._rows, None) if self._rows is not None else None
