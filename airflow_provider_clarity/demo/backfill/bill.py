"""The bill: what Airflow's tasks say of each day, beside what the service says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_clarity.demo.backfill.account import Account

_COUNTED = ("planned", "delivered", "recovered", "done")
_HALF_A_MICRODOLLAR = 5e-7


@dataclass(frozen=True)
class Line:
    """A day, or the sum of all.

    :param day: which, or ``sum``
    :param planned: pictures that the task found
    :param delivered: bought, and under their final names
    :param recovered: the same, after their upload had failed
    :param done: were there already
    :param failed: whatever was left out, or broke
    :param cost_usd: what the task says that it paid, US dollars
    :param tries: of Airflow
    :param bought: purchases in the service's accounts
    :param billed_usd: what they cost, US dollars
    """

    day: str
    planned: int
    delivered: int
    recovered: int
    done: int
    failed: int
    cost_usd: float
    tries: int
    bought: int
    billed_usd: float


def lines(results: Mapping[str, Mapping[str, Any] | None], tries: Mapping[str, int], account: Account) -> list[Line]:
    """Write a line for each day.

    :param results: what the task of each day returned; ``None`` where it returned nothing
    :param tries: of each day's task
    :param account: the service's
    """
    return [_line(day, result or {}, tries[day], account) for day, result in results.items()]


def total(all_days: Sequence[Line]) -> Line:
    """Add up.

    :param all_days: a line a day
    """

    def add(name: str) -> Any:  # noqa: ANN401 - a number of its kind
        return sum(getattr(line, name) for line in all_days)

    counts = {name: add(name) for name in (*_COUNTED, "failed", "tries", "bought")}
    return Line(day="sum", cost_usd=add("cost_usd"), billed_usd=add("billed_usd"), **counts)


def disagreements(all_days: Sequence[Line], account: Account, each: int) -> list[str]:
    """Compare the two sides, and both with what was asked for.

    :param all_days: a line a day
    :param account: the service's
    :param each: pictures a day
    :return: what is wrong, a sentence each
    """
    wrong = [sentence for line in all_days for sentence in _wrong_with(line, each)]
    for day in account.days.values():
        wrong += [f"{name} was bought {times} times." for name, times in day.odd.items()]
    wrong += [f"{name} was bought, and is none of ours." for name in account.foreign]
    if not _same(total(all_days).billed_usd, account.billed_usd):
        wrong.append(
            f"The service billed {account.billed_usd:.4f} $ in all, the days are {total(all_days).billed_usd:.4f} $."
        )
    return wrong


def _line(day: str, result: Mapping[str, Any], tries: int, account: Account) -> Line:
    sold = account.days[day]
    left_out = [*result.get("failed", {}).values(), *result.get("not_submitted", {}).values()]
    left_out += [result.get("stale", 0), result.get("foreign", 0)]
    counts = {name: int(result.get(name, 0)) for name in _COUNTED}
    return Line(
        day=day,
        failed=sum(left_out),
        cost_usd=float(result.get("cost_usd", 0)),
        tries=tries,
        bought=sold.bought,
        billed_usd=sold.billed_usd,
        **counts,
    )


def _wrong_with(line: Line, each: int) -> list[str]:
    wrong = []
    if line.planned != each:
        wrong.append(f"{line.day}: {line.planned} were planned instead of {each}.")
    if line.failed or line.delivered + line.recovered != each:
        wrong.append(f"{line.day}: {line.delivered + line.recovered} of {each} were delivered, {line.failed} failed.")
    if not _same(line.cost_usd, line.billed_usd):
        wrong.append(f"{line.day}: the task paid {line.cost_usd:.4f} $, the service billed {line.billed_usd:.4f} $.")
    return wrong


def _same(one: float, other: float) -> bool:
    return abs(one - other) < _HALF_A_MICRODOLLAR
