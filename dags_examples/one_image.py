"""Upscale one image, on demand.

Trigger it with a source and a destination of your own:

    airflow dags trigger clarity_one_image --conf '{"source": "gs://raw/cat.png", "destination": "gs://print/"}'

Triggering it again costs nothing: the picture is there. A retry adopts what an earlier try bought.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_clarity.operators.upscale import UpscaleOperator

with DAG(
    dag_id="clarity_one_image",
    doc_md=__doc__,
    schedule=None,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30)},
    params={
        "source": Param("gs://raw/cat.png", type="string", description="gs://bucket/object or an https URL"),
        "destination": Param("gs://print/", type="string", description="gs://bucket/object, or a prefix ending in /"),
    },
):
    UpscaleOperator(
        task_id="upscale",
        source="{{ params.source }}",
        destination="{{ params.destination }}",
        settings={"strength": 0.3},
        deferrable=True,
    )
