"""What Airflow is told of an image besides the return value: metrics, asset events, a readable map index.

Invariants: nothing here fails a task, since the picture is there whether anybody hears of it or not; nothing told holds
a secret; no asset is invented.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_clarity.exceptions import ClarityError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

SOURCE_KEY = "clarity_source"
"""Under which the source's name is in the context, for a ``map_index_template``."""
_LONGEST_LABEL = 250
"""What Airflow's column for a rendered map index holds."""
_TOLD_OF_MANY = ("planned", "delivered", "recovered", "done", "purchases", "cost_usd", "manifest", "dead_letter")
_TOLD = ("uri", "outcome", "cost_usd", "task_uuid", "width", "height")


@contextmanager
def _harmless(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see the invariants
        log.warning("%s could not be told (%s). The picture is not concerned.", what, type(error).__name__)


def count(context: Context, counts: Mapping[str, int]) -> None:
    """Add to Airflow's counters.

    :param counts: by their names without ``clarity.``
    """
    with _harmless("Metrics"):
        from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - never at parse time

        ti = context["ti"]
        tags = {"dag_id": ti.dag_id, "task_id": ti.task_id}
        for name, by in counts.items():
            Stats.incr(f"clarity.{name}", by, tags=tags)


@contextmanager
def counting_failures(context: Context) -> Iterator[None]:
    """Count an error that no retry can mend; one that repeats how an earlier try ended was counted then."""
    try:
        yield
    except ClarityError as error:
        if not error.retryable and not error.repeated:
            count(context, {f"failed.{error.kind}": 1})
        raise


def tell_outlets(context: Context, outlets: object, result: Mapping[str, Any]) -> None:
    """Say on the event of each outlet that the object lies in what was delivered, and in which partition.

    Airflow emits the event of an outlet when the task succeeds, whatever is said here.

    :param outlets: of the operator; what is no asset with a URI is left alone
    :param result: what the operator returns
    """
    with _harmless("Asset events"):
        from airflow.providers.common.compat.sdk import Asset  # noqa: PLC0415

        extra = {name: result.get(name) for name in _TOLD}
        for outlet in outlets if isinstance(outlets, list | tuple) else ():
            if isinstance(outlet, Asset) and holds(outlet.uri, str(result["uri"])):
                _add(context, outlet, extra)


def tell_outlets_of_many(context: Context, outlets: object, destination: str, result: Mapping[str, Any]) -> None:
    """Say on the event of each outlet that holds the destination what a run over many images came to.

    :param destination: the prefix
    :param result: what the operator returns
    """
    with _harmless("Asset events"):
        from airflow.providers.common.compat.sdk import Asset  # noqa: PLC0415

        extra = {name: result.get(name) for name in _TOLD_OF_MANY}
        for outlet in outlets if isinstance(outlets, list | tuple) else ():
            if isinstance(outlet, Asset) and holds(outlet.uri.rstrip("/"), destination.rstrip("/")):
                _add(context, outlet, extra)


def _add(context: Context, outlet: Any, extra: Mapping[str, Any]) -> None:  # noqa: ANN401 - typed by Airflow only
    """Put what is told on the event of an outlet, and into the run's partition where it has one."""
    event: Any = context["outlet_events"][outlet]
    event.extra = {**event.extra, **extra}
    partition = context.get("partition_key")
    if partition and hasattr(event, "add_partitions"):
        event.add_partitions([partition])


def holds(asset_uri: str, object_uri: str) -> bool:
    """Whether an object lies in what an asset's URI names: the object itself, a folder above it, or its bucket."""
    return object_uri == asset_uri or object_uri.startswith(asset_uri.rstrip("/") + "/")


def label(context: Context, shown: str) -> None:
    """Give a mapped task instance the name of its source, unless the DAG gives it another.

    :param shown: the source without a secret
    """
    with _harmless("The map index"):
        open_ = cast("MutableMapping[str, Any]", context)
        open_[SOURCE_KEY] = shown if len(shown) <= _LONGEST_LABEL else f"…{shown[1 - _LONGEST_LABEL :]}"
        if open_.get("map_index_template") is None:
            open_["map_index_template"] = f"{{{{ {SOURCE_KEY} }}}}"
