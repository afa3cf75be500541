"""What the demo promises besides the bill, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    if tries[kill.day] <= kill.tries:
        return [f"The worker of {kill.day} was killed, but its day did not need another try."]
    return []


def not_for_nothing(bill: Sequence[Line], sold: Account, each: int) -> list[str]:
    """See that the second backfill found everything done, and cost nothing.

    :param bill: a line a day, of the second backfill
    :param sold: what the service sold meanwhile
    :param each: pictures a day
    :return: what is wrong, a sentence each
    """
    wrong = [
        f"{line.day}: the second backfill found {line.done} of {each} done, and paid {dollars(line.cost_usd)}."
        for line in bill
        if line.done != each or line.cost_usd
    ]
    if sold.submits or sold.billed_usd > _MICRODOLLAR:
        wrong.append(f"The second backfill submitted {sold.submits} tasks and cost {dollars(sold.billed_usd)}.")
    return wrong


def story(bill: Sequence[Line], kill: Kill | None, lost_replies: int, again: Account) -> list[str]:
    """Tell what happened, a sentence each.

    :param bill: a line a day
    :param kill: the worker that was killed
    :param lost_replies: how many replies to submits were lost
    :param again: what the service sold during the second backfill
    """
    whole = total(bill)
    killed = (
        f"A worker was killed (SIGKILL) with {kill.in_flight} purchases in flight; the next try of {kill.day} "
        "went on with them."
        if kill
        else "No worker was killed."
    )
    lost = f"{lost_replies} reply to a submit was lost: the service was asked, and knew the tasks."
    refused = f"{whole.recovered} uploads were refused: the pictures were fetched from the service."
    return [
        f"A real Airflow backfilled {len(bill)} days, one task a day.",
        killed,
        *([lost] if lost_replies else []),
        *([refused] if whole.recovered else []),
        f"{whole.bought} purchases were made for {whole.planned} pictures, {dollars(whole.billed_usd)} in all.",
        f"The same days were backfilled once more: {again.submits} submits, {dollars(again.billed_usd)}.",
    ]
