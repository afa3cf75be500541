"""Ten thousand pictures through one engine: how full it keeps the service, and what that takes.

    bash .ci/run bench backfill

50 slots, tasks of 3 s, a window of 64. Service and storage are the emulator, in a process of its own on the same
machine; what it took of the processor is said beside. Prints tables in Markdown; ends with 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backfill_process import processor
from backfill_runs import BUCKET, Orders, audit, fill
from emulator_process import EmulatorProcess

SLOTS = 50
WARM_UP = 30.0
LIMITS = {"used": 0.9, "memory": 150.0}


def main() -> int:
    """Run it; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--service-time", type=float, default=3.0)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each request to storage takes longer")
    options = parser.parse_args()
    arguments = ["--service-time", str(options.service_time), "--slots", str(SLOTS), "--render", "cached"]
    with (
        tempfile.TemporaryDirectory(prefix="clarity-backfill-") as folder,
        EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator,
    ):
        fill(emulator, options.images)
        orders = Orders(emulator, Path(folder), limits={"max_in_flight": options.window}, latency=options.latency)
        before = processor(emulator.pid)
        process = orders.start()
        used = slots_used(emulator, process, options.images)
        ended = orders.ended(process)
        emulator_cpu = processor(emulator.pid) - before
        wrong = audit(emulator, ended, options.images)
        accounts = emulator.accounts()
    number, storage = options.images, ended["requests"]
    posts = accounts["posts"] - accounts["poll_posts"]
    print(  # noqa: T201
        "| images | window | storage latency, ms | seconds | images a second "
        "| slots used, from the first 30 s to the last submit | processor, ms an image "
        "| the emulator's | POSTs of submits an image | of looks | storage requests an image "
        "| memory, MB | load |\n" + "| -- " * 13 + "|\n"
        f"| {number:,} | {options.window} | {1000 * options.latency:.0f} | {ended['seconds']:.0f} "
        f"| {number / ended['seconds']:.1f} | {used:.1%} "
        f"| {1000 * ended['cpu'] / number:.1f} | {1000 * emulator_cpu / number:.1f} | {posts / number:.3f} "
        f"| {accounts['poll_posts'] / number:.3f} | {sum(storage.values()) / number:.2f} | {ended['memory']:.0f} "
        f"| {os.getloadavg()[0]:.1f} |\n\n| storage requests | an image |\n| -- | -- |"
    )
    for kind, times in storage.items():
        if times / number >= 0.005:
            print(f"| {kind} | {times / number:.2f} |")  # noqa: T201
    if used < LIMITS["used"]:
        wrong.append(f"only {used:.1%} of the slots were used")
    if ended["memory"] > LIMITS["memory"]:
        wrong.append(f"{ended['memory']:.0f} MB are more than {LIMITS['memory']:.0f}")
    print("\n" + ("\n".join(wrong[:50]) or "All limits are held."), flush=True)  # noqa: T201
    return 1 if wrong else 0


def slots_used(emulator: EmulatorProcess, process: subprocess.Popen[str], number: int) -> float:
    """Return the share of the slots in use, from half a minute after the first submit to the last one."""
    seen: list[tuple[float, dict[str, Any]]] = []
    while process.poll() is None and (not seen or seen[-1][1]["submits"] < number):
        time.sleep(2.0 if not seen or seen[-1][1]["submits"] == 0 else 10.0)
        seen.append((time.monotonic(), emulator.accounts()))
    begun = next((at for at, accounts in seen if accounts["submits"]), 0.0)
    first = next((one for one in seen if one[0] >= begun + WARM_UP), seen[0])
    last = seen[-2] if len(seen) > 1 and seen[-2][0] > first[0] else seen[-1]
    if last is first:
        return 0.0
    return float((last[1]["slot_seconds"] - first[1]["slot_seconds"]) / (SLOTS * (last[0] - first[0])))


if __name__ == "__main__":
    sys.exit(main())
