"""Slots and the queue in front of them.

Invariants: never more tasks hold a slot than there are; who came first is served first; both numbers may change while
it runs (fewer slots take none away from who holds one).
"""

from __future__ import annotations

import asyncio
from collections import deque

from airflow_provider_clarity.emulator.switches import Switches


class Slots:
    """The service's capacity: ``slots`` tasks at a time, ``queue`` more may wait."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def full(self) -> bool:
        """Whether one more task would be too many."""
        if self._switches.queue is None:
            return False
        waiting = sum(not ticket.done() for ticket in self._waiting)
        return self._busy + waiting >= self._switches.slots + self._switches.queue

    def enter(self) -> asyncio.Future[None]:
        """Take a place now; the ticket is done when the task holds a slot."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        self.admit()
        return ticket

    def leave(self) -> None:
        """Give the slot back."""
        self._busy -= 1
        self.admit()

    def admit(self) -> None:
        """Give free slots to those who wait; called again when there may be more of them."""
        while self._waiting and self._busy < self._switches.slots:
            ticket = self._waiting.popleft()
            if not ticket.done():
                self._busy += 1
                ticket.set_result(None)
