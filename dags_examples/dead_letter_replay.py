"""Try again what a backfill could not deliver.

A backfill that leaves images out writes a dead letter: a row for each image that failed, was lost or was not submitted.
It is a manifest, so it is a source as it is. Its URI is in the message of the task that failed, in the XCom
``clarity_dead_letter`` and under the link *Dead letter*:

    airflow dags trigger clarity_dead_letter_replay --conf '{"dead_letter": "gs://print/_clarity/.../dead_letter.jsonl"}'

Each row names its source and its final object. What is bought it names only where it differs from its operator, so let
the operator below have the ``settings``, ``upscale_factor`` and ``output_format`` of the one that wrote it.

To give a row that failed or was lost is to ask for another purchase, and a lost one may have been paid already: take
rows out, into a file of your own, that are not worth that. What was delivered meanwhile costs nothing. What fails again
is in this run's own dead letter.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

with DAG(
    dag_id="clarity_dead_letter_replay",
    doc_md=__doc__,
    schedule=None,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "dead_letter": Param(  # no default: nobody shall replay another one than they meant
            type="string", pattern=r"^gs://.+\.jsonl$", description="URI of a dead letter, or of a part of one"
        ),
        "destination": Param(
            "gs://print/catalog/", type="string", description="that of the task which wrote it; rows name their object"
        ),
        "max_cost_usd": Param(5, type="number", minimum=0, description="what this run may spend"),
    },
):
    UpscaleBatchOperator(
        task_id="replay",
        source="{{ params.dead_letter }}",
        destination="{{ params.destination }}",
        max_cost_usd="{{ params.max_cost_usd }}",
        deferrable=True,
    )
