"""Upscale the pictures of each day: those that lie under ``gs://raw/catalog/<day>/``, in one task a day.

Written as a user would write it. Unusual is only that everything happens within seconds: a worker is freed for a wait
of two, and a retry follows after one. Deferrals that short meet a race of Airflow 3.3, which then ends the try; the
next one goes on and pays nothing, and there are enough of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

with DAG(
    dag_id="daily_catalog",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    end_date=datetime(2026, 1, 3, tzinfo=UTC),
    catchup=False,
    tags=["clarity", "demo"],
):
    UpscaleBatchOperator(
        task_id="upscale",
        source="gs://raw/catalog/{{ ds }}/",
        destination="gs://print/catalog/{{ ds }}/",
        max_cost_usd=0.25,
        tolerated_failures="5%",
        retries=9,
        retry_delay=timedelta(seconds=1),
        deferrable=True,
        defer_after=2,
    )
