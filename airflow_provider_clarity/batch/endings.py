"""How a row ends of which the engine never heard, as the journal keeps it. Pure."""

from __future__ import annotations

from airflow_provider_clarity.batch.journal.lines import End
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import ClarityError


def refused(row: PlanRow, error: ClarityError) -> End:
    """Write down that a row could not become an image. Nothing of it was paid."""
    failure = Failure(kind=error.kind, message=error.message, code=error.code)
    return End(
        position=row.position, outcome="failed", failure=failure, attempt=row.attempt, extra=dict(row.extra)
    )  # fmt: skip


def unbought(row: PlanRow) -> End:
    """Write down that the only POST of a row was refused, and that the budget lets no other leave."""
    return End(
        position=row.position, outcome="not_submitted", why="budget", attempt=row.attempt, extra=dict(row.extra)
    )  # fmt: skip
