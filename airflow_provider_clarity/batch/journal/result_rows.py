"""A row of the result: what the plan says of an image, and how it ended. Pure.

Invariants: a row that failed, was lost or was not submitted can be given as a source again: it names source, final
object, its own parameters and its attempts; unknown keys of the plan are carried; every text has passed ``redact``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_clarity.batch.journal.lines import End
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.rows import Row, RowError
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.batch.tracked import MICRO
from airflow_provider_clarity.redact import redact

_UNSENT: Final = {
    "budget": "It was not submitted: the next image might have exceeded max_cost_usd. Nothing was paid for it.",
    "deadline": "It was not submitted before the time allowed was over. Nothing was paid for it.",
    "stopped": "It was not submitted before the run was stopped. Nothing was paid for it.",
}


def counted_as(row: PlanRow, end: End | None, rest: str | None) -> str | None:
    """Say under which key a row is counted; None where it has no outcome.

    :param rest: why rows without an end were not submitted
    """
    if row.outcome is not None:
        return row.outcome
    if end is not None:
        return end.counted_as
    return f"not_submitted.{rest}" if rest is not None else None


def result_row(row: PlanRow, end: End | None, rest: str | None) -> Row:
    """Make the row of the result.

    :param rest: why a row without an end was not submitted
    """
    known: dict[str, Any] = {
        "source": row.source,
        "generation": row.generation,
        "destination": row.destination,
        **row.own,
        "attempt": max(row.attempt, end.attempt if end is not None else 0) or None,
    }
    if row.outcome is not None:
        known |= {"outcome": row.outcome, "cost_usd": 0.0}
    elif end is not None:
        known |= _ended(end)
    else:
        known |= _unsent(rest or "stopped")
    extra = {**row.extra, **(end.extra if end is not None else {})}
    return Row.model_validate({**{key: value for key, value in extra.items() if key not in Row.model_fields}, **known})


def _ended(end: End) -> Mapping[str, Any]:
    if end.outcome == "not_submitted":
        return _unsent(end.why or "stopped")
    width, height = end.size or (None, None)
    known: dict[str, Any] = {
        "outcome": end.outcome,
        "error": _error(end.failure) if end.failure is not None else None,
        "task_uuid": end.task_uuid,
        "cost_usd": None if end.cost_microusd is None else end.cost_microusd / MICRO,
        "width": width,
        "height": height,
    }
    if end.outcome == "failed" and end.uri is not None:
        known["kept"] = end.uri
    return known


def _unsent(why: str) -> dict[str, Any]:
    return {"outcome": "not_submitted", "error": RowError(kind=why, message=_UNSENT.get(why, "")), "cost_usd": 0.0}


def _error(failure: Failure) -> RowError:
    return RowError(kind=failure.kind, code=failure.code, message=redact(failure.message))
