"""Runs ``dag.test()`` of DAGs in one process of their own, and prints a line for each: how its run ended.

Usage, with Airflow's settings in the environment: ``python run_dag_tests.py '[["dag_id", {"conf": ...}], ...]'``, or
without arguments: then it reads a line of JSON for each run, when its tester has looked at the last one:
``{"dag": "dag_id", "conf": {}, "logical_date": "2026-03-01", "answer": "Approve"}``. The line that it prints is
``RESULT {"dag", "state", "run_id", "tasks": {task: state}, "xcoms": {task: {key: value}}, "asked": [what was asked]}``,
where a task is ``task_id`` or ``task_id[map index]``.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, stdout=subprocess.DEVNULL)


def bag() -> Any:
    """Read the DAGs folder, and store what was read where Airflow 3 looks for it."""
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: PLC0415 - Airflow 3
    except ImportError:
        from airflow.models.dagbag import DagBag  # noqa: PLC0415 - Airflow 2

        found = DagBag(include_examples=False)
        found.sync_to_db()
        return found
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415 - Airflow 3

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    bundle = next(iter(manager.get_all_dag_bundles()))
    found = DagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    sync_bag_to_db(found, bundle.name, None)
    return found


class Person(logging.Handler):
    """Answers approvals, through the function behind Airflow's own REST API, when ``dag.test()`` says that it waits.

    Not earlier: it sets the state of the waiting task itself, and would undo an answer that came before.

    :param answer: one of the options
    """

    def __init__(self, answer: str) -> None:
        super().__init__(logging.INFO)
        self.answer = answer
        self.asked: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("Waiting for Human-in-the-loop input"):
            self.reply()

    def reply(self) -> None:
        """Give the answer to all that is asked."""
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser  # noqa: PLC0415 - Airflow 3.1
        from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload  # noqa: PLC0415
        from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail  # noqa: PLC0415
        from airflow.models.hitl import HITLDetail  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        with create_session(scoped=False) as session:
            for detail in session.scalars(select(HITLDetail).where(HITLDetail.responded_at.is_(None))).unique().all():
                ti = detail.task_instance
                self.asked.append(f"{detail.subject}\n{detail.body}")
                update_hitl_detail(
                    dag_id=ti.dag_id,
                    dag_run_id=ti.run_id,
                    task_id=ti.task_id,
                    update_hitl_detail_payload=UpdateHITLDetailPayload(chosen_options=[self.answer]),
                    user=SimpleAuthManagerUser(username="ada", role="admin"),
                    session=session,
                )


def xcoms_of(dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
    """All that the tasks of a run have pushed."""
    try:
        from airflow.models.xcom import XComModel as Model  # noqa: PLC0415 - Airflow 3
    except ImportError:
        from airflow.models.xcom import XCom as Model  # noqa: PLC0415 - Airflow 2
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    found: dict[str, dict[str, Any]] = {}
    with create_session() as session:
        for row in session.scalars(select(Model).where(Model.dag_id == dag_id, Model.run_id == run_id)):
            value = Model.deserialize_value(row) if DATE == "logical_date" else row.value  # Airflow 2 has read it
            found.setdefault(name_of(row), {})[row.key] = value
    return found


def name_of(of: Any) -> str:
    """Name a task instance."""
    return of.task_id if of.map_index < 0 else f"{of.task_id}[{of.map_index}]"


def run(dag_id: str, conf: Any, logical_date: str | None = None, answer: str | None = None) -> None:
    """Test one DAG, and print how its run ended."""
    when = datetime.fromisoformat(logical_date).replace(tzinfo=UTC) if logical_date else None
    given = {DATE: when} if when else {}
    person = Person(answer or "")
    log = logging.getLogger("airflow.sdk.definitions.dag")
    if answer:
        log.setLevel(logging.INFO)
        log.addHandler(person)
    done = DAGS.dags[dag_id].test(run_conf=conf, **given)
    log.removeHandler(person)
    result = {
        "dag": dag_id,
        "state": text(done.state),
        "run_id": done.run_id,
        "tasks": {name_of(ti): text(ti.state) for ti in done.get_task_instances()},
        "xcoms": xcoms_of(dag_id, done.run_id),
        "asked": person.asked,
    }
    sys.stdout.write(f"\nRESULT {json.dumps(result, default=str)}\n")
    sys.stdout.flush()


def text(state: Any) -> str:
    """A state as Airflow writes it."""
    return str(getattr(state, "value", state))


DAGS = bag()
DATE = "logical_date" if hasattr(DAGS, "bundle_path") else "execution_date"
assert not DAGS.import_errors, DAGS.import_errors
if len(sys.argv) > 1:
    for name, configuration in json.loads(sys.argv[1]):
        run(name, configuration)
else:
    for line in sys.stdin:
        asked = json.loads(line)
        run(asked["dag"], asked.get("conf") or {}, asked.get("logical_date"), asked.get("answer"))
