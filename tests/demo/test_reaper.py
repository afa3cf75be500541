"""Nothing outlives its owner, whatever became of the owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_clarity.demo import reaper

FAMILY = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
print(child.pid, flush=True)
{ignore}
time.sleep(60)
"""
SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
OWNER = """
import os, signal, sys, time
from pathlib import Path
from airflow_provider_clarity.demo.reaper import Reaper
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have had ignored
reaper = Reaper(0.2)
leader = reaper.spawn(["sleeper"], cwd=Path({folder!r}), stdout=sys.stdout, stderr=sys.stderr)
{then}
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True)


def first_line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.fixture(params=["", "signal.signal(signal.SIGINT, signal.SIG_IGN)"], ids=["obedient", "stubborn"])
def family(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Start a session whose leader has a child in a process group of its own, as Airflow's tasks have."""
    process = start(FAMILY.format(ignore=request.param))
    yield process
    reaper.end([process.pid], 0)
    process.communicate()


def test_a_session_ends_with_all_its_groups(family: subprocess.Popen[str]) -> None:
    """A kill of the leader's group alone would leave the tasks behind."""
    child = first_line(family)
    assert reaper.session_members([family.pid]) == sorted([family.pid, child])
    assert reaper.parent_of(child) == family.pid
    assert reaper.end([family.pid], 0.3)
    assert reaper.session_members([family.pid]) == []


def owner_of_a_sleeper(folder: Path, then: str) -> tuple[subprocess.Popen[str], int]:
    """Start who starts something, then does something else; return it, and the process that it started."""
    (folder / "sleeper.py").write_text(SLEEPER)
    owner = start(OWNER.format(folder=str(folder), then=then))
    return owner, first_line(owner)


def ended(leader: int) -> bool:
    deadline = time.monotonic() + 10
    while reaper.session_members([leader]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not reaper.session_members([leader])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a closed terminal, the memory killer: what the owner started is ended all the same."""
    owner, leader = owner_of_a_sleeper(tmp_path, "time.sleep(60)")
    assert reaper.session_members([leader]) == [leader]
    os.kill(owner.pid, number)
    owner.communicate()
    assert ended(leader)


def test_nothing_outlives_an_owner_that_is_killed_before_it_could_say_what_it_started(tmp_path: Path) -> None:
    """The process is there before its owner knows its id: it names itself."""
    dies = "print(leader.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    owner, leader = owner_of_a_sleeper(tmp_path, dies)
    owner.communicate()
    assert ended(leader)


def test_an_owner_can_end_what_it_started(tmp_path: Path) -> None:
    """And is told that nothing is left."""
    owner, leader = owner_of_a_sleeper(tmp_path, "time.sleep(0.5); sys.exit(0 if reaper.close() else 9)")
    owner.communicate()
    assert owner.returncode == 0
    assert reaper.session_members([leader]) == []


def test_strangers_are_left_alone() -> None:
    """Only sessions that were named are touched."""
    stranger = start("import time; time.sleep(60)")
    command = [sys.executable, "-m", "airflow_provider_clarity.demo.reaper", "watch", "0"]
    assert subprocess.run(command, input="", text=True, check=False).returncode == 0
    assert stranger.poll() is None
    stranger.kill()
    stranger.communicate()
