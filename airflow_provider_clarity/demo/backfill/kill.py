"""Kills one worker while purchases of its are in flight: what the whole package is made for."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_clarity.demo.airflow import AirflowInstance
from airflow_provider_clarity.demo.backfill.days import DAG_ID, TASK_ID
from airflow_provider_clarity.demo.backfill.progress import DaySeen

FEW = 8
"""Purchases in flight from which on it is worth a kill."""


@dataclass(frozen=True)
class Kill:
    """A worker that was killed.

    :param day: whose it was
    :param pid: of the process
    :param in_flight: how many purchases were
    :param tries: the number of its try
    """

    day: str
    pid: int
    in_flight: int
    tries: int = 1


def victim(seen: Sequence[DaySeen]) -> DaySeen | None:
    """Choose the day whose worker has most purchases in flight; none while no worker has more than a few.

    :param seen: where each day is
    """
    running = [one for one in seen if one.state == "running" and one.in_flight >= FEW]
    return max(running, key=lambda one: one.in_flight, default=None)


class Killer:
    """Kills once. ``done`` says whom."""

    def __init__(self) -> None:
        self.done: Kill | None = None

    def look(self, airflow: AirflowInstance, runs: Mapping[str, str], seen: Sequence[DaySeen]) -> str | None:
        """Kill if it is time to.

        :param airflow: which runs the days
        :param runs: run ids by day
        :param seen: where each day is
        :return: what a person should know of it
        """
        chosen = None if self.done else victim(seen)
        if chosen is None:
            return None
        for pid in airflow.task_pids(DAG_ID, runs[chosen.day], TASK_ID)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.done = Kill(chosen.day, pid, chosen.in_flight, chosen.tries)
                return (
                    f"{chosen.day}  SIGKILL to its worker, process {pid}, with {chosen.in_flight} purchases in flight"
                )
        return None
