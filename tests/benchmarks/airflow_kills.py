"""Ten thousand pictures through a real Airflow whose worker, triggerer and scheduler are killed again and again.

    bash .ci/run bench airflow_kills

Every 15 to 30 s one of them gets SIGKILL, in an order drawn anew for each four: the worker's process alone; the
triggerer; the scheduler alone, so that the worker it had started goes on unwatched until it hears that another try has
begun; the scheduler with all of its workers, as a machine is lost. Scheduler and triggerer are started again at once.
200 slots, tasks of 20 s (log-normal), a window of 200, which the task defers for; 2 % of the tasks fail with an error
that may pass, 1 % of the uploads are refused, of 1 % of the submits the reply is lost. Then the audit, and another run
over the same pictures. Prints a table in Markdown; ends with 1 where anything that was promised is not so.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_backfills import (
    BACKFILL,
    QUICK_TO_NOTICE,
    Backfills,
    Look,
    airflow_over,
    wrong_with,
    wrong_with_another,
)
from backfill_runs import BUCKET, fill
from emulator_process import EmulatorProcess
from kills import FAULTS

from airflow_provider_clarity.demo import reaper

TIMEOUT = 8.0
PATIENCE = 20.0
"""Seconds for which a kill waits until there is a worker, or a task that is deferred."""
STANDSTILL = 60.0
"""Seconds for which it waits until something was submitted or uploaded since the last: a busy machine starts slowly."""
VICTIMS = ("worker", "triggerer", "scheduler", "machine")


class Killer:
    """Kills one after the other, as :meth:`Backfills.run` looks at the run.

    :param apart: seconds between two kills, least and most
    """

    def __init__(self, backfills: Backfills, apart: tuple[float, float], seed: int) -> None:
        self._backfills, self._apart = backfills, apart
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._turns: list[str] = []
        self._orphans: list[int] = []
        self._asked, self._done = 0.0, (0, 0)
        self.killed: Counter[str] = Counter()
        self._plan(time.monotonic())

    def __call__(self, look: Look) -> None:
        """Kill whose turn it is, once it is due and there."""
        now = time.monotonic()
        if now < self._at:
            return
        (task,) = look.tasks
        wanted = {"worker": "running", "triggerer": "deferred"}.get(self._victim)
        if wanted is not None and task.state != wanted and now < self._at + PATIENCE:
            return
        if not self._got_on(now):
            return
        if self._victim == "worker" and (task.state != "running" or not task.pid):
            self._victim = "triggerer"  # a worker is rare where nearly all is waiting
        self._kill(task.pid or 0)
        self.killed[self._victim] += 1
        sys.stderr.write(f"{self.killed.total()}: {self._victim}, the task {task.state}, {self._done[0]} submitted\n")
        self._plan(now)

    def _got_on(self, now: float) -> bool:
        """Whether anything was done since the last kill; asked every few seconds, for the answer is long."""
        if now < self._asked + 3.0:
            return False
        accounts, self._asked = self._backfills.emulator.accounts(), now
        done = accounts["submits"], len(accounts["uploads"])
        if done == self._done and now < self._at + STANDSTILL:
            return False
        self._done = done
        return True

    def _plan(self, now: float) -> None:
        self._at = now + self._chance.uniform(*self._apart)
        self._turns = self._turns or self._chance.sample(VICTIMS, len(VICTIMS))
        self._victim = self._turns.pop()

    def _kill(self, worker: int) -> None:
        reaper.end(self._orphans, 0)  # of the last scheduler that was killed alone: they never end by themselves
        self._orphans.clear()
        match self._victim:
            case "worker":
                os.kill(worker, signal.SIGKILL)
            case "scheduler":
                self._orphans.append(self._backfills.kill("scheduler"))
            case "machine":
                self._backfills.airflow.kill_process("scheduler")
                self._backfills.airflow.start_process("scheduler")
            case _:
                self._backfills.airflow.kill_process("triggerer")
                self._backfills.airflow.start_process("triggerer")


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--service-time", type=float, default=20.0)
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--window", type=int, default=200, help="max_in_flight")
    parser.add_argument("--defer-after", type=float, default=5.0, help="seconds")
    parser.add_argument("--least-apart", type=float, default=15.0, help="seconds between two kills")
    parser.add_argument("--most-apart", type=float, default=30.0)
    parser.add_argument("--least-kills", type=int, default=30)
    parser.add_argument("--least-deferrals", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    arguments = [
        "--service-time", str(options.service_time), "--latency-model", "lognormal", "--slots", str(options.slots),
        "--render", "cached", "--seed", str(options.seed),
    ]  # fmt: skip
    choices = {"max_in_flight": options.window, "defer_after": options.defer_after, "max_attempts": 6}
    with EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator:
        fill(emulator, options.images)
        emulator.faults(FAULTS)
        with airflow_over(emulator, choices, timeout=TIMEOUT, retries=10_000, env=QUICK_TO_NOTICE) as backfills:
            killer = Killer(backfills, (options.least_apart, options.most_apart), options.seed)
            ran = backfills.run(BACKFILL, seconds=6 * 3600, at_each_look=killer)
            wrong = wrong_with(backfills, ran, options.images, sample=500)
            if ran.state != "success":
                print("\n".join(wrong))  # noqa: T201
                return 1
            before, faults = emulator.accounts(), emulator.faults()
            again = backfills.run(BACKFILL, seconds=3600)
            after = emulator.accounts()
            wrong += wrong_with_another(before, after, again.results, options.images)
    if killer.killed.total() < options.least_kills:
        wrong.append(f"only {killer.killed.total()} kills")
    wrong += [f"no {victim} was killed" for victim in VICTIMS if not killer.killed[victim]]
    if ran.deferrals < options.least_deferrals:
        wrong.append(f"only {ran.deferrals} deferrals")
    failed = sum(purchase["status"] == "error" for purchase in before["purchases"].values())
    result, killed = ran.result, killer.killed
    print(  # noqa: T201
        "| images | kills | of workers | of triggerers | of schedulers | of machines | tries | deferrals | seconds "
        "| purchases | failed and bought again | recovered | cost, $ | bill, $ | submits whose reply was lost "
        "| conflicts | memory, MB | second run: submits, seconds | load |\n"
        + "| -- " * 19 + "|\n"
        f"| {options.images:,} | {killed.total()} | {killed['worker']} | {killed['triggerer']} | {killed['scheduler']} "
        f"| {killed['machine']} | {ran.tries} | {ran.deferrals} | {ran.seconds:,.0f} | {result['purchases']:,} "
        f"| {failed} | {result['recovered']} | {result['cost_usd']} | {before['billed_usd']} | {faults[2]['fired']} "
        f"| {before['conflicts']} | {ran.memory:.0f} | {after['submits'] - before['submits']}, {again.seconds:.0f} "
        f"| {os.getloadavg()[0]:.1f} |\n"
    )  # fmt: skip
    print("\n".join(wrong[:50]) or "Nothing was bought twice, nothing is lost, every picture is its source's.")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
