"""What a person is told while the days run. Pure: takes what was seen, and when; returns sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NUMBERS_EVERY = 4.0


@dataclass(frozen=True)
class DaySeen:
    """Where a day is.

    :param day: which
    :param state: of its task, as Airflow names it
    :param tries: the number of its try
    :param bought: purchases in the service's accounts
    :param in_flight: how many of them the service is at work on
    :param landed: pictures under their final names
    """

    day: str
    state: str | None
    tries: int
    bought: int
    in_flight: int
    landed: int


class Progress:
    """Remembers what was told.

    :param each: pictures a day
    :param began: the try numbers from before, by day
    """

    def __init__(self, each: int, began: Mapping[str, int]) -> None:
        self._each = each
        self._began = began
        self._told: set[tuple[str, str]] = set()
        self._numbers: tuple[tuple[int, ...], ...] | None = None
        self._numbers_at = float("-inf")

    def news(self, seen: Sequence[DaySeen], now: float) -> list[str]:
        """Return what is new, a sentence each.

        :param seen: where each day is
        :param now: seconds of a clock
        """
        return [*self._line(seen, now), *(text for one in seen for text in self._of(one))]

    def _of(self, one: DaySeen) -> list[str]:
        tries = one.tries - self._began.get(one.day, 0)
        events = {
            f"try {tries} goes on with what was bought": tries > 1 and one.state == "running",
            "its worker is free while the service works: deferred": one.state == "deferred",
            "over": one.state == "success" and tries > 0,
            f"failed, {one.landed} of {self._each} are there": one.state == "failed" and tries > 0,
        }
        new = [text for text, holds in events.items() if holds and (one.day, text) not in self._told]
        self._told |= {(one.day, text) for text in new}
        return [f"{one.day}  {text}" for text in new]

    def _line(self, seen: Sequence[DaySeen], now: float) -> list[str]:
        numbers = tuple((one.bought, one.in_flight, one.landed) for one in seen)
        whole = all(one.landed == self._each and not one.in_flight for one in seen)
        if self._numbers is None:
            self._numbers = numbers  # as it was before anything happened
        if numbers == self._numbers or (not whole and now - self._numbers_at < _NUMBERS_EVERY):
            return []
        self._numbers, self._numbers_at = numbers, now
        bought, in_flight, landed = (" + ".join(map(str, column)) for column in zip(*numbers, strict=True))
        return [f"bought {bought}, at work on {in_flight}, delivered {landed} of {self._each} each"]
