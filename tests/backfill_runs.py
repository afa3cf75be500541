"""Backfills in processes of their own over an emulator: many small pictures, engines that are killed, the audit.

The sources are of :data:`KINDS` kinds, each with its own colour and size, and neighbours are of different kinds: so a
picture that lands under another's name shows in a listing.
"""

from __future__ import annotations

import colorsys
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from backfill_process import FENCED, HOLDS, memory
from emulator_process import ROOT, EmulatorProcess
from google.auth.transport.requests import Request
from google.cloud import storage
from google.oauth2 import service_account
from PIL import Image

KINDS = 97
BUCKET = "many"
TODAY, TOMORROW = "dag/today/task", "dag/tomorrow/task"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_HUES = 10


def kind(n: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Colour and size of the n-th source."""
    hue, larger = (n % KINDS) % _HUES, (n % KINDS) // _HUES
    red, green, blue = colorsys.hsv_to_rgb(hue / _HUES, 1, 0.9)
    return (round(255 * red), round(255 * green), round(255 * blue)), (24 + larger, 20 + larger)


def source_name(n: int) -> str:
    """Name of the n-th source."""
    return f"raw/{n:05}.png"


def fill(emulator: EmulatorProcess, number: int) -> None:
    """Put pictures into the bucket, over one connection and without the library: ten thousand in seconds."""
    pictures = []
    for n in range(KINDS):
        colour, size = kind(n)
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, "PNG")
        pictures.append(out.getvalue())
    credentials = service_account.Credentials.from_service_account_file(emulator.service_account_file, scopes=_SCOPES)
    credentials.refresh(Request())
    parts = urlsplit(emulator.storage_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    headers = {"Authorization": f"Bearer {credentials.token}", "Content-Type": "image/png"}
    for n in range(number):
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(source_name(n), safe='')}"
        connection.request("POST", path, pictures[n % KINDS], headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{source_name(n)} was answered {answer.status}")
    connection.close()


@contextmanager
def bucket_of(emulator: EmulatorProcess) -> Iterator[Any]:
    """Give the bucket, as the library knows it."""
    credentials = service_account.Credentials.from_service_account_file(emulator.service_account_file, scopes=_SCOPES)
    client: Any = storage.Client(
        project="emulator", credentials=credentials, client_options={"api_endpoint": emulator.storage_url}
    )
    try:
        yield client.bucket(BUCKET)
    finally:
        client.close()


@dataclass
class Orders:
    """What a process is told to do; see ``backfill_process.py``.

    :param folder: where the orders and the logs of the processes lie
    :param rules: of :class:`~airflow_provider_clarity.batch.adoption.Rules` that differ from the default
    :param limits: of :class:`~airflow_provider_clarity.batch.running.Limits`
    :param timeout: seconds of a request to the API
    :param seconds: until its deadline
    :param latency: seconds that each request to Cloud Storage takes longer than the emulator does
    """

    emulator: EmulatorProcess
    folder: Path
    run_key: str = TODAY
    rules: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    timeout: float = 60.0
    seconds: float = 7200.0
    latency: float = 0.0

    @property
    def log(self) -> Path:
        """What the processes logged, one after the other."""
        return self.folder / f"{self.run_key.replace('/', '-')}.log"

    def start(self) -> subprocess.Popen[str]:
        """Start a process, and wait until it is loaded."""
        path = self.folder / "orders.json"
        emulator = self.emulator
        orders = {
            "runware_url": emulator.runware_url,
            "api_key": emulator.api_key,
            "storage_url": emulator.storage_url,
            "key_file": emulator.service_account_file,
            "bucket": BUCKET,
            "run_key": self.run_key,
            "rules": self.rules,
            "limits": self.limits,
            "timeout": self.timeout,
            "seconds": self.seconds,
            "latency": self.latency,
        }
        path.write_text(json.dumps(orders))
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(ROOT / "tests" / "backfill_process.py"), str(path)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert process.stdout is not None
        if process.stdout.readline() != "up\n":
            raise RuntimeError(f"the engine did not start:\n{self.log.read_text()[-2000:]}")
        return process

    def holds(self, process: subprocess.Popen[str]) -> bool:
        """Whether a process has taken the ledger over: one that has not would do it whenever it wakes."""
        return f" {process.pid} {HOLDS}\n" in self.log.read_text()

    def run(self) -> dict[str, Any]:
        """Let a process come to its end, and return what it says."""
        return self.ended(self.start())

    def ended(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for the end of a process, and return what it says."""
        said, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the engine ended with {process.returncode}:\n{self.log.read_text()[-3000:]}")
        found: dict[str, Any] = json.loads(said)
        return found


@dataclass
class Killed:
    """What came of a round whose processes were killed.

    :param kills: how many were
    :param frozen: how many were frozen instead, and woke when another had taken over
    :param fenced: how many of those then said so
    :param memory: the most that any of them had resident, MB
    :param ended: what the last one said
    """

    kills: int = 0
    frozen: int = 0
    fenced: int = 0
    memory: float = 0.0
    seconds: float = 0.0
    ended: dict[str, Any] = field(default_factory=dict)


def kill_until_over(
    orders: Orders,
    *,
    life: float,
    seed: int,
    freeze: float = 0.0,
    told: Callable[[Killed], None] = lambda _: None,
) -> Killed:
    """Run a round to its end in processes of which each is killed at random, and the next goes on.

    :param life: seconds that a process lives on average once it is loaded; evenly from 0 to twice that
    :param freeze: share of the processes that are frozen instead: it wakes when its successor has begun
    :param told: hears after each kill
    """
    chance, found, began = random.Random(seed), Killed(), time.monotonic()  # noqa: S311 - repeatable, not secret
    frozen: subprocess.Popen[str] | None = None
    while True:
        process = orders.start()
        try:
            process.wait(timeout=chance.uniform(0.0, 2 * life))
        except subprocess.TimeoutExpired:
            found.memory = max(found.memory, memory(process.pid))
            if frozen is not None:
                found.fenced += _woken(frozen)
                frozen = None
            if chance.random() < freeze and orders.holds(process):
                process.send_signal(signal.SIGSTOP)
                found.frozen, frozen = found.frozen + 1, process
            else:
                process.kill()
                process.communicate()
                found.kills += 1
            told(found)
            continue
        finally:
            if process is not frozen and process.poll() is None:
                process.kill()
        break
    if frozen is not None:
        found.fenced += _woken(frozen)
    found.ended = orders.ended(process)
    found.memory = max(found.memory, found.ended["memory"])
    found.seconds = time.monotonic() - began
    return found


def _woken(process: subprocess.Popen[str]) -> bool:
    """Wake a process whose round another has taken over; whether it then ended by itself, and said why."""
    process.send_signal(signal.SIGCONT)
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    return process.returncode == FENCED


def audit(emulator: EmulatorProcess, ended: dict[str, Any], number: int, *, sample: int = 200) -> list[str]:
    """Compare what was bought, what lies in the bucket and what the round says; whatever is wrong, in words.

    :param ended: what the process said that came to the end of the round
    :param number: of the sources
    :param sample: pictures that are decoded; of all others size, metadata and digest are compared
    """
    accounts, result = emulator.accounts(), ended["result"]
    with bucket_of(emulator) as bucket:
        rows = _rows(bucket, result["manifest"])
        return [
            *_bought(accounts["purchases"], number),
            *_landed(bucket, number, sample),
            *_counted(accounts, result, rows, number),
        ]


def _bought(purchases: dict[str, dict[str, Any]], number: int) -> Iterator[str]:
    """Whatever was bought twice, bought again without a failure, or never bought."""
    by_source: dict[str, list[str]] = defaultdict(list)
    for uuid, purchase in purchases.items():
        if purchase["count"] != 1:
            yield f"task {uuid} was accepted {purchase['count']} times"
        by_source[urlsplit(purchase["source"]).path.partition(f"/{BUCKET}/")[2]].append(purchase["status"])
    for n in range(number):
        statuses = Counter(by_source.pop(source_name(n), []))
        if statuses["success"] != 1 or set(statuses) - {"success", "error"}:
            yield f"{source_name(n)} was bought like this: {dict(statuses)}"
    yield from (f"{source} was bought and is none of ours" for source in by_source)


def _landed(bucket: Any, number: int, sample: int) -> Iterator[str]:
    """Whatever is missing, of the wrong size, of another source, or not the picture that its like are."""
    found = {blob.name: blob for blob in bucket.list_blobs(prefix="print/") if "/_clarity/" not in f"/{blob.name}"}
    digests: dict[int, str] = {}
    there = [n for n in range(number) if f"print/{n:05}.jpg" in found]
    for n in range(number):
        blob = found.pop(f"print/{n:05}.jpg", None)
        if blob is None:
            yield f"print/{n:05}.jpg is missing"
            continue
        _, (width, height) = kind(n)
        proven = blob.metadata or {}
        if proven.get("clarity-source") != f"gs://{BUCKET}/{source_name(n)}":
            yield f"{blob.name} is of {proven.get('clarity-source')}"
        if proven.get("clarity-pixels") != f"{2 * width}x{2 * height}":
            yield f"{blob.name} has {proven.get('clarity-pixels')} pixels"
        if digests.setdefault(n % KINDS, blob.md5_hash) != blob.md5_hash:
            yield f"{blob.name} is not what its like are"
    if len(set(digests.values())) != len(digests):
        yield "pictures of two kinds are the same"
    yield from (f"{name} is none of ours" for name in found)
    for n in sorted(random.Random(1).sample(there, min(sample, len(there)))):  # noqa: S311
        yield from _looks_right(bucket, n)


def _looks_right(bucket: Any, n: int) -> Iterator[str]:
    picture = Image.open(io.BytesIO(bucket.blob(f"print/{n:05}.jpg").download_as_bytes())).convert("RGB")
    colour, (width, height) = kind(n)
    seen = picture.getpixel((width, height))
    assert isinstance(seen, tuple)
    if picture.size != (2 * width, 2 * height) or max(abs(a - b) for a, b in zip(seen, colour, strict=True)) > 12:
        yield f"print/{n:05}.jpg shows {seen} in {picture.size} instead of {colour}"


def _counted(
    accounts: dict[str, Any], result: dict[str, Any], rows: list[dict[str, Any]], number: int
) -> Iterator[str]:
    """Whatever the summary or the manifest says that is not so."""
    told = {
        "planned": (result["planned"], number),
        "delivered and recovered": (result["delivered"] + result["recovered"], number),
        "failed": (result["failed"], {}),
        "not submitted": (result["not_submitted"], {}),
        "purchases": (result["purchases"], len(accounts["purchases"])),
        "cost": (round(result["cost_usd"] * 1e6), round(accounts["billed_usd"] * 1e6)),
        "cost unknown": (result["cost_unknown"], 0),
        "rows": ([row["source"] for row in rows], [f"gs://{BUCKET}/{source_name(n)}" for n in range(number)]),
        "cost of the rows": (
            round(sum(row.get("cost_usd") or 0 for row in rows) * 1e6),
            round(accounts["billed_usd"] * 1e6),
        ),
    }
    yield from (f"{name}: {said} instead of {so}"[:300] for name, (said, so) in told.items() if said != so)


def _rows(bucket: Any, manifest: str) -> list[dict[str, Any]]:
    name = manifest.removeprefix(f"gs://{BUCKET}/")
    return [json.loads(line) for line in bucket.blob(name).download_as_text().splitlines()]
