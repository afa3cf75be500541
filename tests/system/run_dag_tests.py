"""Runs ``dag.test()`` of DAGs in one process of their own, and prints a JSON line for each: state and XComs.

Usage: ``python run_dag_tests.py '[["dag_id", {"conf": ...}], ...]'`` with Airflow's settings in the environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
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


DAGS = bag()
assert not DAGS.import_errors, DAGS.import_errors
for dag_id, conf in json.loads(sys.argv[1]):
    run = DAGS.dags[dag_id].test(run_conf=conf)
    result = {"dag": dag_id, "state": str(getattr(run.state, "value", run.state))}
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")
    sys.stdout.flush()
