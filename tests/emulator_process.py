"""The emulator as a test uses it: the real command, in its own process, on free ports of loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 15


class EmulatorProcess:
    """Starts ``python -m airflow_provider_clarity.emulator`` and speaks to its control routes.

    ``with EmulatorProcess("--service-time", "0.05", buckets=["raw", "print"]) as emulator:`` gives ``runware_url``,
    ``storage_url``, ``service_account_file`` and ``api_key``; leaving the block stops it.

    :param arguments: further command line options
    :param buckets: buckets that exist from the start
    """

    def __init__(self, *arguments: str, buckets: Sequence[str] = ()) -> None:
        self._arguments = [*arguments, *(part for bucket in buckets for part in ("--bucket", bucket))]
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop()
        self.errors = ""
        self.ready: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it and wait for its line."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_clarity.emulator", *self._arguments],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self.stop()
            raise RuntimeError(f"the emulator ended with {code} before it served:\n{self.errors}")
        self.ready = json.loads(line)
        return self

    @property
    def runware_url(self) -> str:
        """The connection's host: ``http://127.0.0.1:<port>/v1``."""
        return self.ready["runware_url"]

    @property
    def storage_url(self) -> str:
        """What ``STORAGE_EMULATOR_HOST`` is set to."""
        return self.ready["storage_url"]

    @property
    def service_account_file(self) -> str:
        """The path of a key file for ``google.auth``."""
        return self.ready["service_account_file"]

    @property
    def api_key(self) -> str:
        """The only key that the Runware half takes."""
        return self.ready["api_key"]

    @property
    def pid(self) -> int:
        """Its process, to be looked at."""
        assert self._process is not None
        return self._process.pid

    def faults(self, faults: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
        """Add faults and return all of them, each with ``fired``; without an argument only read them."""
        return self._control("faults", list(faults) or None)

    def switches(self, switches: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Set switches and return all of them; without an argument only read them."""
        return self._control("switches", switches)

    def accounts(self) -> dict[str, Any]:
        """Return what was asked and bought since the start or the last reset."""
        return self._control("accounts")

    def reset(self) -> None:
        """Clear accounts, tasks, faults and switches; storage stays."""
        self._control("reset", {})

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit code; what it logged is in ``errors`` then."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            output, _ = process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        self._process = None
        self._stderr.seek(0)
        self.errors = self._stderr.read()
        self._stderr.close()
        assert not output, "the emulator wrote more than one line to stdout"
        return process.returncode

    def _control(self, path: str, body: object = None) -> Any:
        base = self.runware_url.removesuffix("/v1")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{base}/_emulator/{path}", data=data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            return json.load(reply)
