"""What the service says that it sold, by day. Pure: takes the emulator's accounts as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_clarity.demo.backfill.days import EACH, name_in_url, source_name


@dataclass(frozen=True)
class DayAccount:
    """What was sold of the pictures of a day.

    :param bought: how many purchases
    :param in_flight: how many of them the service is at work on
    :param billed_usd: what they cost, US dollars
    :param odd: the sources that were not bought exactly once, with how often they were
    """

    bought: int = 0
    in_flight: int = 0
    billed_usd: float = 0.0
    odd: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """All that the service knows.

    :param days: by day
    :param submits: how many tasks were sent to it, whatever became of them
    :param billed_usd: the sum of all costs, US dollars
    :param foreign: what it sold that is of none of these days
    """

    days: Mapping[str, DayAccount]
    submits: int
    billed_usd: float
    foreign: Sequence[str] = ()


def account_of(told: Mapping[str, Any], days: Sequence[str], each: int = EACH) -> Account:
    """Sort the purchases by day.

    :param told: the emulator's accounts
    :param days: which are asked for
    :param each: pictures a day
    """
    by_source: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in told["purchases"].values():
        by_source[name_in_url(str(one["source"]))].append(one)
    wanted = {day: [source_name(day, number + 1) for number in range(each)] for day in days}
    known = {name for names in wanted.values() for name in names}
    return Account(
        days={day: _day(names, by_source) for day, names in wanted.items()},
        submits=int(told["submits"]),
        billed_usd=float(told["billed_usd"]),
        foreign=sorted(set(by_source) - known),
    )


def since(before: Account, after: Account) -> Account:
    """Return what was sold between two looks at the accounts; all else is as at the later one.

    :param before: the earlier look
    :param after: the later one, at the same days
    """
    days = {
        day: replace(now, bought=now.bought - then.bought, billed_usd=now.billed_usd - then.billed_usd)
        for day, then, now in ((day, before.days[day], now) for day, now in after.days.items())
    }
    submits, billed = after.submits - before.submits, after.billed_usd - before.billed_usd
    return replace(after, days=days, submits=submits, billed_usd=billed)


def _day(names: Sequence[str], by_source: Mapping[str, Sequence[Mapping[str, Any]]]) -> DayAccount:
    times = {name: sum(int(one["count"]) for one in by_source.get(name, ())) for name in names}
    bought = [one for name in names for one in by_source.get(name, ())]
    return DayAccount(
        bought=sum(times.values()),
        in_flight=sum(one["status"] == "processing" for one in bought),
        billed_usd=sum(float(one["cost"]) for one in bought),
        odd={name: number for name, number in times.items() if number != 1},
    )
