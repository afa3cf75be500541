"""What Airflow does with one task instance: tries, deferrals, triggers, events, retries, clears; processes die.

Airflow itself is not here: the scheduler, the triggerer and the database of a real one are in
``test_matrix_airflow.py``. Here is what they would do, fast enough for some hundred images at once, with real processes
that are really killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from matrix_processes import Process, Processes
from matrix_world import FINAL, SOURCE, Bench

Phase = Literal["worker", "trigger"]
RETRIES = 3
RETRY_DELAY = 1.0
LONGEST = 300.0
"""Seconds that one process may take: beyond them it hangs."""


@dataclass
class Kill:
    """When to kill which process, and what must hold then.

    :param phase: whose process
    :param come: whether the moment is there; it may arm further faults
    :param proof: asserts that it was the moment
    """

    phase: Phase
    come: Callable[[Bench], bool]
    proof: Callable[[Bench], None]
    done: bool = False


@dataclass
class End:
    """How a task instance ended."""

    state: Literal["success", "failed"]
    result: dict[str, Any] | None = None
    error: str = ""
    message: str = ""
    tries: int = 1
    deferrals: int = 0

    @property
    def outcome(self) -> str:
        """The outcome of a green run, the class of the error of a red one."""
        return str(self.result["outcome"]) if self.result is not None else self.error


@dataclass
class Life:
    """One task instance.

    :param folder: of all that Airflow would show or store of it
    :param run_id: of its DAG run
    :param operator: further arguments of the operator
    """

    processes: Processes
    bench: Bench
    folder: Path
    deferrable: bool
    run_id: str = "run"
    operator: dict[str, Any] = field(default_factory=dict)
    impersonated: bool = False
    max_tries: int = RETRIES
    started: int = 0
    killed: int = 0

    def run(
        self,
        kill: Kill | None = None,
        *,
        after_kill: Callable[[], None] | None = None,
        while_deferred: Callable[[Life], bool] | None = None,
    ) -> End:
        """Run it until it has ended for Airflow.

        :param after_kill: what happens before Airflow goes on
        :param while_deferred: asked once, when the trigger runs; true where the task is cleared then
        """
        tries, deferrals = 0, 0
        while True:
            tries += 1
            out = self._phase("worker", {"do": "execute"}, kill, after_kill)
            while out["kind"] in ("deferred", "waiting"):
                if out["kind"] == "deferred":
                    row = out["trigger"]
                    deferrals += 1
                event = self._phase("trigger", {"do": "trigger", "trigger": row}, kill, after_kill, while_deferred)
                while_deferred = None
                if event["kind"] == "cleared":
                    self.max_tries += RETRIES + 1
                    out = self._phase("worker", {"do": "execute"}, kill, after_kill)
                elif event["kind"] == "died":
                    out = {"kind": "waiting"}  # the triggerer is started again, and loads its rows
                else:
                    assert event["kind"] == "event", event
                    out = self._phase("worker", {"do": "resume", "event": event["event"]}, kill, after_kill)
            if out["kind"] == "success":
                return End("success", out["result"], tries=tries, deferrals=deferrals)
            if out["kind"] == "failed" or tries > RETRIES:
                return End("failed", None, out.get("error", "died"), out.get("message", ""), tries, deferrals)
            time.sleep(RETRY_DELAY)

    def clear(self) -> None:
        """Do what a clear does to a task instance."""
        self.max_tries += RETRIES + 1

    def _phase(
        self,
        phase: Phase,
        job: dict[str, Any],
        kill: Kill | None,
        after_kill: Callable[[], None] | None,
        while_deferred: Callable[[Life], bool] | None = None,
    ) -> dict[str, Any]:
        process = self._start(job)
        deadline = time.monotonic() + LONGEST
        while not process.wait(0.05):
            assert time.monotonic() < deadline, f"{process.folder} does not end"
            if while_deferred is not None:
                time.sleep(0.5)  # the trigger watches
                clear = while_deferred(self)
                while_deferred = None
                if clear and process.kill():
                    if after_kill is not None:
                        after_kill()
                    return {"kind": "cleared"}
            if kill is None or kill.done or kill.phase != phase:
                continue
            self.bench.world.look()
            if kill.come(self.bench) and process.kill():
                kill.done = True
                self.killed += 1
                self.bench.world.look()
                kill.proof(self.bench)
                if after_kill is not None:
                    after_kill()
        return process.out()

    def _start(self, job: dict[str, Any]) -> Process:
        self.started += 1
        folder = self.folder / f"{self.run_id}-{self.started:02}-{job['do']}"
        folder.mkdir(parents=True)
        (folder / "row.json").write_text(json.dumps({key: job.get(key) for key in ("trigger", "event")}))
        secrets = self.folder.parent / "secrets"
        secrets.mkdir(exist_ok=True)
        operator = {
            "source": f"gs://{self.bench.bucket}/{SOURCE}",
            "destination": f"gs://{self.bench.bucket}/{FINAL}",
            "deferrable": self.deferrable,
            "defer_after": 0,
            "timeout": 280,
            **self.operator,
        }
        ti = {"dag_id": "matrix", "run_id": self.run_id, "task_id": "upscale", "max_tries": self.max_tries}
        return self.processes.start(
            {
                "folder": str(folder),
                "secrets": str(secrets / f"{self.folder.name}.txt"),
                "environment": self.bench.environment(impersonated=self.impersonated),
                "operator": operator,
                "ti": ti,
                **job,
            }
        )
