"""Waits for tasks of Clarity in the triggerer.

Invariants: it only reads, so it may run twice, restart or move without harm; it decides nothing but when to wake the
worker; its arguments and its event are small, plain JSON without a secret, since Airflow stores and logs both. Its
arguments are an interface: a row that an older version wrote must still load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal
from uuid import UUID

from airflow.triggers.base import BaseTrigger, TriggerEvent

EVENT_VERSION = 1
_MOST = 100
"""One array of the API."""

WakeWhen = Literal["all"] | dict[str, int]


class UpscaleTrigger(BaseTrigger):
    """Wakes its task when Clarity has settled what it waits for, or at the deadline.

    :param clarity_conn_id: connection of type ``clarity``
    :param run: URI of the task record or ledger; handed back in the event
    :param task_uuids: at most 100, those first that are expected first
    :param wake_when: ``"all"``, or ``{"settled": n}`` for the first n
    :param first_look: when the first look is due, epoch seconds
    :param deadline: when to wake the task whatever is settled, epoch seconds
    :param v: version of these arguments
    """

    def __init__(  # noqa: PLR0913 - the stored interface
        self,
        *,
        clarity_conn_id: str,
        run: str,
        task_uuids: Sequence[str],
        wake_when: WakeWhen = "all",
        first_look: float = 0.0,
        deadline: float,
        v: int = EVENT_VERSION,
    ) -> None:
        super().__init__()
        self.v = v
        self.clarity_conn_id = clarity_conn_id
        self.run_uri = run
        self.task_uuids = list(task_uuids)[:_MOST]
        self.wake_when = wake_when
        self.first_look = first_look
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "v": self.v,
                "clarity_conn_id": self.clarity_conn_id,
                "run": self.run_uri,
                "task_uuids": self.task_uuids,
                "wake_when": self.wake_when,
                "first_look": self.first_look,
                "deadline": self.deadline,
            },
        )
