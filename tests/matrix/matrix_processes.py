"""The processes of the matrix, as a test holds them: started, awaited, killed by their id."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FORKER = Path(__file__).with_name("matrix_forker.py")
ROOT = FORKER.parent.parent.parent


@dataclass
class Process:
    """One job: an operating system's process of its own.

    :param folder: what Airflow would show or store of it
    """

    folder: Path
    pid: int = 0
    code: int | None = None
    _handle: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _started: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether it came."""
        return self._ended.wait(seconds)

    def kill(self) -> bool:
        """Send SIGKILL, and see it dead; False where it was faster."""
        self._started.wait()
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)  # its number may be another's by now
        assert self.wait(30), "a killed process lives"
        return self.code == -signal.SIGKILL

    def out(self) -> dict[str, Any]:
        """Return how it ended, in its own words."""
        path = self.folder / "out.json"
        if self.code != 0 or not path.exists():
            return {"kind": "died", "code": self.code}
        found: dict[str, Any] = json.loads(path.read_text())
        return found


class Processes:
    """Starts jobs; see ``matrix_forker.py``.

    :param folder: for the forker's own words
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Process] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with (self._folder / "forker.txt").open("w") as words:
            self._forker = subprocess.Popen(
                [sys.executable, str(FORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
            )
        assert self._forker.stdout is not None
        assert self._forker.stdout.readline(), (self._folder / "forker.txt").read_text()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._forker.stdin is not None
        self._forker.stdin.close()
        self._forker.wait()
        self._reader.join()
        assert self._forker.stdout is not None
        self._forker.stdout.close()

    def start(self, job: Mapping[str, Any]) -> Process:
        """Start a job in a process of its own."""
        number = next(self._numbers)
        process = Process(Path(job["folder"]))
        assert self._forker.stdin is not None
        with self._lock:
            self._jobs[number] = process
            self._forker.stdin.write(json.dumps({"id": number, **job}).encode() + b"\n")
            self._forker.stdin.flush()
        return process

    def _listen(self) -> None:
        assert self._forker.stdout is not None
        for line in self._forker.stdout:
            told = json.loads(line)
            process = self._jobs[told["id"]]
            if "pid" in told:
                process.pid = told["pid"]
                with contextlib.suppress(ProcessLookupError):
                    process._handle = os.pidfd_open(process.pid)
                process._started.set()
            else:
                process.code = told["code"]
                process._ended.set()
                with process._lock:
                    if process._handle is not None:
                        os.close(process._handle)
                    process._handle = None
