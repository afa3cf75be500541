"""What every handler of the Cloud Storage emulator needs of HTTP: faults, errors, bodies, ranges.

Invariants: the body is read before a fault answers (else a client that is still sending sees a broken pipe instead of
the status); the work of a request is one call without an await; no query string is logged.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_clarity.emulator.faults import STORE_FAULTS, Faults
from airflow_provider_clarity.emulator.replies import Dropped, Hanging
from airflow_provider_clarity.emulator.storage_errors import StorageError, json_error, xml_error
from airflow_provider_clarity.emulator.storage_objects import ObjectVersion
from airflow_provider_clarity.emulator.storage_resources import object_headers
from airflow_provider_clarity.emulator.storage_state import Bucket

__all__ = [
    "Endpoint",
    "RawPath",
    "Work",
    "answers_json",
    "answers_xml",
    "base_url",
    "guarded",
    "json_body",
    "media",
    "path_part",
    "query_of",
    "require_user_project",
    "sums_of",
]

_LOG = logging.getLogger(__name__)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

Endpoint = Callable[[Request], Awaitable[Response]]
Work = Callable[[], Response]


@dataclass(frozen=True)
class RawPath:
    """Routes by the path as it was sent, so that ``%2F`` in an object's name is no slash; logs without the query."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = scope["raw_path"].decode("latin-1").partition("?")[0]

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                _LOG.debug("%s %s %d", scope["method"], scope["path"], message["status"])
            await send(message)

        await self.app(scope, receive, logged)


def answers_json(endpoint: Endpoint, *, iam: bool = False) -> Endpoint:
    """Make a handler's errors JSON."""

    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except StorageError as error:
            return json_error(error, iam=iam)

    return wrapped


def answers_xml(endpoint: Endpoint) -> Endpoint:
    """Make a handler's errors XML."""

    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except StorageError as error:
            return xml_error(error, body=request.method != "HEAD")

    return wrapped


def guarded(faults: Faults, operation: str, subject: str, work: Work) -> Response:
    """Do the work of a request, unless a fault has been asked for.

    :param operation: ``store.insert`` and its siblings.
    :param subject: ``bucket/object``.
    """
    fault = faults.take(operation, candidates=STORE_FAULTS, subject=subject)
    if fault is None:
        return work()
    if fault.name in {"reset_after", "hang_after"}:
        work()
    if fault.name in {"reset_before", "reset_after"}:
        return Dropped()
    if fault.name in {"hang_before", "hang_after"}:
        return Hanging(fault.value)
    raise _refusal(fault.name, operation, subject)


def _refusal(fault: str, operation: str, subject: str) -> StorageError:
    if fault == "status_503":
        return StorageError(503, "backendError", "We encountered an internal error. Please try again.")
    if fault == "status_429":
        return StorageError(
            429, "rateLimitExceeded", f"The rate limit was exceeded for {subject}. Please reduce your rate."
        )
    permission = {
        "store.insert": "storage.objects.create",
        "store.rewrite": "storage.objects.create",
        "store.sign_blob": "iam.serviceAccounts.signBlob",
        "store.token": "iam.serviceAccounts.getAccessToken",
    }.get(operation, operation.replace("store.", "storage.objects."))
    message = f"Permission '{permission}' denied on resource '{subject}' (or it may not exist)."
    return StorageError(403, "forbidden", message)


def path_part(request: Request, name: str) -> str:
    """Return a part of the path, decoded."""
    return unquote(request.path_params[name])


def query_of(request: Request) -> dict[str, str]:
    """Return the query's parameters."""
    return dict(request.query_params)


def base_url(request: Request) -> str:
    """Return the URL by which the caller knows this server."""
    return f"{request.url.scheme}://{request.headers['host']}"


def json_body(content: bytes) -> dict[str, Any]:
    """Read a JSON object; an empty body is an empty object."""
    try:
        body = json.loads(content) if content else {}
    except ValueError:
        raise StorageError(400, "parseError", "Parse Error") from None
    if not isinstance(body, dict):
        raise StorageError(400, "parseError", "Parse Error")
    return body


def sums_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Read the checksums that come with a body: ``x-goog-hash`` and ``content-md5``."""
    sums = {}
    for part in headers.get("x-goog-hash", "").split(","):
        kind, _, value = part.strip().partition("=")
        if kind in {"md5", "crc32c"}:
            sums[kind] = value
    if "content-md5" in headers:
        sums["md5"] = headers["content-md5"]
    return sums


def require_user_project(bucket: Bucket, request: Request) -> None:
    """Refuse a request to a requester-pays bucket that names nobody who pays."""
    named = request.query_params.get("userProject") or request.headers.get("x-goog-user-project")
    if bucket.requester_pays and not named:
        raise StorageError(400, "required", "Bucket is a requester pays bucket but no user project provided.")


def media(request: Request, version: ObjectVersion, *, xml: bool = False) -> Response:
    """Answer with an object's content, or the range of it that was asked for."""
    headers = object_headers(version, xml=xml)
    size = len(version.content)
    span = _range(request.headers.get("range", ""), size)
    if span is None:
        content, status = version.content, 200
    else:
        content, status = version.content[span[0] : span[1] + 1], 206
        headers["content-range"] = f"bytes {span[0]}-{span[1]}/{size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers | {"content-length": str(len(content))})
    return Response(content, status_code=status, headers=headers)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte; None where there is no range, or none that is understood."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if match[1] and match[2] and int(match[2]) < int(match[1]):
        return None
    first, last = (int(match[1]), int(match[2] or size)) if match[1] else (max(size - int(match[2]), 0), size)
    if first >= size:
        raise StorageError(
            416,
            "requestedRangeNotSatisfiable",
            "The requested range cannot be satisfied.",
            headers={"content-range": f"bytes */{size}"},
        )
    return first, min(last, size - 1)
