"""What the demo promises besides the bill, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_clarity.demo.backfill.account import Account
from airflow_provider_clarity.demo.backfill.bill import Line, total
from airflow_provider_clarity.demo.backfill.kill import Kill
from airflow_provider_clarity.demo.table import dollars

_MICRODOLLAR = 1e-6


def not_killed(kill: Kill | None, tries: Mapping[str, int]) -> list[str]:
    """See that a worker was killed, and that its day went on in another try.

    :param kill: the worker; ``None`` where none was
    :param tries: of each day's task
    :return: what is wrong, a sentence each
    """
    if kill is None:
        return ["No worker was killed: none was met at work with enough purchases in flight."]
    if tries[kill.day] < 2:  # noqa: PLR2004 - the first one died
        return [f"The worker of {kill.day} was killed, but its day did not need another try."]
    return []


def not_for_nothing(before: Account, after: Account, results: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """See that the second backfill came to its end and cost nothing.

    :param before: the service's accounts, before it
    :param after: the same after it
    :param results: what the task of each day returned
    :return: what is wrong, a sentence each
    """
    wrong = [f"{day}: the second backfill came to no result." for day, result in results.items() if result is None]
    if (submits := after.submits - before.submits) or after.billed_usd - before.billed_usd > _MICRODOLLAR:
        cost = dollars(after.billed_usd - before.billed_usd)
        wrong.append(f"The second backfill submitted {submits} tasks and cost {cost}; it should have cost nothing.")
    return wrong


def story(bill: Sequence[Line], kill: Kill | None, lost_replies: int, after: Account, before: Account) -> list[str]:
    """Tell what happened, a sentence each.

    :param bill: a line a day
    :param kill: the worker that was killed
    :param lost_replies: how many replies to submits were lost
    :param after: the service's accounts at the end
    :param before: the same before the second backfill
    """
    whole = total(bill)
    killed = (
        f"A worker was killed (SIGKILL) with {kill.in_flight} purchases in flight; the next try of {kill.day} "
        "went on with them."
        if kill
        else "No worker was killed."
    )
    again = f"{after.submits - before.submits} submits, {dollars(after.billed_usd - before.billed_usd)}"
    return [
        f"A real Airflow backfilled {len(bill)} days, one task a day.",
        killed,
        f"{lost_replies} reply to a submit was lost: the service was asked, and knew the tasks.",
        f"{whole.recovered} uploads were refused: the pictures were fetched from the service.",
        f"{whole.bought} purchases were made for {whole.planned} pictures, {dollars(whole.billed_usd)} in all.",
        f"The same days were backfilled once more: {again}.",
    ]
