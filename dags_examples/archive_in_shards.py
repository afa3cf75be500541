"""Upscale an archive: plan it, let a person approve the estimate, then run its shards, a few at a time.

The plan lists ``gs://raw/archive/``, finds every collision of names, and pays nothing. A person sees what it would cost
and approves or rejects it (*Required Actions* of the DAG run). Then one mapped task runs for each shard.

    airflow dags trigger clarity_archive_in_shards --conf '{"max_cost_usd": 40}'

What holds is ``max_cost_usd``, which the plan divides over the shards; the estimate is no promise. Run again it plans
and asks again, and buys only what is not there. Where nothing is to be done there are no shards: ``run`` is skipped.

The approval needs Airflow 3.1. Before it the DAG has none: the shards follow the plan at once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, AirflowOptionalProviderFeatureException, Param

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator
from airflow_provider_clarity.operators.plan import UpscalePlanOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except (ImportError, AirflowOptionalProviderFeatureException):  # before Airflow 3.1 nobody can be asked
    ApprovalOperator = None

ESTIMATE = """\
{% set told = ti.xcom_pull(task_ids="plan", key="estimate") -%}
{{ told.to_do }} of {{ told.planned }} images are to be bought,
for about ${{ "%.2f" | format(told.cost_usd.expected) }}
(${{ "%.2f" | format(told.cost_usd.low) }} to ${{ "%.2f" | format(told.cost_usd.high) }}, by {{ told.basis }}),
and in no case for more than ${{ params.max_cost_usd }}.
{{ told.done }} are there already, {{ told.stale + told.foreign }} are left as they are.
"""

with DAG(
    dag_id="clarity_archive_in_shards",
    doc_md=__doc__,
    schedule=None,
    max_active_runs=1,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "raw": Param("raw", type="string", description="the bucket of the archive"),
        "print": Param("print", type="string", description="the bucket of the pictures"),
        "max_cost_usd": Param(400, type="number", minimum=0, description="what all shards together may spend"),
    },
):
    where = {"source": "gs://{{ params.raw }}/archive/", "destination": "gs://{{ params.print }}/archive/"}

    plan = UpscalePlanOperator(
        task_id="plan",
        images_per_shard=10_000,
        max_cost_usd="{{ params.max_cost_usd }}",
        **where,
    )
    run = UpscaleBatchOperator.partial(
        task_id="run",
        deferrable=True,
        max_active_tis_per_dagrun=4,
        **where,
    ).expand(shard=plan.output)

    if ApprovalOperator is not None:
        approve = ApprovalOperator(task_id="approve", subject="Upscale the archive?", body=ESTIMATE)
        plan >> approve >> run
