"""What was asked and what was bought, for tests that must prove that nothing was paid twice.

Invariants: a POST or a task that arrived is counted whatever was answered, also when a fault swallowed the reply; a
purchase is counted in the moment of acceptance; nothing secret is kept: no query of a URL, no inline data, no key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Purchase:
    """One task UUID: how often it was accepted, and what it cost in all (US dollars)."""

    source: str
    count: int = 0
    cost: float = 0.0
    status: str = "processing"


@dataclass
class Upload:
    """The PUTs of one task: how many, the last status, the bytes of the last body that was answered."""

    puts: int = 0
    status: int | None = None
    bytes: int = 0


@dataclass
class Accounts:
    """Counts since the start or the last reset."""

    posts: int = 0
    poll_posts: int = 0
    submits: int = 0
    polls: int = 0
    conflicts: int = 0
    status_429: int = 0
    slot_seconds: float = 0.0
    purchases: dict[str, Purchase] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def accepted(self, task_uuid: str, source: str) -> None:
        """Count one acceptance of a task UUID."""
        purchase = self.purchases.setdefault(task_uuid, Purchase(source=source))
        purchase.count += 1
        purchase.source, purchase.status = source, "processing"

    def settled(self, task_uuid: str, status: str, charge: float) -> None:
        """Note how a task ended and what it costs; a negative charge takes one back."""
        purchase = self.purchases[task_uuid]
        purchase.status = status
        purchase.cost = round(purchase.cost + charge, 9)

    def uploaded(self, task_uuid: str, status: int | None, size: int) -> None:
        """Note one PUT; the status is None where no answer came."""
        upload = self.uploads.setdefault(task_uuid, Upload())
        upload.puts += 1
        upload.status, upload.bytes = status, size

    def describe(self) -> dict[str, Any]:
        """Return everything, as ``GET /_emulator/accounts`` gives it."""
        shown = dataclasses.asdict(self)
        shown["slot_seconds"] = round(self.slot_seconds, 6)
        shown["billed_usd"] = self.billed_usd
        return shown

    @property
    def billed_usd(self) -> float:
        """The sum of all costs, US dollars."""
        return round(sum(purchase.cost for purchase in self.purchases.values()), 9)
