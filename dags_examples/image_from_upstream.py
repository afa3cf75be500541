"""Upscale an image that an upstream task found.

The upstream task returns a ``gs://`` URI; the operator takes it as it takes any text. What it returns in turn
(``uri``, ``outcome``, ``width``, ``height``, ``cost_usd``, ``seconds``, ``task_uuid``) is there for the next task.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_clarity.operators.upscale import UpscaleOperator

with DAG(
    dag_id="clarity_image_from_upstream",
    doc_md=__doc__,
    schedule=None,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30)},
    params={
        "candidates": Param(["gs://raw/cat.png"], type="array", description="gs:// URIs, the best one last"),
        "destination": Param("gs://print/hero/", type="string", description="a prefix ending in /"),
    },
):

    @task
    def find(params: dict | None = None) -> str:
        """Choose the image of the day."""
        return str((params or {})["candidates"][-1])

    hero = UpscaleOperator(
        task_id="upscale",
        source=find(),
        destination="{{ params.destination }}",
        if_exists="update",
        deferrable=True,
    )

    @task
    def announce(picture: dict) -> str:
        """Tell where it is."""
        return f"{picture['uri']} is {picture['width']} x {picture['height']} px and cost ${picture['cost_usd']}."

    announce(hero.output)
