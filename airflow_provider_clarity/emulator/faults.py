"""The fault registry: what shall go wrong, how often, and whether it did.

One registry serves both servers. A handler asks it at the point where something could go wrong::

    fault = faults.take("store.insert", candidates={"status_503", "reset_before"}, subject="bucket/object")
    if fault is not None and fault.name == "reset_before":
        return reset(request)                     # replies.py: closes the connection without a reply

``take(operation, candidates=..., subject=...)`` returns the first registered fault, in the order of their
registration, whose operation is the same, whose name is among the candidates, whose ``match`` is part of the subject,
and which is not used up; it is counted as fired in the same moment. ``error:<code>`` has the name ``error`` and the
code in ``Fault.code``. Ask only for faults that can take effect here and now: ``fired`` is what a test relies on.

``control.control_routes(faults)`` gives the routes ``GET|POST /_emulator/faults`` that both servers mount.

Invariants: an unknown operation or fault is refused when it is registered, never ignored; a fault fires at most
``times`` times, and no longer than its ``seconds``, counted from the first time; the same seed and the same sequence of
questions give the same answers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

HTTP_FAULTS = frozenset(
    {
        "status_429",
        "status_429_retry_after",
        "status_500",
        "status_503",
        "reset_before",
        "hang_before",
        "reset_after",
        "status_503_after",
        "hang",
        "html",
        "truncated",
        "slow_drip",
        "empty_errors",
    }
)
STORE_FAULTS = frozenset(
    {"status_403", "status_503", "status_429", "reset_before", "reset_after", "hang_before", "hang_after"}
)
FAULTS: dict[str, frozenset[str]] = {
    "submit": HTTP_FAULTS | {"error"},
    "poll": HTTP_FAULTS | {"forget", "flap", "duplicate", "missing_cost", "error"},
    "account": HTTP_FAULTS,
    "work": frozenset({"error"}),
    "upload": frozenset({"refuse_403", "expire", "cut", "wrong_pixels", "wrong_bytes"}),
    "image": frozenset({"status_404", "html", "slow_drip"}),
    "store.insert": STORE_FAULTS,
    "store.get": STORE_FAULTS,
    "store.list": STORE_FAULTS,
    "store.rewrite": STORE_FAULTS,
    "store.delete": STORE_FAULTS,
    "store.token": STORE_FAULTS,
    "store.sign_blob": STORE_FAULTS,
}


class FaultError(ValueError):
    """A fault was described in a way that could never fire; the message says what is allowed."""


@dataclass(frozen=True)
class Fault:
    """A fault that fires now.

    :param operation: where, one of the keys of ``FAULTS``
    :param name: what, ``error`` for ``error:<code>``
    :param code: the code of ``error:<code>``
    :param value: the optional number of the fault: seconds of Retry-After, of a hang, between two pieces of a drip
    """

    operation: str
    name: str
    code: str | None = None
    value: float | None = None


@dataclass
class _Registered:
    fault: Fault
    times: int | None
    rate: float | None
    match: str | None
    seconds: float | None = None
    until: float | None = None
    fired: int = 0

    def fits(self, operation: str, candidates: Collection[str], subject: str, now: float) -> bool:
        if self.fault.operation != operation or self.fault.name not in candidates:
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        if self.until is not None and now >= self.until:
            return False
        return self.match is None or self.match in subject

    def describe(self) -> dict[str, Any]:
        fault = self.fault
        shown: dict[str, Any] = {
            "operation": fault.operation,
            "fault": fault.name if fault.code is None else f"{fault.name}:{fault.code}",
            "fired": self.fired,
        }
        optional = {"times": self.times, "rate": self.rate, "match": self.match, "value": fault.value}
        optional["seconds"] = self.seconds
        return shown | {key: value for key, value in optional.items() if value is not None}


class Faults:
    """All faults of one emulator.

    :param seed: of the draws for faults with a ``rate``
    :param monotonic: seconds, for faults with ``seconds``
    """

    def __init__(self, seed: int = 0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seed = seed
        self._monotonic = monotonic
        self._registered: list[_Registered] = []
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def register(self, description: Mapping[str, Any]) -> None:
        """Add one fault: ``{"operation", "fault", "times", "rate" or "seconds"?, "match"?, "value"?}``; else once.

        :raises FaultError: if it could never fire
        """
        self._registered.append(_read(description))

    def take(self, operation: str, *, candidates: Collection[str], subject: str) -> Fault | None:
        """Return the fault that fires now, counted, or None.

        :param operation: what is being done, one of the keys of ``FAULTS``
        :param candidates: names of faults that can take effect at this point
        :param subject: text in which ``match`` is searched: task UUIDs and sources, or bucket and object
        """
        now = self._monotonic()
        for registered in self._registered:
            if not registered.fits(operation, candidates, subject, now):
                continue
            if registered.rate is not None and self._random.random() >= registered.rate:
                continue
            registered.fired += 1
            if registered.seconds is not None and registered.until is None:
                registered.until = now + registered.seconds
            return registered.fault
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Return every fault as it was registered, with ``fired``, in the order of registration."""
        return [registered.describe() for registered in self._registered]

    def clear(self) -> None:
        """Forget all faults, and start the draws anew."""
        self._registered.clear()
        self._random = random.Random(self._seed)  # noqa: S311 - repeatable, not secret


def _read(description: Mapping[str, Any]) -> _Registered:
    unknown = set(description) - {"operation", "fault", "times", "rate", "seconds", "match", "value"}
    if unknown:
        raise FaultError(f"unknown keys: {', '.join(sorted(unknown))}")
    operation = description.get("operation")
    if not isinstance(operation, str) or operation not in FAULTS:
        raise FaultError(f"operation must be one of {', '.join(FAULTS)}")
    name, _, code = str(description.get("fault")).partition(":")
    if name not in FAULTS[operation] or (name == "error") != bool(code):
        raise FaultError(f"fault of {operation} must be one of {', '.join(sorted(FAULTS[operation]))} (error:<code>)")
    times, rate, match = description.get("times"), description.get("rate"), description.get("match")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise FaultError("times must be an integer of at least 1")
    if rate is not None and (times is not None or not isinstance(rate, int | float) or not 0 <= rate <= 1):
        raise FaultError("rate must be a number from 0 to 1, and stands instead of times")
    seconds = description.get("seconds")
    alone = times is None and rate is None
    if seconds is not None and (not alone or not isinstance(seconds, int | float) or seconds <= 0):
        raise FaultError("seconds must be a number above 0, and stands instead of times and rate")
    if match is not None and (not isinstance(match, str) or not match):
        raise FaultError("match must be a task UUID or a part of the source")
    value = description.get("value")
    if value is not None and (not isinstance(value, int | float) or value < 0):
        raise FaultError("value must be a number of at least 0")
    fault = Fault(operation=operation, name=name, code=code or None, value=value)
    once = 1 if alone and seconds is None else times
    return _Registered(fault=fault, times=once, rate=rate, match=match, seconds=seconds)
