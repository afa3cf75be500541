"""Ten thousand pictures through an engine that is killed again and again: nothing twice, lost, or mixed up.

    bash .ci/run bench kills

50 slots, tasks of 3 s (log-normal); 2 % of the tasks fail with an error that may pass, 1 % of the uploads are
refused, of 1 % of the submits the reply is lost. Then another run over the same pictures: it submits nothing. Prints a
table in Markdown; ends with 1 where anything that was promised is not so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backfill_runs import BUCKET, TOMORROW, Killed, Orders, audit, fill, kill_until_over
from emulator_process import EmulatorProcess

LEAST_KILLS = 100
RULES = {"lease": 3.0, "upload_grace": 3.0, "fetch_grace": 3.0, "max_attempts": 6}
TIMEOUT = 8.0
FAULTS: list[dict[str, Any]] = [
    {"operation": "work", "fault": "error:providerError", "rate": 0.02},
    {"operation": "upload", "fault": "refuse_403", "rate": 0.01},
    {"operation": "submit", "fault": "reset_after", "rate": 0.01},
]


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--life", type=float, default=6.0, help="seconds that a process lives on average")
    parser.add_argument("--freeze", type=float, default=0.1, help="share of processes that are frozen, not killed")
    parser.add_argument("--service-time", type=float, default=3.0)
    parser.add_argument("--least-kills", type=int, default=LEAST_KILLS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    arguments = [
        "--service-time", str(options.service_time), "--latency-model", "lognormal", "--slots", "50",
        "--render", "cached", "--seed", str(options.seed),
    ]  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="clarity-kills-") as folder,
        EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator,
    ):
        fill(emulator, options.images)
        emulator.faults(FAULTS)
        orders = Orders(emulator, Path(folder), rules=RULES, limits={"max_in_flight": 64}, timeout=TIMEOUT)
        killed = kill_until_over(orders, life=options.life, seed=options.seed, freeze=options.freeze, told=_tell)
        wrong = audit(emulator, killed.ended, options.images, sample=500)
        accounts, faults = emulator.accounts(), emulator.faults()
        again = replace(orders, run_key=TOMORROW).run()
        after = emulator.accounts()
        wrong += _again(again["result"], options.images, after["submits"] - accounts["submits"])
        if after["billed_usd"] != accounts["billed_usd"]:
            wrong.append("the second run cost something")
    if killed.kills < options.least_kills:
        wrong.append(f"only {killed.kills} kills")
    if killed.frozen != killed.fenced:
        wrong.append(f"{killed.frozen} were frozen, and {killed.fenced} of them said that another had taken over")
    result = killed.ended["result"]
    failed = sum(purchase["status"] == "error" for purchase in accounts["purchases"].values())
    print(  # noqa: T201
        "| images | kills | frozen | seconds | purchases | failed and bought again | recovered | cost, $ | bill, $ "
        "| submits whose reply was lost | conflicts | memory, MB | second run: submits, seconds | load |\n"
        + "| -- " * 14 + "|\n"
        f"| {options.images:,} | {killed.kills} | {killed.frozen} | {killed.seconds:,.0f} "
        f"| {result['purchases']:,} | {failed} | {result['recovered']} | {result['cost_usd']} "
        f"| {accounts['billed_usd']} | {faults[2]['fired']} | {accounts['conflicts']} | {killed.memory:.0f} "
        f"| {after['submits'] - accounts['submits']}, {again['seconds']:.0f} | {os.getloadavg()[0]:.1f} |\n"
    )  # fmt: skip
    print("\n".join(wrong[:50]) or "Nothing was bought twice, nothing is lost, every picture is its source's.")  # noqa: T201
    return 1 if wrong else 0


def _again(result: dict[str, Any], number: int, submits: int) -> list[str]:
    if (result["done"], result["purchases"], result["cost_usd"], submits) == (number, 0, 0, 0):
        return []
    return [f"the second run: {submits} submits, {result}"]


def _tell(killed: Killed) -> None:
    if killed.kills % 10 == 0:
        sys.stderr.write(f"{killed.kills} killed, {killed.frozen} frozen, {killed.fenced} fenced\n")


if __name__ == "__main__":
    sys.exit(main())
