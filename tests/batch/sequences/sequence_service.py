"""The service in memory: takes tasks, makes prepared pictures, uploads them, remembers and forgets, keeps the bill.

It knows nothing of the package but the shapes of its answers. What nobody knows of the real service is a switch; what
becomes of a task, of a POST and of a look-up is told by the sequence, one after another; when that is told out, all is
well.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from uuid import UUID

from PIL import Image
from sequence_loop import SequenceLoop
from sequence_process import Process
from sequence_store import Buckets

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeliveryError
from airflow_provider_clarity.runware.errors import task_error
from airflow_provider_clarity.runware.replies import PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.wire import ResultItem
from airflow_provider_clarity.storage.store import GenerationConflict
from airflow_provider_clarity.storage.uris import GsUri

TIMEOUT = 10.0
"""Seconds for one POST."""


@dataclass(frozen=True)
class Switches:
    """What is unknown of the real service.

    :param conflict_after_done: what a UUID meets whose task has ended: a conflict, no conflict, or a conflict for so
        many seconds
    :param result_retention: seconds for which getResponse knows what has ended; None for ever
    :param details_retention: the same of getTaskDetails
    :param url_with_upload: whether the picture can also be fetched where it is uploaded
    :param bill_failed: what a task that failed costs: nothing; the price, and it says so; the price, unsaid
    :param slots: tasks at a time; more are refused by name
    :param price: micro-dollars
    """

    conflict_after_done: Literal["conflict", "accept"] | float = "conflict"
    result_retention: float | None = None
    details_retention: float | None = None
    url_with_upload: bool = True
    bill_failed: Literal["no", "stated", "unstated"] = "no"
    slots: int | None = None
    price: int = 1300


@dataclass(frozen=True)
class Fate:
    """What becomes of one accepted task.

    :param takes: seconds
    :param ends: ``success`` or the code of its error
    :param upload: ``late``: so many seconds after success; ``never``; ``cut``: half of it; ``small``: another picture;
        ``refused``: reported as ``uploadFailed`` after success
    :param cost: whether a success says what it cost: always, never, in the archive only
    :param url: when the picture's address knows it: at once, some seconds later, never
    """

    takes: float = 3.0
    ends: str = "success"
    upload: Literal["ok", "late", "never", "cut", "small", "refused"] = "ok"
    lag: float = 0.0
    cost: Literal["stated", "missing", "archive"] = "stated"
    url: Literal["ok", "later", "never"] = "ok"


@dataclass(frozen=True)
class Post:
    """What becomes of one POST.

    :param how: ``lost``: it arrives, its reply does not. ``never`` arrives. ``late``: arrives so many seconds later,
        when nobody waits for it any more. ``throttled``: 429 for all of it, naming nobody. ``refused``: 429, naming
        each. ``overloaded``: 503, though it arrived. ``key``: the key is refused. ``mixed``: of each three tasks one is
        taken, one refused, one fails. ``failed``: each is reported as failed, and not taken
    """

    how: Literal["ok", "lost", "never", "late", "throttled", "refused", "overloaded", "key", "mixed", "failed"] = "ok"
    lag: float = 0.0


@dataclass(frozen=True)
class Asked:
    """What becomes of one look-up: answered; not answered; all is said to be at work; nothing is said of any."""

    how: Literal["ok", "none", "processing", "silent"] = "ok"


@dataclass(frozen=True)
class Order:
    """What a POST holds of a task: as much of ``UpscaleTask`` as the service looks at here.

    :param image: object and generation of the source
    :param final: where the picture is to lie in the end; for the accounts only
    :param endpoint: where to upload it, and at which generation, None for any; None for nowhere
    """

    task_uuid: UUID
    image: tuple[GsUri, int]
    final: GsUri
    endpoint: tuple[GsUri, int | None] | None


@dataclass(eq=False)
class Purchase:
    """An accepted task.

    :param by: name of the process
    :param late: whether its POST was under way for longer than its sender's timeout
    :param asked: whether a person asked: a clear, or the row of a dead letter
    :param there: identity of what lay at the final name when it arrived
    :param landed: tasks whose pictures had had a final name by then
    :param written: whether the sender's ledger or the task record said by then that the service knows this UUID
    :param elsewhere: whether the ledger of another run did
    """

    uuid: UUID
    at: float
    fate: Fate
    price: int
    by: str
    run: str
    place: str
    round_number: int
    late: bool
    there: str | None
    landed: frozenset[str]
    image: tuple[GsUri, int]
    endpoint: tuple[GsUri, int | None] | None
    written: bool = False
    elsewhere: bool = False
    silences: int = 0
    done_at: float | None = None
    forgotten: bool = False
    error: str | None = None
    billed: int = 0
    conflicted: bool = False

    @property
    def source(self) -> str:
        """What it was made from."""
        return f"{self.image[0]}#{self.image[1]}"


@dataclass(eq=False)
class Service:
    """All that the service knows.

    :param purchases: the bill: every accepted task, in order
    :param failed_at_submit: tasks that were reported as failed to somebody who sent them
    """

    loop: SequenceLoop
    buckets: Buckets
    switches: Switches
    fates: list[Fate]
    posts: list[Post]
    looks: list[Asked]
    purchases: list[Purchase] = field(default_factory=list)
    tasks: dict[UUID, Purchase] = field(default_factory=dict)
    failed_at_submit: set[UUID] = field(default_factory=set)
    posted: int = 0
    last_flying: dict[str, dict[str, int]] = field(default_factory=dict)
    reserves: dict[str, dict[str, int]] = field(default_factory=dict)
    sent: Counter[tuple[str, UUID]] = field(default_factory=Counter)

    def calm(self) -> None:
        """Let all be well from now on."""
        self.fates, self.posts, self.looks = [], [], []

    def forget(self) -> None:
        """Forget the results and the archive of all that has ended."""
        for task in self.tasks.values():
            task.forgotten = task.forgotten or task.done_at is not None

    def post(self) -> Post:
        """What becomes of the next POST."""
        return self.posts.pop(0) if self.posts else Post()

    def ask(self) -> Asked:
        """What becomes of the next look-up."""
        return self.looks.pop(0) if self.looks else Asked()

    def submit(self, tasks: Sequence[Order], how: str, sender: Process, *, late: bool = False) -> SubmitReply:
        """Take an array."""
        if how == "key":
            refused = tuple(SubmitOutcome(task.task_uuid, "refused") for task in tasks)
            self._unreserve(refused, sender)
            return SubmitReply(refused, stop=ClarityAuthError("The key was refused (a fault of the sequence)."))
        if how in ("throttled", "refused"):
            status: Any = "refused" if how == "refused" else "unknown"
            turned = tuple(SubmitOutcome(task.task_uuid, status) for task in tasks)
            self._unreserve(turned, sender)
            return SubmitReply(turned, throttled=True)
        outcomes: list[SubmitOutcome] = []
        for n, task in enumerate(tasks):
            part = (n + self.posted - 1) % 3 if how == "mixed" else 2 * (how == "failed")
            if part == 1:
                outcomes.append(SubmitOutcome(task.task_uuid, "refused"))
            elif part == 2:
                error = task_error("providerError", "It failed.", task_uuid=task.task_uuid)
                outcomes.append(SubmitOutcome(task.task_uuid, "failed", error))
                self.failed_at_submit.add(task.task_uuid)
            else:
                outcomes.append(self._take(task, sender, late=late))
        self._unreserve(outcomes, sender)
        throttled = any(outcome.status == "refused" for outcome in outcomes)
        return SubmitReply(tuple(outcomes), throttled=throttled)

    def account(self, tasks: Sequence[Order], sender: Process) -> None:
        """Note what the sender had in flight, and how much it reserved for each, when it last made a purchase."""
        self.posted += 1
        if sender.reserve is None or sender.flying is None:
            return
        reserves = self.reserves.setdefault(sender.place, {})
        new = [str(task.task_uuid) for task in tasks if str(task.task_uuid) not in reserves]
        before = sender.flying()
        for task in tasks:
            known = (sender.place, task.task_uuid)
            if not self.sent[known] and str(task.task_uuid) in before:
                self.sent[known] = 1  # of one that died before it could send it, which nobody else can know
            self.sent[known] += 1
        if new:  # the others were sent before, and may have been bought then
            reserve = sender.reserve()
            reserves.update(dict.fromkeys(new, reserve))
            flying = sender.flying() | set(new)
            self.last_flying[sender.place] = {uuid: reserves.setdefault(uuid, reserve) for uuid in flying}

    def _unreserve(self, outcomes: Iterable[SubmitOutcome], sender: Process) -> None:
        """Forget what was certainly not bought: its only POST was refused."""
        for outcome in outcomes:
            if outcome.status == "refused" and self.sent[sender.place, outcome.task_uuid] == 1:
                self.sent[sender.place, outcome.task_uuid] = 0
                self.reserves.get(sender.place, {}).pop(str(outcome.task_uuid), None)

    def _take(self, task: Order, sender: Process, *, late: bool) -> SubmitOutcome:
        uuid, now, rule = task.task_uuid, self.loop.now, self.switches.conflict_after_done
        known = self.tasks.get(uuid)
        if known is not None:
            ended = known.done_at is not None and now >= known.done_at
            old = now - (known.done_at or now)
            if not ended or rule == "conflict" or (rule != "accept" and old < float(rule)):
                known.conflicted = True
                error = task_error("conflictTaskUUID", "It is known.", task_uuid=uuid)
                return SubmitOutcome(uuid, "conflict", error)
        busy = sum(one.done_at is None for one in self.tasks.values())
        if self.switches.slots is not None and busy >= self.switches.slots:
            return SubmitOutcome(uuid, "refused")
        fate = self.fates.pop(0) if self.fates else Fate()
        final = self.buckets.objects.get(task.final)
        made = Purchase(
            uuid, now, fate, self.switches.price, sender.name, sender.run, sender.place, sender.round_number, late,
            None if final is None else final.metadata.get("clarity-identity"),
            frozenset(kept.metadata.get("clarity-task-uuid", "") for _, kept in self.buckets.put_ever),
            task.image, task.endpoint,
        )  # fmt: skip
        if known is not None:
            said = acknowledged(self.buckets, str(uuid))
            made.written = any(where is None or f"runs/{sender.place}/" in where for where in said)
            made.elsewhere = bool(said)
        self.purchases.append(made)
        self.tasks[uuid] = made
        self.loop.call_later(fate.takes, self._finish, made)
        return SubmitOutcome(uuid, "accepted")

    def _finish(self, task: Purchase) -> None:
        task.done_at = self.loop.now
        fate, source = task.fate, self.buckets.objects.get(task.image[0])
        if source is None or source.generation != task.image[1]:
            task.error = "failedToTransferImage"
        elif fate.ends != "success":
            task.error = fate.ends
        if task.error is not None:
            task.billed = 0 if self.switches.bill_failed == "no" else task.price
            return
        task.billed = task.price
        if task.endpoint is None or fate.upload == "never":
            return
        if fate.upload == "refused":
            task.error = "uploadFailed"
            return
        self.loop.call_later(fate.lag if fate.upload == "late" else 0.0, self._upload, task)

    def _upload(self, task: Purchase) -> None:
        if task.endpoint is None:
            return
        uri, expected = task.endpoint
        data = picture(str(task.uuid), task.source, small=task.fate.upload == "small")
        data = data[: len(data) // 2] if task.fate.upload == "cut" else data
        try:
            self.buckets.put(uri, data, expected=expected)
        except GenerationConflict:
            return

    def look(self, task_uuids: Iterable[UUID], which: Literal["response", "details"], how: str) -> PollReply:
        """Answer a look-up."""
        if how == "none":
            return PollReply()
        return PollReply({uuid: self._state(uuid, which, how) for uuid in task_uuids})

    def _state(self, uuid: UUID, which: str, how: str) -> TaskState:
        task = self.tasks.get(uuid)
        retention = self.switches.result_retention if which == "response" else self.switches.details_retention
        if task is None or how == "silent" or self._forgot(task, retention) or (which == "details" and task.conflicted):
            if task is not None:
                task.silences += 1
            return TaskState(uuid, "silent")
        if task.done_at is None or how == "processing":
            return TaskState(uuid, "processing", ResultItem(task_uuid=uuid, status="processing"))
        if task.error is not None:
            cost = task.billed / 1_000_000 if self.switches.bill_failed != "unstated" and task.billed else None
            if task.error == "uploadFailed":
                cost = task.billed / 1_000_000 if task.fate.cost == "stated" else None
            return TaskState(uuid, "failed", error=task_error(task.error, "It failed.", task_uuid=uuid, cost=cost))
        told = task.fate.cost == "stated" or (task.fate.cost == "archive" and which == "details")
        served = task.endpoint is None or self.switches.url_with_upload
        return TaskState(
            uuid,
            "success",
            ResultItem(
                task_uuid=uuid,
                status="success",
                image_url=f"https://im.runware.ai/{uuid}.jpg" if served else None,
                cost=task.billed / 1_000_000 if told else None,
            ),
        )

    def _forgot(self, task: Purchase, retention: float | None) -> bool:
        if task.forgotten:
            return True
        return retention is not None and task.done_at is not None and self.loop.now >= task.done_at + retention

    def fetch(self, url: str) -> bytes:
        """Serve a picture."""
        uuid = UUID(url.rpartition("/")[2].removesuffix(".jpg"))
        task = self.tasks[uuid]
        late = task.fate.url == "later" and self.loop.now < (task.done_at or 0.0) + 4
        if late or task.fate.url == "never" or self._forgot(task, self.switches.result_retention):
            raise ClarityDeliveryError("There is no such picture.", code="404", retryable=False)
        return picture(str(uuid), task.source)


def acknowledged(buckets: Buckets, uuid: str) -> list[str | None]:
    """Name the ledgers that say that the service knows a task; None for a task record."""
    said: list[str | None] = []
    for uri, kept in buckets.objects.items():
        if not uri.name.startswith(("_clarity/tasks/", "_clarity/runs/")) or uuid.encode() not in kept.data:
            continue
        for line in map(json.loads, kept.data.splitlines()):
            inner = line.get("record")
            found = [*line.get("attempts", ()), *(inner.get("attempts", ()) if isinstance(inner, dict) else ())]
            if any(one["task_uuid"] == uuid and one.get("acknowledged_at") is not None for one in found):
                said.append(None if uri.name.startswith("_clarity/tasks/") else uri.name)
                break
    return said


class MemoryClient:
    """The interface of ``ClarityClient``, for one process."""

    def __init__(self, service: Service, process: Process) -> None:
        self._service = service
        self._process = process

    async def submit(self, tasks: Sequence[Order]) -> SubmitReply:
        service, process = self._service, self._process
        called = process.loop.now
        post = service.post()
        service.account(tasks, process)
        unknown = SubmitReply(tuple(SubmitOutcome(task.task_uuid, "unknown") for task in tasks))

        def arrive() -> SubmitReply:
            if process.loop.now - called > TIMEOUT or post.how == "never":
                return unknown  # it waited for longer than a POST may: it never left
            if post.how == "late":
                late = post.lag > TIMEOUT
                process.loop.call_later(post.lag, lambda: service.submit(tasks, "late", process, late=late))
                return unknown
            reply = service.submit(tasks, post.how, process)
            if post.how == "overloaded":
                return SubmitReply(unknown.outcomes, throttled=True, overloaded=True)
            return unknown if post.how == "lost" else reply

        reply = await process.send("submit", arrive)
        if post.how in ("late", "never", "lost"):
            await asyncio.sleep(max(0.0, called + TIMEOUT - process.loop.now))
        return reply

    async def get_response(self, task_uuids: Iterable[UUID]) -> PollReply:
        return await self._look(tuple(task_uuids), "response")

    async def get_task_details(self, task_uuids: Iterable[UUID]) -> PollReply:
        return await self._look(tuple(task_uuids), "details")

    async def _look(self, uuids: tuple[UUID, ...], which: Literal["response", "details"]) -> PollReply:
        how = self._service.ask().how
        return await self._process.send(which, lambda: self._service.look(uuids, which, how))

    async def fetch_image(self, url: str, *, max_bytes: int, allowed_hosts: tuple[str, ...] = ()) -> bytes:  # noqa: ARG002
        return await self._process.send("fetch", lambda: self._service.fetch(url))


@cache
def _rendered(size: tuple[int, int], kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, kind)
    return out.getvalue()


def source_picture() -> bytes:
    """A source of 8 x 6 pixels."""
    return _rendered((8, 6), "PNG")


def picture(uuid: str, source: str, *, small: bool = False) -> bytes:
    """A picture of 16 x 12 pixels that says which task made it, and of what; ``small`` is no larger than its source."""
    whole = _rendered((8, 6) if small else (16, 12), "JPEG")
    said = json.dumps({"uuid": uuid, "source": source}).encode()
    return whole[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + whole[2:]


def said_by(data: bytes) -> Mapping[str, str] | None:
    """Read what a picture says of itself; None where it is none of ours."""
    if data[:4] != b"\xff\xd8\xff\xfe":
        return None
    length = int.from_bytes(data[4:6], "big")
    found: Mapping[str, str] = json.loads(data[6 : 4 + length])
    return found
