"""A plan of a million images, of which 70 % are done: how soon it begins, how fast it is, what it holds in memory.

    bash .ci/run bench plan

Prints a table in Markdown. The listings come from a server on loopback in a process of its own; what that took of its
processor is said beside, since it must not be the limit. The last row reads such listings by the library's own rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LIMITS = {"first": 2.0, "memory": 30.0}
LEAST_ROWS = 50_000


def run(total: int, what: str, *, layout: str = "scattered", latency: float = 0.0) -> dict[str, float]:
    """Do one run and return its figures."""
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    server = subprocess.Popen(
        [sys.executable, str(HERE / "plan_server.py"), str(total), str(latency), layout],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        made = subprocess.run(
            [sys.executable, "-W", "ignore", str(HERE / "plan_process.py"), url, what],
            stdout=subprocess.PIPE,
            env=environment,
            check=True,
        )
        found: dict[str, float] = json.loads(made.stdout)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/_bench") as reply:
            served: dict[str, Any] = json.load(reply)
        return found | {"server": served["busy"], "pages": served["pages"], "load": os.getloadavg()[0]}
    finally:
        server.kill()
        server.wait()


def main() -> int:
    """Run all rows; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    rows: list[tuple[str, dict[str, Any]]] = [
        ("a plan, stored in parts; done ones scattered", {"what": "parts"}),
        ("a plan, stored in parts; done ones first", {"what": "parts", "layout": "first"}),
        ("a survey for shards and estimate", {"what": "survey"}),
        ("a plan, 100 ms a page, a tenth of the images", {"what": "parts", "latency": 0.1}),
        ("the library's own rows, 200,000 of them", {"what": "blobs"}),
    ]
    print(  # noqa: T201
        f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, {options.images:,} images\n\n"
        "| what | first part | first to do | all | rows of both listings a second | rows a second of processor "
        "| memory more | server | pages | load |\n"
        + "| -- " * 10 + "|",
        flush=True,
    )  # fmt: skip
    missed = []
    for name, how in rows:
        if options.only not in name:
            continue
        total = options.images // 10 if how.get("latency") else options.images
        runs = [run(total, **how) for _ in range(options.runs)]
        middle = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        rate = middle["rows"] / middle["seconds"]
        print(  # noqa: T201
            f"| {name} | {middle.get('first', 0):.2f} s | {middle.get('first_to_do', 0):.2f} s "
            f"| {middle['seconds']:.1f} s | {rate:,.0f} | {middle['rows'] / middle['cpu']:,.0f} "
            f"| {middle.get('memory', 0):.1f} MB | {middle['server']:.1f} s | {middle['pages']:.0f} "
            f"| {middle['load']:.1f} |",
            flush=True,
        )
        if how["what"] == "blobs":
            continue
        if middle["done"] + middle["to_do"] != total or middle["done"] != total * 7 // 10:
            missed.append(f"{name}: {middle['done']:.0f} done of {total}")
        missed += [
            f"{name}: {key} {middle[key]:.2f} is above {most}" for key, most in LIMITS.items() if middle[key] > most
        ]
        if not how.get("latency") and rate < LEAST_ROWS:
            missed.append(f"{name}: {rate:,.0f} rows a second are fewer than {LEAST_ROWS:,}")
    print("\n" + ("\n".join(missed) or "All limits are held."), flush=True)  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
