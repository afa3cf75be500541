"""The demo as a process of its own, in a folder that is all its world."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_instance import processes_in


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path, as a fresh machine has it; that of ``tmp_path`` is too long for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="room-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def demo(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo in a folder that is its current directory, its home and its place for temporary files."""
    environment = os.environ | {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"} | variables
    with subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_clarity.demo", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def traces(folder: Path) -> tuple[list[int], list[Path]]:
    """List what runs in a folder, and the temporary homes in it."""
    return processes_in(folder), list(folder.glob("clarity-*"))
