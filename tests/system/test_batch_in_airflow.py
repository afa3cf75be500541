"""A backfill as a whole in a real Airflow: it defers, its worker is killed, and it is run again.

Ten thousand images of it are ``tests/benchmarks/airflow_backfill.py`` and ``airflow_kills.py``.
"""

from __future__ import annotations

import os
import signal

import pytest
from airflow_backfills import BACKFILL, Look, airflow_over, wrong_with, wrong_with_another
from backfill_runs import BUCKET, fill
from emulator_process import EmulatorProcess

pytestmark = pytest.mark.system

NUMBER = 120
KILLED_AFTER = 40
SERVICE = ("--service-time", "5", "--slots", "64", "--render", "cached")


def test_a_backfill_defers_survives_its_worker_and_is_done_once() -> None:
    """Breaks if deferring or dying on the way buys an image twice, loses one, or makes the summary differ."""
    with EmulatorProcess(*SERVICE, buckets=[BUCKET]) as emulator:
        fill(emulator, NUMBER)
        with airflow_over(emulator, {"max_in_flight": 64, "defer_after": 1.0}, timeout=8.0) as backfills:
            killed: list[int] = []

            def kill(look: Look) -> None:
                (task,) = look.tasks
                if killed or task.state != "running" or not task.pid:
                    return
                if len(emulator.accounts()["purchases"]) >= KILLED_AFTER:
                    os.kill(task.pid, signal.SIGKILL)
                    killed.append(task.pid)

            ran = backfills.run(BACKFILL, seconds=600, at_each_look=kill)
            assert wrong_with(backfills, ran, NUMBER, sample=20) == []
            assert killed, "the backfill was over before its worker could be killed"
            assert ran.tries >= 2
            log = backfills.log(BACKFILL, ran.run)
            assert ran.deferrals >= 2, log
            assert "spent. Freeing the worker until there is news." in log
            before = emulator.accounts()
            again = backfills.run(BACKFILL, seconds=300)
            assert again.state == "success"
            assert wrong_with_another(before, emulator.accounts(), again.results, NUMBER) == []
