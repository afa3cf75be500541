"""What a person does in the web interface of Airflow 3, by the very calls of the REST API that the interface makes.

Only what the demo needs no way for: starting a run, waiting for it and reading it are ``AirflowInstance``'s.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

import httpx

from airflow_provider_clarity.demo.airflow import AirflowInstance


class Person:
    """Signs in once; every gesture is one request, which raises where Airflow refuses it.

    :param airflow: of version 3, healthy
    """

    def __init__(self, airflow: AirflowInstance) -> None:
        setup = airflow.setup
        self._http = httpx.Client(base_url=setup.url, timeout=60, trust_env=False)
        reply = self._http.post("/auth/token", json={"username": setup.user, "password": setup.password})
        reply.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def clear(self, dag: str, run: str, *tasks: str | tuple[str, int]) -> None:
        """Clear tasks, or mapped ones by task and map index; all of the run where none is named."""
        body: dict[str, Any] = {"dry_run": False, "dag_run_id": run, "only_failed": False, "reset_dag_runs": True}
        if tasks:
            body["task_ids"] = [task if isinstance(task, str) else list(task) for task in tasks]
        self._call("POST", f"/dags/{_quoted(dag)}/clearTaskInstances", body)

    def mark(self, dag: str, run: str, task: str, state: Literal["success", "failed"]) -> None:
        """Mark a task, whatever it is doing, as succeeded or failed."""
        self._call("PATCH", f"{_run(dag, run)}/taskInstances/{_quoted(task)}", {"new_state": state})

    def pause(self, dag: str, *, paused: bool = True) -> None:
        """Switch a DAG off, or on again."""
        self._call("PATCH", f"/dags/{_quoted(dag)}", {"is_paused": paused})

    def delete(self, dag: str, run: str) -> None:
        """Delete a run that has ended, with all its task instances and XComs."""
        self._call("DELETE", _run(dag, run))

    def set_variable(self, key: str, value: str) -> None:
        """Make an Airflow Variable, or change it."""
        known = self._http.get(f"/api/v2/variables/{_quoted(key)}").is_success
        method, path = ("PATCH", f"/variables/{_quoted(key)}") if known else ("POST", "/variables")
        self._call(method, path, {"key": key, "value": value})

    def backfills(self, dag: str) -> list[dict[str, Any]]:
        """List the backfills of a DAG, in the order in which they were created."""
        found = self._call("GET", f"/backfills?dag_id={_quoted(dag)}&limit=100").json()["backfills"]
        return sorted(found, key=lambda backfill: backfill["id"])

    def end_backfills(self, dag: str) -> None:
        """Cancel the backfills of a DAG whose runs are over.

        Airflow looks for ended ones every half minute only, and allows no second one until it has found the first.
        """
        for backfill in self.backfills(dag):
            if backfill["completed_at"] is None:
                reply = self._http.put(f"/api/v2/backfills/{backfill['id']}/cancel")
                assert reply.status_code in (httpx.codes.OK, httpx.codes.CONFLICT), reply.text  # it has just been found

    def runs(self, dag: str) -> dict[str, str]:
        """List the runs of a DAG with their states, in the order of their dates."""
        found = self._call("GET", f"/dags/{_quoted(dag)}/dagRuns?limit=100&order_by=logical_date").json()
        return {run["dag_run_id"]: run["state"] for run in found["dag_runs"]}

    def try_numbers(self, dag: str, task: str) -> list[int]:
        """How often a task was begun, in all runs, in the order of their dates."""
        return [int(found["try_number"]) for found in self._instances(dag, task)]

    def max_tries(self, dag: str, task: str) -> list[int]:
        """The number that a clear raises and a retry does not, in all runs, in the order of their dates."""
        return [int(found["max_tries"]) for found in self._instances(dag, task)]

    def close(self) -> None:
        """Let go of the socket."""
        self._http.close()

    def _instances(self, dag: str, task: str) -> list[dict[str, Any]]:
        path = f"/dags/{_quoted(dag)}/dagRuns/~/taskInstances?task_id={_quoted(task)}&limit=100&order_by=logical_date"
        found: list[dict[str, Any]] = self._call("GET", path).json()["task_instances"]
        return found

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        reply = self._http.request(method, f"/api/v2{path}", json=body)
        assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text[:500]}"
        return reply


def _run(dag: str, run: str) -> str:
    return f"/dags/{_quoted(dag)}/dagRuns/{_quoted(run)}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
