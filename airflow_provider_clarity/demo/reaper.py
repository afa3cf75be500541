"""Ends processes when whoever started them is gone, however it went: by itself, by Ctrl-C or by a kill.

It reads process ids from its standard input, one a line, each the leader of a session. When the input ends (its other
end is closed, or its owner died) it interrupts the leaders, waits, and kills what is left of their sessions. Sessions
are what holds together a scheduler, its workers and their tasks: Airflow gives tasks process groups of their own, and
its processes overwrite their environment, but none of them leaves the session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PATIENCE = 10.0


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


def main() -> int:
    """Watch the standard input, then end what it named.

    :return: 0 when nothing is left
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders = [int(line) for line in sys.stdin if line.strip().isdigit()]
    return 0 if end(leaders, float(sys.argv[1])) else 1


if __name__ == "__main__":
    sys.exit(main())
