"""Upscale the images of several brands, each with its own settings, budget and format.

One mapped task for each entry of ``BRANDS``; what they have in common is in ``partial``. The brands are independent:
one that fails, or that is over its budget, stops none of the others. A run buys what is not there yet, so a schedule
costs nothing while nothing is new.

The budget is that of an entry's place in the list: add new brands at its end. A changed setting makes no new pictures
by itself: what is there is *stale* and is left, with a warning, until ``if_exists="update"`` asks for it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

BRANDS = [
    {
        "source": "gs://{{ params.raw }}/brands/atlas/",
        "destination": "gs://{{ params.print }}/brands/atlas/",
        "settings": {"strength": 0.2},
        "max_cost_usd": 10,
    },
    {
        "source": "gs://{{ params.raw }}/brands/birch/**.png",
        "destination": "gs://{{ params.print }}/brands/birch/",
        "settings": {"strength": 0.4, "positivePrompt": "wood grain, sharp"},
        "output_format": "PNG",
        "max_cost_usd": 20,
    },
    {
        "source": "gs://{{ params.raw }}/brands/cedar/",
        "destination": "gs://{{ params.print }}/brands/cedar/",
        "output_quality": 80,
        "max_cost_usd": 5,
        "on_budget": "stop",
    },
]

with DAG(
    dag_id="clarity_several_brands",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "raw": Param("raw", type="string", description="the bucket of the sources"),
        "print": Param("print", type="string", description="the bucket of the pictures"),
    },
):
    UpscaleBatchOperator.partial(
        task_id="upscale",
        tolerated_failures="5%",
        deferrable=True,
        max_active_tis_per_dagrun=2,
        map_index_template="{{ task.destination }}",
    ).expand_kwargs(BRANDS)
