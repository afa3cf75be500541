"""``accountManagement``: what the account holds and has spent.

Invariant: the balance falls by exactly what the accounts of the emulator bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_clarity.emulator.runware_errors import Reply, error
from airflow_provider_clarity.emulator.runware_tasks import World

START_BALANCE = 100.0


def account_details(world: World, task: Mapping[str, Any], reply: Reply) -> None:
    """Add the answer to ``accountManagement``; only ``getDetails`` is known."""
    if task.get("operation") != "getDetails":
        message = "Invalid value for 'operation' parameter. Supported values are: getDetails."
        reply.errors.append(
            error("unsupportedOperation", message, parameter="operation", type="string", taskUUID=task["taskUUID"])
        )
        return
    accounts = world.accounts
    amount = round(START_BALANCE - accounts.billed_usd, 9)
    spent = {"credits": accounts.billed_usd, "requests": accounts.submits}
    key = world.switches.api_key
    reply.data.append(
        {
            "taskType": "accountManagement",
            "taskUUID": task["taskUUID"],
            "operation": "getDetails",
            "organizationUUID": "00000000-0000-4000-8000-000000000001",
            "organizationName": "Emulator",
            "balance": {"amount": amount, "currency": "USD"} if world.switches.balance == "object" else amount,
            "team": [],
            "apiKeys": [{"apiKey": f"{key[:9]}...{key[-2:]}", "name": "emulator", "enabled": True}],
            "usage": {"today": spent, "last7Days": spent, "last30Days": spent, "total": spent},
        }
    )
