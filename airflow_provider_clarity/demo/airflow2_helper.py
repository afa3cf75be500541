"""Answers questions about an Airflow 2.11 out of its database. Run by ``airflow_api.HelperApi``, never imported.

A line of JSON in, ``[command, arguments]``; a line of JSON out, ``["ok", answer]`` or ``["error", message]``. It shares
the environment, and so the database, of the Airflow it speaks for. It ends with its input.
"""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false
# The names below are those of Airflow 2.11; the checkers see the Airflow that is installed, which is a newer one.
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.jobs.job import Job
from airflow.models import DagModel, DagRun, TaskInstance, XCom
from airflow.models.dagbag import DagBag
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from sqlalchemy import select


def healthy() -> bool:
    """Tell whether scheduler and triggerer have reported."""
    with create_session() as session:
        jobs = session.scalars(select(Job).where(Job.state == "running")).all()
        return {"SchedulerJob", "TriggererJob"} <= {job.job_type for job in jobs if job.is_alive()}


def has_dag(dag_id: str) -> bool:
    """Tell whether a DAG has been read."""
    with create_session() as session:
        model = session.get(DagModel, dag_id)
        return model is not None and model.is_active


def import_errors() -> list[str]:
    """List what could not be read in the DAGs folder."""
    with create_session() as session:
        return [f"{one.filename}: {one.stacktrace}" for one in session.scalars(select(ParseImportError))]


def trigger(dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Start a run; to the microsecond, so that two runs in one second do not collide."""
    trigger_dag(dag_id=dag_id, run_id=run_id, conf=conf, replace_microseconds=False)


def backfill(dag_id: str, dates: list[str], again: bool) -> None:  # noqa: FBT001  # by keyword, out of JSON
    """Start a run for each date, or clear those that are there."""
    for date in map(datetime.fromisoformat, dates):
        if again:
            _clear(dag_id, date)
        else:
            trigger_dag(dag_id=dag_id, run_id=f"backfill_{date:%Y-%m-%d}", execution_date=date)


def runs(dag_id: str) -> dict[str, str]:
    """Return the ids of a daily DAG's runs by day."""
    with create_session() as session:
        return {f"{one.logical_date:%Y-%m-%d}": one.run_id for one in DagRun.find(dag_id=dag_id, session=session)}


def clear(dag_id: str, run_id: str) -> None:
    """Clear all tasks of a run, as the REST API of 2.11 does."""
    with create_session() as session:
        run = _run(session, dag_id, run_id)
        date = run.logical_date
    if date is not None:  # 3.x knows runs without one
        _clear(dag_id, date)


def _clear(dag_id: str, date: datetime) -> None:
    DagBag(read_dags_from_db=True).get_dag(dag_id).clear(start_date=date, end_date=date, only_failed=False)


def run_state(dag_id: str, run_id: str) -> str:
    """Return the state of a run."""
    with create_session() as session:
        return str(_run(session, dag_id, run_id).state)


def tasks(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """List the task instances of a run."""
    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        return [
            {
                "task_id": one.task_id,
                "map_index": one.map_index,
                "state": one.state and str(one.state),
                "try_number": one.try_number,
                "pid": one.pid,
            }
            for one in session.scalars(query)
        ]


def xcom(dag_id: str, run_id: str, task_id: str, key: str, map_index: int) -> Any:  # noqa: ANN401  # JSON
    """Return an XCom; ``None`` where there is none."""
    return XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key, map_index=map_index)


def _run(session, dag_id: str, run_id: str) -> DagRun:  # noqa: ANN001
    run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if run is None:
        raise LookupError(f"there is no run {run_id!r} of {dag_id!r}")
    return run


COMMANDS: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (healthy, has_dag, import_errors, trigger, backfill, runs, clear, run_state, tasks, xcom)
}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow prints, too; only answers may reach the pipe
    for line in sys.stdin:
        command, arguments = json.loads(line)
        try:
            reply = ["ok", COMMANDS[command](**arguments)]
        except Exception as error:  # noqa: BLE001  # the caller raises it
            reply = ["error", f"{type(error).__name__}: {error}"]
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
