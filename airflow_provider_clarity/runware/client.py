"""The async client of the Runware API: sends tasks, reads what came back, retries nothing.

Invariants: the key goes to the connection's own host and nowhere else, and is in no ``repr``, message or log;
``http://`` only to loopback; no redirect is followed; a call ends within ``timeout``, waiting for a socket included; a
lost reply is an outcome, not an exception.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

import httpx

from airflow_provider_clarity import __version__
from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityError,
    ClarityProviderError,
    ClarityValidationError,
)
from airflow_provider_clarity.runware import arrays, images
from airflow_provider_clarity.runware.envelope import Envelope, parse
from airflow_provider_clarity.runware.errors import task_error
from airflow_provider_clarity.runware.hosts import checked_base_url, is_loopback
from airflow_provider_clarity.runware.pace import retry_after
from airflow_provider_clarity.runware.quiet import quiet
from airflow_provider_clarity.runware.reading import lost, read_account, read_details, read_poll, read_submit
from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.tls import shared_ssl_context
from airflow_provider_clarity.runware.wire import AccountTask, GetResponseTask, GetTaskDetailsTask, UpscaleTask

__all__ = ["BASE_URL", "Account", "ClarityClient", "PollReply", "SubmitOutcome", "SubmitReply", "TaskState"]

BASE_URL: Final = "https://api.runware.ai/v1"
"""https://runware.ai/docs/platform/authentication"""

MAX_REPLY_BYTES: Final = 128_000_000
"""A reply may hold pictures; beyond this it is treated as lost."""

_TOO_LARGE: Final = 413
_FETCH_TIMEOUTS: Final = 5
_CONNECT_TIMEOUT: Final = 15
"""Seconds until the next address of a picture's host is tried."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back from one POST."""

    status: int
    envelope: Envelope
    retry_after: float | None


class ClarityClient:
    """Speaks to the Runware API. Nothing is opened before the first call; it belongs to the loop of that call.

    :param api_key: the key; it must hold no white space
    :param base_url: where to POST; ``http://`` only to loopback
    :param timeout: seconds that one POST may take, waiting for a socket included
    :param max_connections: sockets at a time, at least 1; 5 serve all, since arrays are large
    :param ssl_context: instead of the process's shared one
    :param transport: instead of sockets, for tests
    :raises ClarityAuthError: the key is empty or holds white space or other characters that no key has
    :raises ClarityValidationError: the address must not be given the key
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        timeout: float = 60,
        max_connections: int = 5,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if timeout <= 0 or max_connections < 1:
            raise ClarityValidationError("timeout must be above 0 and max_connections at least 1. Nothing was sent.")
        self._key = _checked_key(api_key)
        self.base_url = checked_base_url(base_url)
        self._loopback = is_loopback(httpx.URL(self.base_url).host)
        self._timeout = timeout
        self._max_connections = max_connections
        self._ssl_context = ssl_context
        self._transport = transport
        self._sockets = asyncio.Semaphore(max_connections)
        self._http: httpx.AsyncClient | None = None
        self._pictures: dict[str | None, httpx.AsyncClient] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def submit(self, tasks: Sequence[UpscaleTask]) -> SubmitReply:
        """Submit tasks, each once, in as few POSTs as fit.

        Once the service has refused the key or has no credit left, arrays that did not leave yet stay (``refused``). So
        do those for which no time is left: ``timeout`` is for all of them together, since who may send a task after us
        waits for that long and no longer.

        :param tasks: any number; their UUIDs differ
        :return: one outcome for each task, in their order
        :raises ClarityValidationError: two tasks share a UUID
        """
        until = self._until()
        uuids = [task.task_uuid for task in tasks]
        if len(set(uuids)) != len(uuids):
            raise ClarityValidationError("Two tasks of one submit share a task UUID. Nothing was sent.")
        encoded = [arrays.encode(task.wire()) for task in tasks]
        replies: list[SubmitReply] = []

        async def send(part: range) -> None:
            stop = next((reply.stop for reply in replies if reply.stop), None)
            if stop is None:
                replies.append(await self._send_array(uuids, encoded, part, until))
            else:
                replies.append(_kept(uuids, part, stop))

        await self._each(send, arrays.cut([len(task) for task in encoded]))
        outcomes = {outcome.task_uuid: outcome for reply in replies for outcome in reply.outcomes}
        throttled, wait, stop = _worst(replies)
        overloaded = any(reply.overloaded for reply in replies)
        return SubmitReply(tuple(outcomes[uuid] for uuid in uuids), throttled, wait, stop, overloaded)

    async def get_response(self, task_uuids: Iterable[UUID]) -> PollReply:
        """Ask for the state of tasks.

        :param task_uuids: any number
        :return: what was answered; a task that is missing there is no news
        """
        return await self._look_up(GetResponseTask, task_uuids, read_poll)

    async def get_task_details(self, task_uuids: Iterable[UUID]) -> PollReply:
        """Ask the archive for the last response of tasks. A recorded ``conflictTaskUUID`` there is ``silent``.

        :param task_uuids: any number
        :return: what was answered; a task that is missing there is no news
        """
        return await self._look_up(GetTaskDetailsTask, task_uuids, read_details)

    async def account(self) -> Account:
        """Ask for the balance. It costs nothing.

        :raises ClarityAuthError: the key was refused, or has no permission for the account
        :raises ClarityProviderError: no answer, or one that nobody can read
        """
        answer = await self._post([arrays.encode(AccountTask(task_uuid=uuid4()).wire())])
        if answer is None:
            raise ClarityProviderError(
                "Runware did not answer the request for the account. Nothing was paid. Look at host and proxy."
            )
        return read_account(answer.status, answer.envelope)

    async def fetch_image(
        self, url: str, *, max_bytes: int, allowed_hosts: Iterable[str] = images.IMAGE_HOSTS
    ) -> bytes:
        """Fetch a picture that the service made. The key is not sent.

        :param url: the ``imageURL`` of a result
        :param max_bytes: more than this is refused
        :param allowed_hosts: exact host names, and suffixes beginning with a dot
        :return: the bytes, at least one; whether they are a picture is for the caller to see
        :raises ClarityDeliveryError: the URL may not be fetched, or could not be; the URL is redacted
        """
        checked = images.checked_url(url, allowed_hosts=tuple(allowed_hosts), loopback=self._loopback)
        try:
            async with asyncio.timeout(self._timeout * _FETCH_TIMEOUTS), self._sockets:
                with quiet():
                    found = await images.find_routes(checked, loopback=self._loopback)
                    return await images.fetch(await self._picture_client(found.proxy), found, max_bytes=max_bytes)
        except TimeoutError:
            raise images.refusal(url, "it took too long", retryable=True) from None

    async def aclose(self) -> None:
        """Close the sockets. The client cannot be used afterwards."""
        self._closed = True
        opened = [http for http in (self._http, *self._pictures.values()) if http is not None]
        self._http, self._pictures = None, {}
        with quiet():
            for http in opened:
                await http.aclose()

    async def _look_up(
        self,
        kind: type[GetResponseTask | GetTaskDetailsTask],
        task_uuids: Iterable[UUID],
        reader: Callable[[int, Envelope, Sequence[UUID], float | None], PollReply],
    ) -> PollReply:
        uuids = list(dict.fromkeys(task_uuids))
        encoded = [arrays.encode(kind(task_uuid=uuid).wire()) for uuid in uuids]
        replies: list[PollReply] = []

        async def ask(part: range) -> None:
            answer = await self._post(encoded[part.start : part.stop])
            if answer is None:
                return
            if answer.status == _TOO_LARGE and len(part) > 1:
                for half in _halves(part):
                    await ask(half)
                return
            asked = uuids[part.start : part.stop]
            replies.append(reader(answer.status, answer.envelope, asked, answer.retry_after))

        await self._each(ask, arrays.cut([len(task) for task in encoded]))
        states = {uuid: state for reply in replies for uuid, state in reply.states.items()}
        return PollReply(states, *_worst(replies))

    async def _send_array(
        self, uuids: Sequence[UUID], encoded: Sequence[bytes], part: range, until: float
    ) -> SubmitReply:
        """Send one array of tasks while there is time; where the service finds it too large, its halves."""
        if asyncio.get_running_loop().time() >= until:
            return _kept(uuids, part)
        asked = uuids[part.start : part.stop]
        answer = await self._post(encoded[part.start : part.stop], until)
        if answer is None:
            return lost(asked)
        if answer.status != _TOO_LARGE:
            return read_submit(answer.status, answer.envelope, asked, answer.retry_after)
        if len(part) == 1:
            too_large = task_error("payloadTooLarge", "the request is too large for the service", task_uuid=asked[0])
            return SubmitReply((SubmitOutcome(asked[0], "failed", error=too_large),))
        halves = [await self._send_array(uuids, encoded, half, until) for half in _halves(part)]
        return SubmitReply(tuple(outcome for half in halves for outcome in half.outcomes), *_worst(halves))

    async def _each(self, work: Callable[[range], Awaitable[None]], parts: Sequence[range]) -> None:
        """Do all parts, as many at a time as there are sockets."""
        if len(parts) == 1:
            await work(parts[0])
            return
        places = asyncio.Semaphore(self._max_connections)

        async def one(part: range) -> None:
            async with places:
                await work(part)

        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(one(part))

    def _until(self) -> float:
        """Say when a call that begins now has to be over, by the time of the loop."""
        return asyncio.get_running_loop().time() + self._timeout

    async def _post(self, encoded: Sequence[bytes], until: float | None = None) -> _Answer | None:
        """POST one array; none, when no whole reply came back in time."""
        try:
            async with asyncio.timeout_at(self._until() if until is None else until), self._sockets:
                with quiet():
                    return await self._exchange(await self._client(), arrays.join(encoded))
        except images.LOST:
            return None

    async def _exchange(self, http: httpx.AsyncClient, body: bytes) -> _Answer | None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        received = bytearray()
        async with http.stream("POST", self.base_url, content=body, headers=headers) as response:
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > MAX_REPLY_BYTES:
                    return None
        envelope = parse(response.status_code, bytes(received))
        errors = tuple(replace(error, message=error.message.replace(self._key, "***")) for error in envelope.errors)
        wait = retry_after(response.headers, time.time())
        return _Answer(response.status_code, replace(envelope, errors=errors), wait)

    async def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            context = await self._context()
            if self._http is None:  # another call may have been faster while the context was built
                # A proxy is no loopback: it would be given the key.
                keep = self._max_connections
                self._http = self._open(context, trust_env=not self._loopback, keep=keep, connect=self._timeout)
        return self._http

    async def _picture_client(self, proxy: str | None) -> httpx.AsyncClient:
        """Give the client for pictures: routed as found; no connection is kept, since the pool knows it by address."""
        if proxy not in self._pictures:
            context = await self._context()
            if proxy not in self._pictures:
                connect = min(self._timeout, _CONNECT_TIMEOUT)
                self._pictures[proxy] = self._open(context, trust_env=False, keep=0, connect=connect, proxy=proxy)
        return self._pictures[proxy]

    async def _context(self) -> ssl.SSLContext:
        context = self._ssl_context or await shared_ssl_context()
        if self._closed:
            message = "this ClarityClient is closed"
            raise RuntimeError(message)
        return context

    def _open(
        self, context: ssl.SSLContext, *, trust_env: bool, keep: int, connect: float, proxy: str | None = None
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context,
            transport=self._transport,
            trust_env=trust_env,
            proxy=proxy,
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout, connect=connect),
            limits=httpx.Limits(
                max_connections=self._max_connections, max_keepalive_connections=keep, keepalive_expiry=30
            ),
            headers={"User-Agent": f"airflow-provider-clarity/{__version__}", "Accept": "application/json"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )


def _checked_key(key: str) -> str:
    hint = "Nothing was sent. Put the Runware API key into the connection's password."
    if not isinstance(key, str) or not key.strip():
        raise ClarityAuthError(f"There is no Runware API key. {hint}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ClarityAuthError(
            f"The Runware API key holds white space or characters that no key has; was it copied whole? {hint}"
        )
    return key


def _halves(part: range) -> tuple[range, range]:
    middle = part.start + len(part) // 2
    return range(part.start, middle), range(middle, part.stop)


def _kept(uuids: Sequence[UUID], part: range, stop: ClarityError | None = None) -> SubmitReply:
    """Say of an array that it did not leave."""
    return SubmitReply(tuple(SubmitOutcome(uuids[position], "refused") for position in part), stop=stop)


def _worst(replies: Iterable[Any]) -> tuple[bool, float | None, Any]:
    """Say whether any reply throttled, the longest wait asked for, and the first reason to stop."""
    known = list(replies)
    waits = [reply.retry_after for reply in known if reply.retry_after is not None]
    stop = next((reply.stop for reply in known if reply.stop is not None), None)
    return any(reply.throttled for reply in known), max(waits, default=None), stop
