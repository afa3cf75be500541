"""OpenLineage: which picture was made from which. Pure but for the imports, which only OpenLineage itself asks for.

Invariants: no network, no connection; a dataset is named without query, user or token; what has no name is
left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.redact import redact

_SERVICE = "runware"


def lineage_of(source: str, destination: str, output_format: str, result: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - OpenLineage need not be installed
    """Say what goes in and what comes out.

    :param source: as the user wrote it, rendered
    :param destination: the same
    :param result: what the operator returned; None before, and after a failure
    :return: an ``OperatorLineage``
    """
    facet: Any = import_module("airflow.providers.common.compat.openlineage.facet")
    extractors: Any = import_module("airflow.providers.openlineage.extractors")

    made_from = source_name(source)
    made = _destination_name(source, destination, output_format) if result is None else _gs_name(result["uri"])
    if result is not None and result["outcome"] == "foreign":
        made = None  # what lies there is not ours
    facets = {}
    if result is not None and result["task_uuid"]:
        facets["externalQuery"] = facet.ExternalQueryRunFacet(externalQueryId=result["task_uuid"], source=_SERVICE)
    return extractors.OperatorLineage(
        inputs=[facet.Dataset(*made_from)] if made_from else [],
        outputs=[facet.Dataset(*made)] if made else [],
        run_facets=facets,
    )


def lineage_between(source: str | list[str], destination: str) -> Any:  # noqa: ANN401 - OpenLineage need not be installed
    """Say from which prefix to which; of a list, from each bucket and folder once.

    :param source: as the user wrote it, rendered
    :return: an ``OperatorLineage``
    """
    facet: Any = import_module("airflow.providers.common.compat.openlineage.facet")
    extractors: Any = import_module("airflow.providers.openlineage.extractors")

    texts = [source] if isinstance(source, str) else source
    named = dict.fromkeys(name for text in texts if (name := _folder_name(text)) is not None)
    made = _folder_name(destination)
    return extractors.OperatorLineage(
        inputs=[facet.Dataset(*one) for one in named], outputs=[facet.Dataset(*made)] if made else []
    )


def _folder_name(text: str) -> tuple[str, str] | None:
    """Name the folder that a source of many lies in: up to the last ``/`` before the first wildcard."""
    if not text.startswith("gs://"):
        return None
    bucket, _, name = text.removeprefix("gs://").partition("/")
    literal = re.split(r"[*?\[]", name, maxsplit=1)[0]
    return f"gs://{bucket}", literal.rpartition("/")[0] or "/"


def source_name(text: str) -> tuple[str, str] | None:
    """Name a source as OpenLineage does: a namespace and a name; None for what has no name, such as a data URI."""
    from airflow_provider_clarity.storage.uris import GsSource, HttpsSource, parse_source  # noqa: PLC0415

    try:
        source = parse_source(text)
    except ClarityError:
        return None
    if isinstance(source, GsSource):
        return _gs_name(str(source.uri))
    if isinstance(source, HttpsSource):
        parts = urlsplit(redact(source.recorded))
        return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")
    return None


def _gs_name(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return f"gs://{bucket}", name


def _destination_name(source: str, destination: str, output_format: str) -> tuple[str, str] | None:
    from airflow_provider_clarity.storage.uris import GsUri, final_name, parse_source  # noqa: PLC0415

    try:
        return _gs_name(str(final_name(GsUri.parse(destination), parse_source(source), output_format.lower())))
    except ClarityError:
        return None
