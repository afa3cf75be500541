"""Waits for tasks of Clarity in the triggerer.

Invariants: it only reads, so it may run twice, restart or move without harm; it decides nothing but when to wake the
worker; its arguments and its event are small, plain JSON without a secret, since Airflow stores and logs both. Its
arguments are an interface: a row that an older version wrote must still load.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal
from uuid import UUID

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.hooks.clarity import ClarityHook, make_client
from airflow_provider_clarity.redact import redact

EVENT_VERSION = 1
MOST = 100
"""Tasks that one trigger waits for: one array of the API."""

_HEAVY = "airflow_provider_clarity.runware.hub"
_loaded = False

Status = Literal["settled", "deadline", "unreachable"]
WakeWhen = Literal["all"] | dict[str, int]


class UpscaleTrigger(BaseTrigger):
    """Wakes its task when Clarity has settled what it waits for, or at the deadline.

    :param clarity_conn_id: connection of type ``clarity``
    :param run: URI of the task record or ledger; handed back in the event
    :param task_uuids: at most 100, those first that are expected first
    :param wake_when: ``"all"``, or ``{"settled": n}`` for the first n
    :param first_look: when the first look is due, epoch seconds
    :param deadline: when the task's time is over, epoch seconds; handed back in the event
    :param sent_at: when the first of them was submitted, epoch seconds: how often to look depends on their age
    :param wake_at: when to wake the task whatever is settled, epoch seconds; none: at the deadline
    :param v: version of these arguments
    """

    def __init__(
        self,
        *,
        clarity_conn_id: str,
        run: str,
        task_uuids: Sequence[str],
        wake_when: WakeWhen = "all",
        first_look: float = 0.0,
        deadline: float,
        sent_at: float = 0.0,
        wake_at: float | None = None,
        v: int = EVENT_VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's is untyped
        self.v = v
        self.clarity_conn_id = clarity_conn_id
        self.run_uri = run
        self.task_uuids = list(task_uuids)[:MOST]
        self.wake_when = wake_when
        self.first_look = first_look
        self.deadline = deadline
        self.sent_at = sent_at
        self.wake_at = deadline if wake_at is None else min(wake_at, deadline)

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
                "sent_at": self.sent_at,
                "wake_at": self.wake_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event."""
        yield TriggerEvent(await self._event())  # type: ignore[no-untyped-call]

    async def _event(self) -> dict[str, Any]:
        try:
            settled, over, message = await self._wait()
        except ClarityError as error:
            return self._told("unreachable", (), redact(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker adopts what is in flight, and tells
            return self._told("unreachable", (), f"{type(error).__name__}: {redact(error)}")
        if message is not None:
            return self._told("unreachable", settled, message)
        return self._told("deadline" if over else "settled", settled, "")

    async def _wait(self) -> tuple[Sequence[UUID], bool, str | None]:
        """Wait together with every other trigger of this connection."""
        await _load()
        from airflow_provider_clarity.runware.hub import PollHub  # noqa: PLC0415 - httpx, not at parse time

        hook = ClarityHook(self.clarity_conn_id)
        settings = await hook.aget_settings()

        async def client() -> Any:  # noqa: ANN401 - a ClarityClient
            return make_client(await hook.aget_settings())

        now = time.time()
        hub = PollHub.join(client, base_url=settings.base_url, api_key=settings.api_key)
        result = await hub.wait(
            [UUID(text) for text in self.task_uuids],
            settled=int(self.wake_when["settled"]) if isinstance(self.wake_when, dict) else "all",
            first_look=max(0.0, self.first_look - now),
            age=max(0.0, now - self.sent_at) if self.sent_at else 0.0,
            timeout=max(0.0, self.wake_at - now),
        )
        return tuple(result.settled), result.deadline_reached, result.unreachable

    def _told(self, status: Status, settled: Sequence[UUID], message: str) -> dict[str, Any]:
        return {
            "v": EVENT_VERSION,
            "status": status,
            "run": self.run_uri,
            "settled": [str(uuid) for uuid in settled],
            "deadline": self.deadline,
            "message": message,
        }


async def _load() -> None:
    """Import what waits in a thread: on the loop it would block every other trigger, 40 to 80 ms once a process."""
    global _loaded  # noqa: PLW0603 - whether a module is loaded is a matter of the process
    if not _loaded:
        await asyncio.to_thread(importlib.import_module, _HEAVY)
        _loaded = True
