"""A service in memory that knows when each task is done, for the hub's tests. It counts what it is asked."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID, uuid4

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware import PollReply, ResultItem, TaskState

ARRAY = 100
ROUND_TRIP = 0.05


class MemoryService:
    """Tasks by UUID, each with the loop time at which it is done.

    :param done_at: what is known
    """

    def __init__(self, done_at: Mapping[UUID, float] | None = None) -> None:
        self.done_at = dict(done_at or {})
        self.posts = 0
        self.asked: list[tuple[float, int]] = []
        self.open_clients = 0
        self.made_clients = 0
        self.refuse: ClarityError | None = None
        self.answer: Callable[[list[UUID]], PollReply] | None = None
        self.contexts: list[dict[str, object]] = []

    def add(self, seconds: float) -> UUID:
        uuid = uuid4()
        self.done_at[uuid] = asyncio.get_running_loop().time() + seconds
        return uuid

    async def client(self) -> MemoryClient:
        self.made_clients += 1
        self.open_clients += 1
        return MemoryClient(self)


class MemoryClient:
    """One client of the service."""

    def __init__(self, service: MemoryService) -> None:
        self._service = service
        self._key_is_good = service.refuse is None
        self._open = True

    async def get_response(self, task_uuids: Iterable[UUID], /) -> PollReply:
        service, asked = self._service, list(task_uuids)
        now = asyncio.get_running_loop().time()
        service.asked.append((now, len(asked)))
        service.posts += -(-len(asked) // ARRAY)
        service.contexts.append({variable.name: value for variable, value in contextvars.copy_context().items()})
        await asyncio.sleep(ROUND_TRIP)
        if service.refuse is not None:
            return PollReply(stop=service.refuse)
        if service.answer is not None:
            return service.answer(asked)
        return PollReply({uuid: state(uuid, done=service.done_at.get(uuid, now + 1) <= now) for uuid in asked})

    async def aclose(self) -> None:
        assert self._open, "closed twice"
        self._open = False
        self._service.open_clients -= 1


def state(uuid: UUID, *, done: bool) -> TaskState:
    item = ResultItem(
        task_uuid=uuid, status="success" if done else "processing", image_url="https://im.runware.ai/x.jpg"
    )
    return TaskState(uuid, "success" if done else "processing", result=item)
