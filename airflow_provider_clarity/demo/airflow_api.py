"""How to speak to a running Airflow: over REST to Airflow 3, through a helper process to Airflow 2.11.

Airflow 2.11 would need a webserver for its REST API, which takes longer to start than everything else together; a
command of its CLI takes five seconds. One helper that has Airflow loaded and reads commands answers at once.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

import httpx

from airflow_provider_clarity.demo.airflow_env import AirflowSetup

_LOCKED = frozenset((409, 500, 503))
"""Answers of an Airflow on SQLite to whom writes while somebody else does, and to whom tries again after that."""
_PAUSES = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0)


class AirflowApiError(RuntimeError):
    """Airflow refused what was asked. The message says what.

    :param status: of its answer, where it came over HTTP
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class AirflowTask:
    """A task instance, as Airflow reports it.

    :param task_id: its task
    :param map_index: -1 where it is not mapped
    :param state: such as ``deferred``; ``None`` before it is scheduled
    :param try_number: from 1
    :param pid: the process that runs it, or ran it last
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    pid: int | None


class RestApi:
    """The REST API of Airflow 3.

    :param setup: where it lives
    """

    def __init__(self, setup: AirflowSetup) -> None:
        self._setup = setup
        self._http = httpx.Client(base_url=setup.url, timeout=30, trust_env=False)

    def healthy(self) -> bool:
        """Tell whether scheduler, triggerer and DAG processor have reported."""
        try:
            reply = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        return reply.is_success and all(part and part["status"] == "healthy" for part in reply.json().values())

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether a DAG has been read."""
        return self._call("GET", f"/dags/{quote(dag_id)}", absent_is=None) is not None

    def import_errors(self) -> list[str]:
        """List what could not be read in the DAGs folder."""
        errors = self._call("GET", "/importErrors")["import_errors"]
        return [f"{one['filename']}: {one['stack_trace']}" for one in errors]

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        body = {"dag_run_id": run_id, "conf": dict(conf), "logical_date": None}
        self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body)

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run, so that they run again."""
        self._call("POST", f"{self._run(dag_id, run_id)}/clear", {"dry_run": False, "only_failed": False})

    def backfill(self, dag_id: str, days: Sequence[str], *, again: bool) -> None:
        """Create a backfill, all its runs at once; one that has no more to do is closed before.

        With SQLite it may be refused since somebody else writes just then, and half of it may be there: that is
        closed, which fails the runs that have not begun, and they are reprocessed.
        """
        body = {
            "dag_id": dag_id,
            "from_date": _midnight(min(days)),
            "to_date": _midnight(max(days)),
            "reprocess_behavior": "completed" if again else "none",
            "max_active_runs": len(days),
        }
        for pause in (*_PAUSES, None):
            self._close_backfills(dag_id)
            try:
                self._call("POST", "/backfills", body)
            except AirflowApiError as error:
                if error.status not in _LOCKED or pause is None:
                    raise
                time.sleep(pause)
                body["reprocess_behavior"] = "completed" if again else "failed"
            else:
                return

    def runs(self, dag_id: str) -> dict[str, str]:
        """Return the ids of a daily DAG's runs by day."""
        found = self._call("GET", f"/dags/{quote(dag_id)}/dagRuns?limit=100")["dag_runs"]
        return {one["logical_date"][:10]: one["dag_run_id"] for one in found if one["logical_date"]}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        return str(self._call("GET", self._run(dag_id, run_id))["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[AirflowTask]:
        """List the task instances of a run."""
        found: list[AirflowTask] = []
        while True:
            path = f"{self._run(dag_id, run_id)}/taskInstances?limit=100&offset={len(found)}"
            page = self._call("GET", path)["task_instances"]
            found += [
                AirflowTask(one["task_id"], one["map_index"], one["state"], one["try_number"], one["pid"])
                for one in page
            ]
            if not page:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int) -> Any:  # noqa: ANN401
        """Return an XCom; ``None`` where there is none."""
        path = f"{self._run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        entry = self._call("GET", f"{path}?map_index={map_index}", absent_is=None)
        return None if entry is None else entry["value"]

    def close(self) -> None:
        """Let go of the sockets."""
        self._http.close()

    def _close_backfills(self, dag_id: str) -> None:
        """Close what is over: Airflow notices by itself only twice a minute, and takes no new one before."""
        for one in self._call("GET", f"/backfills?dag_id={quote(dag_id)}")["backfills"]:
            if one["completed_at"] is None:
                with suppress(AirflowApiError):  # closed by Airflow since we asked, or locked: that shows in a moment
                    self._call("PUT", f"/backfills/{one['id']}/cancel")

    @staticmethod
    def _run(dag_id: str, run_id: str) -> str:
        return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"

    def _call(self, method: str, path: str, body: object = None, **absent_is: None) -> Any:  # noqa: ANN401
        if "Authorization" not in self._http.headers:
            self._sign_in()
        reply = self._http.request(method, f"/api/v2{path}", json=body)
        if reply.status_code == httpx.codes.NOT_FOUND and absent_is:
            return None
        if reply.is_error:
            raise AirflowApiError(f"{method} {path}: {reply.status_code} {reply.text[:500]}", reply.status_code)
        return reply.json()

    def _sign_in(self) -> None:
        known = {"username": self._setup.user, "password": self._setup.password}
        reply = self._http.post("/auth/token", json=known)
        if reply.is_error:
            raise AirflowApiError(f"Airflow did not let {self._setup.user} in: {reply.status_code}.")
        self._http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"


class HelperApi:
    """The helper process of Airflow 2.11, see ``airflow2_helper.py``.

    :param process: the helper, its standard input and output being text pipes
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def healthy(self) -> bool:
        """Tell whether scheduler and triggerer have reported."""
        return bool(self._ask("healthy"))

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether a DAG has been read."""
        return bool(self._ask("has_dag", dag_id=dag_id))

    def import_errors(self) -> list[str]:
        """List what could not be read in the DAGs folder."""
        return list(self._ask("import_errors"))

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        self._ask("trigger", dag_id=dag_id, run_id=run_id, conf=dict(conf))

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run, so that they run again."""
        self._ask("clear", dag_id=dag_id, run_id=run_id)

    def backfill(self, dag_id: str, days: Sequence[str], *, again: bool) -> None:
        """Start or clear the runs of these days: 2.11 itself backfills in the foreground of a command."""
        self._ask("backfill", dag_id=dag_id, dates=[_midnight(day) for day in days], again=again)

    def runs(self, dag_id: str) -> dict[str, str]:
        """Return the ids of a daily DAG's runs by day."""
        return dict(self._ask("runs", dag_id=dag_id))

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        return str(self._ask("run_state", dag_id=dag_id, run_id=run_id))

    def tasks(self, dag_id: str, run_id: str) -> list[AirflowTask]:
        """List the task instances of a run."""
        return [AirflowTask(**one) for one in self._ask("tasks", dag_id=dag_id, run_id=run_id)]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int) -> Any:  # noqa: ANN401
        """Return an XCom; ``None`` where there is none."""
        return self._ask("xcom", dag_id=dag_id, run_id=run_id, task_id=task_id, key=key, map_index=map_index)

    def close(self) -> None:
        """Let the helper end."""
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()

    def _ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401
        try:
            with self._lock:
                _pipe(self._process.stdin).write(json.dumps([command, arguments]) + "\n")
                _pipe(self._process.stdin).flush()
                line = _pipe(self._process.stdout).readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise AirflowApiError("The helper of Airflow 2 has ended; its log is in the folder of the processes.")
        status, answer = json.loads(line)
        if status != "ok":
            raise AirflowApiError(f"{command}: {answer}")
        return answer


AirflowApi = RestApi | HelperApi
"""What the demo and the tests ask; both answer alike."""


def web_answers(url: str) -> bool:
    """Tell whether the web interface of Airflow 2 serves.

    :param url: its address
    """
    try:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _midnight(day: str) -> str:
    return f"{day}T00:00:00+00:00"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise AirflowApiError("The helper of Airflow 2 has no pipe.")
    return pipe
