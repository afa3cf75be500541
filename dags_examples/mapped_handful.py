"""Upscale a handful of images, one mapped task each.

For tens of images; each mapped task costs the scheduler about a second. The list is a parameter:

    airflow dags trigger clarity_mapped_handful --conf '{"sources": ["gs://raw/a.png", "gs://raw/b.jpg"]}'

``max_active_tis_per_dagrun`` keeps the shared queue of the service from being flooded. Airflow 3.3 counts deferred
tasks: four images are in flight at most, and none of them holds a worker. Airflow 2.11 counts only what is queued or
running: more of them wait there. To limit those too, give the tasks a pool that includes deferred ones.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_clarity.operators.upscale import UpscaleOperator

with DAG(
    dag_id="clarity_mapped_handful",
    doc_md=__doc__,
    schedule=None,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10)},
    params={
        "sources": Param(["gs://raw/cat.png"], type="array", description="gs:// URIs of the images"),
        "destination": Param("gs://print/", type="string", description="a prefix ending in /"),
    },
):

    @task
    def images(params: dict | None = None) -> list[str]:
        """Hand over the list, so that one task is mapped over each."""
        return list((params or {})["sources"])

    UpscaleOperator.partial(
        task_id="upscale",
        destination="{{ params.destination }}",
        output_format="JPG",
        deferrable=True,
        max_active_tis_per_dagrun=4,
        map_index_template="{{ task.source }}",
    ).expand(source=images())
