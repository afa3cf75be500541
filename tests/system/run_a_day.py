"""Runs ``dag.test()`` of a DAG for each of the days that are named, in one process, and prints a JSON line for each.

Usage: ``python run_a_day.py '[]' DAG_ID 2026-01-01 ...`` with Airflow's settings in the environment. The first argument
is that of ``run_dag_tests.py``, which reads the DAGs.
"""

from __future__ import annotations

import inspect
import json
import sys
from datetime import UTC, datetime

from run_dag_tests import DAGS

_, _, dag_id, *days = sys.argv
test = DAGS.dags[dag_id].test
date = "logical_date" if "logical_date" in inspect.signature(test).parameters else "execution_date"  # Airflow 3, 2
for day in days:
    run = test(**{date: datetime.fromisoformat(day).replace(tzinfo=UTC)})
    sys.stdout.write(f"DAY {json.dumps([day, str(getattr(run.state, 'value', run.state))])}\n")
    sys.stdout.flush()
