"""The command line: reads the options, starts both servers, says in one line when they serve.

Exit codes: 0 after SIGINT or SIGTERM, 2 on a bad argument or a port that is taken. Invariants: the one JSON line is all
that is written to stdout, and it is written when both servers answer; logs go to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import math
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.keys import ServiceAccountKey, make_api_key
from airflow_provider_clarity.emulator.runware_app import create_runware_app
from airflow_provider_clarity.emulator.runware_render import Render
from airflow_provider_clarity.emulator.runware_runner import Timing
from airflow_provider_clarity.emulator.runware_service import Service
from airflow_provider_clarity.emulator.server import listen, serve, url_of
from airflow_provider_clarity.emulator.storage_app import create_storage_app
from airflow_provider_clarity.emulator.storage_errors import StorageError
from airflow_provider_clarity.emulator.switches import Switches

PROGRAM = "python -m airflow_provider_clarity.emulator"


@dataclass(frozen=True)
class Options:
    """The command line, understood; ``README.md`` says what each means."""

    host: str
    runware_port: int
    storage_port: int
    timing: Timing
    slots: int
    price: float
    queue: int | None
    render: Render
    seed: int
    key_file: Path | None
    buckets: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, and theirs are presigned
    try:
        sockets = [listen(options.host, options.runware_port), listen(options.host, options.storage_port)]
    except OSError as error:
        return _refuse(f"cannot listen on {options.host}: {error.strerror}")
    with contextlib.ExitStack() as opened:
        for listening in sockets:
            opened.enter_context(listening)
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="clarity-emulator-")))
        return _serve(options, sockets, folder)


def _serve(options: Options, sockets: list[socket.socket], folder: Path) -> int:
    runware_url, storage_url = map(url_of, sockets)
    faults, key, stop = Faults(options.seed), ServiceAccountKey.make(), asyncio.Event()
    key_file = options.key_file or folder / "service-account.json"
    try:
        key.write(key_file, f"{storage_url}/token")
        storage = create_storage_app(faults=faults, key=key, buckets=options.buckets)
    except OSError as error:
        return _refuse(f"cannot write the key file: {error.strerror}")
    except StorageError as error:
        return _refuse(f"argument --bucket: {error}")
    switches = Switches(api_key=make_api_key(), slots=options.slots, queue=options.queue, price=options.price)
    service = Service(
        switches, faults, base_url=runware_url, folder=folder, render=options.render, timing=options.timing
    )
    line = {
        "runware_url": f"{runware_url}/v1",
        "storage_url": storage_url,
        "service_account_file": str(key_file),
        "api_key": switches.api_key,
    }
    runware = create_runware_app(service, stop=stop)
    asyncio.run(serve([runware, storage], sockets, stop=stop, ready=lambda: _say(line)))
    return 0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a bad argument ends the program with 2 and says why on stderr."""
    found = make_parser().parse_args(arguments)
    return Options(
        host=found.host,
        runware_port=found.runware_port,
        storage_port=found.storage_port,
        timing=Timing(found.service_time, found.latency_model, found.max_queue_wait, found.seed),
        slots=found.slots,
        price=found.price,
        queue=found.queue,
        render=found.render,
        seed=found.seed,
        key_file=found.key_file,
        buckets=tuple(found.bucket),
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with every option."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Local stand-ins for Runware and Cloud Storage.")
    add = parser.add_argument
    add("--host", type=_loopback, default="127.0.0.1", help="a loopback address (default: %(default)s)")
    add("--runware-port", type=_port, default=0, help="0 takes a free one (default)")
    add("--storage-port", type=_port, default=0, help="0 takes a free one (default)")
    add("--service-time", type=_seconds, default=1.0, help="seconds a task holds its slot (default: %(default)s)")
    add("--latency-model", choices=["fixed", "lognormal"], default="fixed", help="lognormal: the median is as above")
    add("--slots", type=_at_least(1), default=16, help="tasks at the same time (default: %(default)s)")
    add("--price", type=_seconds, default=0.0013, help="US dollars for each task (default: %(default)s)")
    add("--queue", type=_at_least(0), default=None, help="tasks that may wait for a slot; beyond it 429 (default: all)")
    add("--max-queue-wait", type=_seconds, default=None, help="seconds until a waiting task fails (default: never)")
    add("--render", choices=["full", "cached", "none"], default="full", help="default: %(default)s")
    add("--seed", type=int, default=0, help="of latencies and of faults with a rate (default: %(default)s)")
    add("--key-file", type=Path, default=None, help="where the service account's key is written (default: temporary)")
    add("--bucket", action="append", default=[], metavar="NAME", help="a bucket that exists at once; may be repeated")
    return parser


def _refuse(message: str) -> int:
    sys.stderr.write(f"{PROGRAM}: error: {message}\n")
    return 2


def _say(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _loopback(text: str) -> str:
    try:
        loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise argparse.ArgumentTypeError("the emulator listens on loopback only")
    return "127.0.0.1" if text == "localhost" else text


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError("must be a number of at least 0")
    return value


class _at_least:  # noqa: N801 - used like a function, but argparse wants a name to show
    def __init__(self, least: int) -> None:
        self.least = least
        self.__name__ = "integer"

    def __call__(self, text: str) -> int:
        value = int(text)
        if value < self.least:
            raise argparse.ArgumentTypeError(f"must be at least {self.least}")
        return value
