"""What a test puts between the engine and the outside: a store and a client that let something happen in between."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_clarity.runware.client import ClarityClient, PollReply, SubmitReply, TaskState
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

Kind = Literal["stat", "read", "create", "rewrite", "delete"]


async def _nothing() -> None:
    pass


class WatchedStore(ObjectStore):
    """A store that tells of every request before it leaves: ``before`` may change the bucket, wait, or raise.

    :param before: is given the kind of the request and its object; for ``rewrite`` the destination
    """

    def __init__(self, client: Any, before: Callable[[Kind, GsUri], object], **how: Any) -> None:
        super().__init__(client, **how)
        self._before = before

    def stat(self, uri: GsUri, **how: Any) -> Any:
        self._before("stat", uri)
        return super().stat(uri, **how)

    def read(self, uri: GsUri, **how: Any) -> Any:
        self._before("read", uri)
        return super().read(uri, **how)

    def create(self, uri: GsUri, *what: Any, **how: Any) -> Any:
        self._before("create", uri)
        return super().create(uri, *what, **how)

    def rewrite(self, source: Any, destination: GsUri, **how: Any) -> Any:
        self._before("rewrite", destination)
        return super().rewrite(source, destination, **how)

    def delete(self, uri: GsUri, **how: Any) -> Any:
        self._before("delete", uri)
        return super().delete(uri, **how)


class ScriptedClient(ClarityClient):
    """A client of the emulator whose answers a test may replace.

    ``after_submit`` is awaited where a POST was answered and its caller does not know yet. ``says`` stands for every
    look-up that it returns a status for; None lets the service answer.
    """

    after_submit: Callable[[], Awaitable[None]] = staticmethod(_nothing)

    def says(self) -> Literal["processing", "silent"] | None:
        return None

    async def submit(self, tasks: Any) -> SubmitReply:
        reply = await super().submit(tasks)
        await self.after_submit()
        return reply

    async def get_response(self, task_uuids: Any) -> PollReply:
        status = self.says()
        if status is None:
            return await super().get_response(task_uuids)
        return PollReply({uuid: TaskState(uuid, status) for uuid in task_uuids})

    async def get_task_details(self, task_uuids: Any) -> PollReply:
        if self.says() is None:
            return await super().get_task_details(task_uuids)
        return PollReply({uuid: TaskState(uuid, "silent") for uuid in task_uuids})


class BusyClient(ScriptedClient):
    """A service that is at work on every task, however slow this machine is, for as long as a test says so."""

    busy = True

    def says(self) -> Literal["processing"] | None:
        return "processing" if self.busy else None


@dataclass
class ShiftedClock:
    """The time of day, moved on at will: hours pass in a test that takes none.

    :param ahead: seconds by which it is ahead
    """

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead
