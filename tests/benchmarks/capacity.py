"""A backfill that is not told the capacity of the service: 50 slots, 10 for two minutes, 50 again.

    bash .ci/run bench capacity

The window may grow to 200; beyond the slots and the queue the service answers 429. Prints a table in Markdown; ends
with 1 where less than 90 % of the slots are used or more than 1 % of the tasks are answered 429.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backfill_process import processor
from backfill_runs import BUCKET, Orders, fill
from emulator_process import EmulatorProcess

SLOTS, CUT = 50, 10
WINDOW = 200
IMAGES = 8_500
LEAST_USED, MOST_REFUSED = 0.9, 0.01
# Seconds after the first submit: the window has grown, the cut, a minute after it, its end, two minutes after that.
MARKS = {"grown": 60, "cut": 180, "adapted": 240, "restored": 300, "grown again": 420, "end": 480}


@dataclass(frozen=True)
class Mark:
    """What the accounts said at a moment."""

    at: float
    slot_seconds: float
    submits: int
    refused: int


def look(emulator: EmulatorProcess) -> Mark:
    """Read the accounts."""
    accounts = emulator.accounts()
    return Mark(time.monotonic(), accounts["slot_seconds"], accounts["submits"], accounts["status_429"])


def run(queue: int, whole: bool, folder: Path) -> list[str]:  # noqa: FBT001
    """Print one row; whatever misses its limit, in words."""
    arguments = [
        "--service-time", "3", "--latency-model", "lognormal", "--slots", str(SLOTS), "--queue", str(queue),
        "--render", "cached",
    ]  # fmt: skip
    marks: dict[str, Mark] = {}
    with EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator:
        fill(emulator, IMAGES)
        if whole:
            emulator.switches({"named_429": False})
        process = Orders(emulator, folder, limits={"max_in_flight": WINDOW}).start()
        try:
            while process.poll() is None and look(emulator).submits == 0:
                time.sleep(0.2)
            begun = time.monotonic()
            for name, at in MARKS.items():
                time.sleep(max(0.0, begun + at - time.monotonic()))
                if name in ("cut", "restored"):
                    emulator.switches({"slots": CUT if name == "cut" else SLOTS})
                marks[name] = look(emulator)
            if process.poll() is not None:
                return ["the engine ended before the benchmark did"]
            took = processor(process.pid), processor(emulator.pid)
        finally:
            process.kill()
            process.communicate()
    shares = [
        used(marks["grown"], marks["cut"], SLOTS),
        used(marks["adapted"], marks["restored"], CUT),
        used(marks["grown again"], marks["end"], SLOTS),
    ]
    refusals = [refused(marks["grown"], marks["cut"]), refused(marks["grown"], marks["end"])]
    each = [1000 * seconds / marks["end"].submits for seconds in took]
    name = f"queue {queue}, 429 a {'POST' if whole else 'task'}"
    print(  # noqa: T201
        f"| {name} | {shares[0]:.1%} | {shares[1]:.1%} | {shares[2]:.1%} | {refusals[0]:.2%} | {refusals[1]:.2%} "
        f"| {each[0]:.1f} | {each[1]:.1f} | {os.getloadavg()[0]:.1f} |",
        flush=True,
    )
    return [
        *(f"{name}: only {share:.1%} of the slots used" for share in shares if share < LEAST_USED),
        *(f"{name}: {share:.2%} of the tasks answered 429" for share in refusals if share > MOST_REFUSED),
    ]


def used(first: Mark, last: Mark, slots: int) -> float:
    """Return the share of the slots that was used between two moments."""
    return (last.slot_seconds - first.slot_seconds) / (slots * (last.at - first.at))


def refused(first: Mark, last: Mark) -> float:
    """Return the share of the tasks that was answered 429 between two moments."""
    return (last.refused - first.refused) / max(1, last.submits - first.submits)


def main() -> int:
    """Run all rows; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this, such as 'queue 0'")
    options = parser.parse_args()
    print(  # noqa: T201
        "| | slots used, second and third minute | from a minute after the cut | from two minutes after its end "
        "| answered 429, second and third minute | all but the first minute | processor, ms an image "
        "| the emulator's | load |\n" + "| -- " * 9 + "|",
        flush=True,
    )
    missed: list[str] = []
    for queue, whole in ((0, False), (100, False)):
        if options.only in f"queue {queue}":
            with tempfile.TemporaryDirectory(prefix="clarity-capacity-") as folder:
                missed += run(queue, whole, Path(folder))
    print("\n" + ("\n".join(missed) or "All limits are held."), flush=True)  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
