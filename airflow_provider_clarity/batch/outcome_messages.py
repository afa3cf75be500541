"""What a person is told of how a run over many images ended: what happened, what is safe, what to do next. Pure."""

from __future__ import annotations

from typing import Final

from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.counts import Counts, by_number
from airflow_provider_clarity.batch.money import usd
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import ERRORS, Kind

_GRAVEST_FIRST: Final[tuple[Kind, ...]] = (
    "lost",
    "delivery",
    "auth",
    "quota",
    "safety",
    "validation",
    "input",
    "provider",
    "timeout",
    "rate",
)


def halted(counts: Counts, why: Failure, left: int) -> Failure:
    """Keep the error that stopped the run at once, and say what it means for the rest."""
    return Failure(
        kind=why.kind,
        code=why.code,
        message=f"{why.message} The run was stopped at once, with {left} of {counts.planned} images still to be "
        f"settled ({counts.text()} so far). What is in flight stays paid and is not bought again. Clear the task when "
        "that is mended: it goes on from here.",
    )


def interrupted(counts: Counts, left: int, *, asked: bool) -> Failure:
    """Say that something is left to do."""
    what = "This try was stopped" if asked else "The time allowed for this try is over"
    return Failure(
        kind="deadline",
        message=f"{what} with {left} of {counts.planned} images still to be settled ({counts.text()} so far). What is "
        "in flight stays paid and is not bought again. A retry or a clear goes on from here.",
        retryable=True,
    )


def too_many(counts: Counts, dead_letter: str | None) -> Failure:
    """Name what failed. The error is of the commonest kind; of several as common, of the gravest."""
    kinds: tuple[Kind, ...] = (*_GRAVEST_FIRST, *ERRORS)
    return Failure(
        kind=max(kinds, key=lambda kind: counts.failed.get(kind, 0)),  # of equals the first
        message=f"{counts.failures} of {counts.due} images failed ({by_number(counts.failed)}), more than are "
        f"tolerated; in all {counts.text()}. What is delivered is safe, and a retry buys nothing again. See "
        f"{_where(dead_letter)}, then clear the task, or raise tolerated_failures.",
    )


def over_budget(unbought: int, budget: Budget | None, dead_letter: str | None) -> Failure:
    """Say that the cap left images out."""
    spent = ""
    if budget is not None and budget.cap is not None:
        spent = f": ${usd(budget.counted):.4f} of ${usd(budget.cap):.4f} are spent or reserved"
    return Failure(
        kind="budget",
        message=f"{unbought} image(s) were not submitted, since the next might have exceeded max_cost_usd{spent}. What "
        f"is paid is delivered or recorded. See {_where(dead_letter)}, then clear the task with a higher max_cost_usd "
        "to go on, which buys nothing twice.",
    )


def warnings(counts: Counts, budget: Budget | None, dead_letter: str | None) -> tuple[str, ...]:
    """Say what a green task leaves undone."""
    told = []
    if unbought := counts.not_submitted.get("budget", 0):
        told.append(over_budget(unbought, budget, dead_letter).message)
    if counts.failures:
        told.append(
            f"{counts.failures} of {counts.due} images failed ({by_number(counts.failed)}), which is tolerated. What "
            f"is delivered is safe. See {_where(dead_letter)}, which may be the source of another run."
        )
    if counts.stale:
        told.append(
            f"{counts.stale} image(s) were made from another generation of their source, or with other parameters. "
            'They were left as they are and nothing was paid. Set if_exists="update" to replace them.'
        )
    if counts.foreign:
        told.append(
            f"{counts.foreign} final name(s) are taken by what is not ours, or was made from another source. They were "
            'left and nothing was paid. Choose another destination, or set if_exists="overwrite".'
        )
    return tuple(told)


def _where(dead_letter: str | None) -> str:
    return dead_letter or "the dead letter"
