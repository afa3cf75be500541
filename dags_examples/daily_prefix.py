"""Upscale what a day has brought, each day, and days of the past.

The run of a day takes ``gs://raw/catalog/<day>/``, with all folders below it, to ``gs://print/catalog/<day>/``: one
Airflow task, however many images. Run again it costs nothing for what is there. It spends ``max_cost_usd`` a day at
most, and is red if more than ``tolerated_failures`` of its images failed; the dead letter names them.

The timetable is written out, so that the run after midnight is that of the day which has just ended, in Airflow 2 and 3
alike: for ``schedule="@daily"`` Airflow 3 would say the day that has just begun, whose folder is empty. A run by hand
needs a logical date, since ``{{ ds }}`` is made of it.

Days of the past, and then those of them that failed (Airflow 3; in 2.11 it is ``airflow dags backfill``):

    airflow backfill create --dag-id clarity_daily_prefix --from-date 2026-03-01 --to-date 2026-03-31 \
        --max-active-runs 2
    airflow backfill create --dag-id clarity_daily_prefix --from-date 2026-03-01 --to-date 2026-03-31 \
        --max-active-runs 2 --reprocess-behavior failed
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

with DAG(
    dag_id="clarity_daily_prefix",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "raw": Param("raw", type="string", description="the bucket of the sources"),
        "print": Param("print", type="string", description="the bucket of the pictures"),
    },
):
    UpscaleBatchOperator(
        task_id="upscale",
        source="gs://{{ params.raw }}/catalog/{{ ds }}/",
        destination="gs://{{ params.print }}/catalog/{{ ds }}/",
        max_cost_usd=25,
        tolerated_failures="5%",
        deferrable=True,
    )
