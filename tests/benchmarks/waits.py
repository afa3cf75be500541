"""A thousand deferred tasks in one process: what they ask of the service, how late they are told, what the loop does.

    bash .ci/run bench

Prints a table in Markdown; ``docs/benchmarks.md`` holds the last one. Each row is the median of three runs, and says
beside the longest gap of the measured loop that of an idle process at the same time: what of it is the machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NUMBER = 1000
LIMITS = {"posts": 0.10, "p99": 1.5, "busy": 50, "strangers": 0, "left": 0}


class Service:
    """The service's process, and its routes beside the API."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "waits_service.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.url, self.ca, self.api_key = ready["url"], ready["ca"], ready["api_key"]
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca)),
        )

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.removesuffix("/v1") + path, data=data)
        with self._opener.open(request, timeout=60) as reply:
            return json.load(reply)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


@contextmanager
def waiters(service: Service, home: str) -> Iterator[subprocess.Popen[str]]:
    """Start the measured process."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "waits_process.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(
            AIRFLOW_HOME=home,
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW_CONN_CLARITY_DEFAULT=json.dumps(connection(service, service.api_key)),
            SSL_CERT_FILE=service.ca,
        ),
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline() not in ("ready\n", ""):
            pass
        yield process
    finally:
        process.kill()
        process.communicate()


def connection(service: Service, key: str) -> dict[str, str]:
    return {"conn_type": "clarity", "password": key, "host": service.url}


def durations(model: str) -> list[float]:
    """How long each task takes."""
    dice = random.Random(7)  # noqa: S311
    drawn = [min(30.0, max(3.0, dice.lognormvariate(2.2, 0.55))) for _ in range(NUMBER)]
    return [8.0] * NUMBER if model == "8 s" else drawn


def run(
    service: Service, home: str, model: str, start: str, *, loops: int = 1, trouble: bool = False
) -> dict[str, float]:
    """Do one run and return its figures."""
    spread = 0.0 if start == "at once" else 30.0
    with waiters(service, home) as process:
        begin = time.monotonic() + (0.5 if spread else 0.0)
        tasks = [
            {"uuid": str(uuid.uuid4()), "at": begin + spread * number / NUMBER, "seconds": seconds}
            for number, seconds in enumerate(durations(model))
        ]
        service.ask("/_bench/plan", tasks)
        orders: dict[str, Any] = {"tasks": tasks, "loops": loops, "cancel_first": None, "rotate": None}
        if trouble:
            new = service.api_key + "-rotated"
            rotate_at = begin + 5
            orders |= {"cancel_first": 2.0, "rotate": {"at": rotate_at, "connection": connection(service, new)}}
            timer = threading.Timer(
                rotate_at - time.monotonic(), service.ask, ("/_emulator/switches", {"api_key": new})
            )
            timer.start()
        assert process.stdin is not None
        assert process.stdout is not None
        idle, over = [0.0], threading.Event()
        beat = threading.Thread(target=heartbeat, args=(idle, over))
        beat.start()
        process.stdin.write(json.dumps(orders) + "\n")
        process.stdin.flush()
        found = json.loads(next(line for line in process.stdout if line.startswith("{")))  # Airflow logs there, too
        over.set()
        beat.join()
    if found["busy"] * 1000 > LIMITS["busy"] or found["threads_left"]:
        sys.stderr.write(f"longest callback: {found['slowest']}; threads left: {found['threads_left']}\n")
    finished, accounts = service.ask("/_bench/finished"), service.ask("/_emulator/accounts")
    if trouble:
        service.ask("/_emulator/switches", {"api_key": service.api_key})
    lags = sorted(at - finished[task] for task, at in found["told"].items())
    assert found["errors"] == found["trouble"] == [], (found["errors"], found["trouble"])
    assert len(lags) + found["cancelled"] == NUMBER
    return {
        "posts": accounts["poll_posts"] / NUMBER,
        "p50": lags[len(lags) // 2],
        "p99": lags[int(0.99 * len(lags))],
        "most": lags[-1],
        "callback": found["callback"] * 1000,
        "busy": found["busy"] * 1000,
        "collection": found["collection"] * 1000,
        "gap": found["gap"] * 1000,
        "gap_at": found["gap_at"],
        "idle": idle[0] * 1000,
        "cpu": found["cpu"],
        "told": len(lags),
        "cancelled": found["cancelled"],
        "left": len(found["threads_left"]) + found["tasks_left"],
        "strangers": found["log"]["strangers"],
        "lines": found["log"]["own"] + found["log"]["nobody"],
        "load": os.getloadavg()[0],
    }


def heartbeat(longest: list[float], over: threading.Event) -> None:
    """Measure how long this idle process is kept from running."""
    last = time.monotonic()
    while not over.is_set():
        time.sleep(0.005)
        now = time.monotonic()
        longest[0], last = max(longest[0], now - last - 0.005), now


COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("polling POSTs a task", "posts", "{:.3f}"),
    ("lag p50, s", "p50", "{:.2f}"),
    ("p99, s", "p99", "{:.2f}"),
    ("longest, s", "most", "{:.2f}"),
    ("work between two heartbeats, ms", "busy", "{:.0f}"),
    ("one callback, ms", "callback", "{:.0f}"),
    ("one garbage collection, ms", "collection", "{:.0f}"),
    ("gap by the clock, ms", "gap", "{:.0f}"),
    ("after, s", "gap_at", "{:.1f}"),
    ("gap of an idle process, ms", "idle", "{:.0f}"),
    ("processor, s", "cpu", "{:.1f}"),
    ("told", "told", "{:.0f}"),
    ("log lines", "lines", "{:.0f}"),
    ("of them in a stranger's log", "strangers", "{:.0f}"),
    ("threads and tasks left", "left", "{:.0f}"),
    ("load", "load", "{:.1f}"),
)
HEAD = f"| tasks, start | {' | '.join(title for title, _, _ in COLUMNS)} |\n{'| -- ' * (len(COLUMNS) + 1)}|"


def row(name: str, runs: list[dict[str, float]]) -> str:
    """One row of the table: the median of the runs."""
    cells = [form.format(statistics.median(one[key] for one in runs)) for _, key, form in COLUMNS]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    """Run all rows; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    rows: list[tuple[str, dict[str, Any]]] = [
        (f"{model}, {start}", {"model": model, "start": start})
        for model in ("8 s", "3 to 30 s")
        for start in ("at once", "over 30 s")
    ]
    rows += [
        (
            "3 to 30 s, at once; first cancelled, key rotated",
            {"model": "3 to 30 s", "start": "at once", "trouble": True},
        ),
        ("3 to 30 s, at once; two loops of 500", {"model": "3 to 30 s", "start": "at once", "loops": 2}),
    ]
    print(f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n\n{HEAD}", flush=True)  # noqa: T201
    missed = []
    with tempfile.TemporaryDirectory(prefix="clarity-bench-") as folder:
        service = Service(Path(folder))
        try:
            for name, how in rows:
                if options.only not in name:
                    continue
                runs = [run(service, folder, **how) for _ in range(options.runs)]
                print(row(name, runs), flush=True)  # noqa: T201
                for key, limit in LIMITS.items():
                    value = statistics.median(one[key] for one in runs)
                    if value > limit:
                        missed.append(f"{name}: {key} {value:.3f} is above {limit}")
        finally:
            service.stop()
    print("\n" + ("\n".join(missed) or "All limits are held."), flush=True)  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
