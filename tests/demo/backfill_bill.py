"""What the tasks of two days say, and what the service says: as they are where all went well."""

from __future__ import annotations

from typing import Any

from airflow_provider_clarity.demo.backfill.account import account_of
from airflow_provider_clarity.demo.backfill.bill import Line, lines

DAYS = ("2026-01-01", "2026-01-02")
EACH = 2
PRICE = 0.0013


def told(*, without: str = "", **more: str) -> dict[str, Any]:
    """The emulator's accounts: each picture sold once.

    :param without: a source that was not
    :param more: further purchases: their UUIDs and their sources
    """
    names = [f"catalog/{day}/{number:02}.png" for day in DAYS for number in (1, 2)]
    sold = {f"u-{name}": name for name in names if name != without} | more
    purchases = {
        uuid: {"count": 1, "cost": PRICE, "status": "success", "source": f"http://127.0.0.1:1/raw/{name}"}
        for uuid, name in sold.items()
    }
    return {"purchases": purchases, "submits": len(sold), "billed_usd": round(len(sold) * PRICE, 9)}


def result(**other: Any) -> dict[str, Any]:
    """What a task returned."""
    usual = {"planned": 2, "delivered": 1, "recovered": 1, "done": 0, "failed": {}, "not_submitted": {}}
    return usual | {"cost_usd": 2 * PRICE} | other


def bill(accounts: dict[str, Any] | None = None, **other: Any) -> list[Line]:
    """The bill of both days; the first day's result may differ from the usual one."""
    results: dict[str, dict[str, Any] | None] = {DAYS[0]: result(**other), DAYS[1]: result()}
    return lines(results, {DAYS[0]: 2, DAYS[1]: 1}, account_of(accounts or told(), DAYS, EACH))
