"""Ends processes when whoever started them is gone, however it went: by itself, by Ctrl-C or by a kill.

:class:`Reaper` starts them, and a process of its own that ends them. That one reads process ids from its standard
input, one a line, each the leader of a session. When the input ends (its other end is closed, or its owner died) it
interrupts the leaders, waits, and kills what is left of their sessions. Sessions are what holds together a scheduler,
its workers and their tasks: Airflow gives tasks process groups of their own, and its processes overwrite their
environment, but none of them leaves the session.

Invariant: each process names itself before it becomes what was to be started. Its owner could not: it may be killed
between the start and the telling. And the input does not end before, since the newcomer holds it open until then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_PATIENCE = 10.0


class Reaper:
    """Starts processes that end with their owner.

    :param grace: seconds they may take to end by themselves before they are killed
    """

    def __init__(self, grace: float) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", __file__, "watch", str(grace)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def spawn(
        self,
        module: Sequence[str],
        *,
        cwd: Path,
        stderr: IO[str],
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[str] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a module as the leader of a session.

        :param module: its name and its arguments, as after ``python -m``
        :param cwd: its working directory
        :param stderr: where its errors go
        :param env: its environment; the caller's where none is given
        :param stdin: its input
        :param stdout: its output
        """
        told = self._input.fileno()
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", __file__, "start", str(told), *module],
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
            pass_fds=(told,),
        )

    def close(self) -> bool:
        """End all that was started.

        :return: whether nothing is left
        """
        self._process.communicate()
        return self._process.returncode == 0

    @property
    def _input(self) -> IO[str]:
        if self._process.stdin is None:
            raise TypeError("the reaper has an input")
        return self._process.stdin


def session_members(leaders: Iterable[int]) -> list[int]:
    """List the living processes in the sessions of these leaders.

    :param leaders: process ids of session leaders, living or dead
    :return: process ids, in ascending order
    """
    wanted = set(leaders)
    return sorted(pid for pid in _all_pids() if _session(pid) in wanted and not _is_zombie(pid))


def end(leaders: Iterable[int], grace: float) -> bool:
    """Interrupt the leaders, wait, then kill whatever is left of their sessions.

    :param leaders: process ids of session leaders
    :param grace: seconds between the interrupt and the kill, at most
    :return: whether nothing is left
    """
    known = list(leaders)
    for pid in known:
        _send(pid, signal.SIGINT)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and session_members(known):
        time.sleep(0.05)
    deadline = time.monotonic() + _PATIENCE
    while (left := session_members(known)) and time.monotonic() < deadline:
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(0.05)
    return not session_members(known)


def parent_of(pid: int) -> int:
    """Find the parent of a process.

    :param pid: a living process
    :return: its parent; 0 where that cannot be found
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _all_pids() -> list[int]:
    if Path("/proc/self").exists():
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # names, not paths
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)  # noqa: S607
    return [int(line) for line in listed.stdout.split()]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2][1] == "Z"
    except (OSError, IndexError):
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def watch(grace: float) -> int:
    """Read who there is until the standard input ends, then end them.

    :param grace: see :func:`end`
    :return: 0 when nothing is left
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders = [int(line) for line in sys.stdin if line.strip().isdigit()]
    return 0 if end(leaders, grace) else 1


def start(told: int, module: Sequence[str]) -> None:
    """Name this process to its reaper, then become the module.

    :param told: the file descriptor of the reaper's input
    :param module: see :meth:`Reaper.spawn`
    """
    os.write(told, b"%d\n" % os.getpid())
    os.close(told)
    os.execv(sys.executable, [sys.executable, "-m", *module])  # noqa: S606


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        sys.exit(watch(float(sys.argv[2])))
    start(int(sys.argv[2]), sys.argv[3:])
