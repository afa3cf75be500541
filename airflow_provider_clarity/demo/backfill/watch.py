"""Runs the days as a backfill of Airflow's, looks every second, and tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_clarity.demo.airflow import AirflowInstance
from airflow_provider_clarity.demo.airflow_api import AirflowTask
from airflow_provider_clarity.demo.backfill.account import account_of
from airflow_provider_clarity.demo.backfill.days import DAG_ID, DAYS, DESTINATION, EACH, TASK_ID, prefix
from airflow_provider_clarity.demo.backfill.kill import Killer
from airflow_provider_clarity.demo.backfill.progress import DaySeen, Progress
from airflow_provider_clarity.demo.emulator import Emulator

_FINAL = frozenset(("success", "failed"))
_LOOK_EVERY = 1.0
_PATIENCE = 600

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ran:
    """What came of the days.

    :param runs: run ids by day
    :param results: what each task returned; ``None`` where it returned nothing
    :param tries: how many tries each task had
    """

    runs: Mapping[str, str]
    results: Mapping[str, Mapping[str, Any] | None]
    tries: Mapping[str, int]


def run_days(
    airflow: AirflowInstance, emulator: Emulator, say: Say, *, killer: Killer | None = None, again: bool = False
) -> Ran:
    """Start a backfill over all days and wait until it has ended.

    :param airflow: healthy
    :param emulator: where the pictures are
    :param say: tells a person
    :param killer: kills a worker on the way
    :param again: whether the days ran before
    :raises AirflowError: Airflow broke, or the time is over
    """
    began = {day: task.try_number for day, task in _tasks(airflow, airflow.api.runs(DAG_ID)).items()} if again else {}
    runs = airflow.backfill(DAG_ID, DAYS, again=again)
    progress, next_look = Progress(EACH, began), 0.0

    def ended() -> bool:
        nonlocal next_look
        if time.monotonic() < next_look:
            return False
        next_look = time.monotonic() + _LOOK_EVERY
        over = all(airflow.api.run_state(DAG_ID, run_id) in _FINAL for run_id in runs.values())
        seen = look(airflow, emulator, runs)
        for sentence in progress.news(seen, time.monotonic()):
            say(f"  {sentence}")
        if killer is not None and (killed := killer.look(airflow, runs, seen)):
            say(f"  {killed}")
        return over

    airflow.wait_until(ended, _PATIENCE, "The backfill has not ended")
    return Ran(
        runs=runs,
        results={day: airflow.xcom(DAG_ID, run_id, TASK_ID) for day, run_id in runs.items()},
        tries={day: task.try_number - began.get(day, 0) for day, task in _tasks(airflow, runs).items()},
    )


def look(airflow: AirflowInstance, emulator: Emulator, runs: Mapping[str, str]) -> Sequence[DaySeen]:
    """See where each day is.

    :param airflow: which runs them
    :param emulator: where the pictures are
    :param runs: run ids by day
    """
    tasks, account = _tasks(airflow, runs), account_of(emulator.accounts(), DAYS)
    return [
        DaySeen(
            day=day,
            state=tasks[day].state,
            tries=tasks[day].try_number,
            bought=account.days[day].bought,
            in_flight=account.days[day].in_flight,
            landed=len(emulator.names(DESTINATION, prefix(day))),
        )
        for day in runs
        if day in tasks
    ]


def _tasks(airflow: AirflowInstance, runs: Mapping[str, str]) -> dict[str, AirflowTask]:
    return {day: task for day, run_id in runs.items() for task in airflow.task_instances(DAG_ID, run_id)}
