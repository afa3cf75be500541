"""What Airflow reads of this package: modules, the connection type with its form, links.

Every process of Airflow loads it, so it imports nothing but the version and the form's table.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_clarity import __version__
from airflow_provider_clarity.hooks import form

_NAME = "Clarity (Runware)"
_CLARITY_PAGE = "https://runware.ai/docs/models/clarity"


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata; its keys are those of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-clarity",
        "name": _NAME,
        "description": "Upscale images with Runware's Clarity, into Cloud Storage: never paid twice, never lost.",
        "versions": [__version__],
        "integrations": [{"integration-name": _NAME, "external-doc-url": _CLARITY_PAGE, "tags": ["service"]}],
        "hooks": [
            {"integration-name": _NAME, "python-modules": ["airflow_provider_clarity.hooks.clarity"]},
        ],
        "operators": [
            {
                "integration-name": _NAME,
                "python-modules": [
                    "airflow_provider_clarity.operators.upscale",
                    "airflow_provider_clarity.operators.batch",
                    "airflow_provider_clarity.operators.plan",
                ],
            },
        ],
        "triggers": [
            {"integration-name": _NAME, "python-modules": ["airflow_provider_clarity.triggers.upscale"]},
        ],
        "connection-types": [
            {
                "connection-type": "clarity",
                "hook-class-name": "airflow_provider_clarity.hooks.clarity.ClarityHook",
                "hook-name": _NAME,
                "conn-fields": {
                    one.name: {"label": one.label, "description": one.description, "schema": one.schema}
                    for one in form.EXTRA_FIELDS
                },
                "ui-field-behaviour": {
                    "hidden-fields": list(form.HIDDEN_FIELDS),
                    "relabeling": dict(form.RELABELING),
                    "placeholders": dict(form.PLACEHOLDERS),
                },
            }
        ],
        "extra-links": [
            "airflow_provider_clarity.links.clarity.ClarityObjectLink",
            "airflow_provider_clarity.links.clarity.ClarityBucketLink",
            "airflow_provider_clarity.links.clarity.ClarityManifestLink",
            "airflow_provider_clarity.links.clarity.ClarityDeadLetterLink",
        ],
    }
