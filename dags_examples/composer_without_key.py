"""Upscale from Cloud Composer, without a key, behind a perimeter of VPC Service Controls.

No key: the workers' own account (that of the environment; no Google connection is needed) acts as ``service_account``,
which has the roles: ``roles/storage.objectViewer`` on the sources' bucket, ``roles/storage.objectUser`` on the other
two. The workers' account needs ``roles/iam.serviceAccountTokenCreator`` on it.

No URL into a bucket leaves: with ``upload_via="worker"`` sources go within the request, up to 10 MiB each, and the
worker fetches the pictures from the service. So the workers must reach ``api.runware.ai`` and where its pictures are
(``*.runware.ai``), and nobody outside must reach a bucket. ``ttl`` says for how many seconds the service keeps a
picture that a worker has yet to fetch.

Staging and the ledger are in a bucket of their own, such as one of the standard class where that of the pictures is a
cold one. The task records stay in the bucket of the pictures. Without a perimeter leave ``upload_via`` out: then IAM
signs URLs for ``service_account``, which takes no other role.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_clarity.operators.batch import UpscaleBatchOperator

with DAG(
    dag_id="clarity_composer_without_key",
    doc_md=__doc__,
    schedule=None,
    tags=["clarity", "example"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "raw": Param("raw", type="string", description="the bucket of the sources"),
        "print": Param("print", type="string", description="the bucket of the pictures"),
        "scratch": Param("scratch", type="string", description="the bucket of staging and the ledger"),
        "service_account": Param(
            "clarity@my-project.iam.gserviceaccount.com", type="string", description="who has the roles"
        ),
    },
):
    UpscaleBatchOperator(
        task_id="upscale",
        source="gs://{{ params.raw }}/incoming/",
        destination="gs://{{ params.print }}/incoming/",
        workspace="gs://{{ params.scratch }}/clarity/",
        impersonation_chain="{{ params.service_account }}",
        upload_via="worker",
        ttl=7 * 24 * 3600,
        max_cost_usd=25,
        deferrable=True,
    )
