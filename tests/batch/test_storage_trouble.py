"""Any call to Cloud Storage may fail once, before its effect or after it: one purchase, and at most one retry.

Every call of an image's first try is a place for each fault of the emulator; one of these images a place, all at once.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field, replace

import pytest
from bench import QUICK, Bench
from seams import Kind, WatchedStore

from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.storage.uris import GsUri

# google-resumable-media drops a streamed download that was refused without closing it: its socket is closed when it is
# collected, which is to happen here and not in whichever test comes next.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

PATIENT = replace(QUICK, lease=0.2)
TIMEOUT = 0.6
CALLS = {"insert": 4, "get": 10, "rewrite": 1, "delete": 1}
"""How many calls of each kind are tried. All of the writes: claim, trace, acknowledgement, outcome."""

FAULTS = ("status_403", "status_503", "status_429", "reset_before", "reset_after")
OPERATIONS: dict[Kind, str] = {
    "stat": "get",
    "read": "get",
    "create": "insert",
    "rewrite": "rewrite",
    "delete": "delete",
}


@dataclass
class Trap:
    """Arms a fault at the n-th call of a kind, for the object of that call alone."""

    bench: Bench
    operation: str
    fault: str
    at: int
    calls: list[str] = field(default_factory=list)

    def __call__(self, kind: Kind, uri: GsUri) -> None:
        if OPERATIONS[kind] != self.operation:
            return
        self.calls.append(uri.name)
        if len(self.calls) == self.at:
            armed = {"operation": f"store.{self.operation}", "fault": self.fault, "times": 1, "match": uri.name}
            self.bench.emulator.faults([armed])


async def one(bench: Bench, trap: Trap, patience: float) -> None:
    """Run an image into the trap, and retry it where that ended the try."""
    item = bench.item(f"raw/{trap.at}.png", to=f"print/{trap.at}.jpg")
    store = WatchedStore(bench.client, trap, patience=patience)
    try:
        end = await bench.run(item, rules=PATIENT, store=store, timeout=TIMEOUT)
    except ClarityError:
        end = await bench.run(item, rules=PATIENT, timeout=TIMEOUT)
    assert len(trap.calls) >= trap.at
    assert end.outcome == "delivered"
    assert end.cost_microusd == 1300
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.purchases()[str(task_uuid(item.identity, 1))]["count"] == 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", CALLS)
async def test_storage_that_fails_once_anywhere_costs_nothing(bench: Bench, operation: str, fault: str) -> None:
    """Breaks if a request to Cloud Storage that failed, or succeeded unheard, pays twice or strands a picture."""
    traps = [Trap(bench, operation, fault, at) for at in range(1, CALLS[operation] + 1)]
    for trap in traps:
        bench.upload(f"raw/{trap.at}.png")
    await asyncio.gather(*(one(bench, trap, patience=0.01) for trap in traps))
    assert [armed["fired"] for armed in bench.emulator.faults()] == [1] * len(traps)
    assert bench.counts() == [1] * len(traps)
    gc.collect()


@pytest.mark.parametrize("operation", CALLS)
async def test_a_storage_call_that_was_repeated_by_the_library_costs_nothing(bench: Bench, operation: str) -> None:
    """Breaks if a conflict with our own first sending, whose reply was lost, is taken for another runner's write."""
    traps = [Trap(bench, operation, "reset_after", at) for at in range(1, CALLS[operation] + 1)]
    for trap in traps:
        bench.upload(f"raw/{trap.at}.png")
    await asyncio.gather(*(one(bench, trap, patience=30) for trap in traps))
    assert [armed["fired"] for armed in bench.emulator.faults()] == [1] * len(traps)
    assert bench.counts() == [1] * len(traps)
    gc.collect()
