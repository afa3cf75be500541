"""The JSON API of uploads, under ``/upload``: media, multipart, resumable.

Invariant: a session URI (``upload_id``) needs no Authorization; starting one does as every other request.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_errors import StorageError, invalid
from airflow_provider_clarity.emulator.storage_http import (
    answers_json,
    base_url,
    guarded,
    json_body,
    path_part,
    query_of,
    require_user_project,
    sums_of,
)
from airflow_provider_clarity.emulator.storage_objects import Attributes, Preconditions, parse_integer
from airflow_provider_clarity.emulator.storage_resources import object_resource
from airflow_provider_clarity.emulator.storage_uploads import Session, parse_multipart

__all__ = ["incomplete", "upload_routes"]


def upload_routes(backend: Backend) -> list[Route]:
    """Return the routes under ``/upload``."""
    path = "/upload/storage/v1/b/{bucket}/o"
    api = _UploadsApi(backend)
    return [
        Route(path, answers_json(api.post), methods=["POST"]),
        Route(path, answers_json(api.put), methods=["PUT"]),
        Route(path, answers_json(api.delete), methods=["DELETE"]),
        Route(path, answers_json(api.refuse), methods=["GET", "HEAD", "PATCH"]),
    ]


def incomplete(session: Session) -> Response:
    """Answer 308: so many bytes have come. ``Range`` is missing when none has."""
    here = len(session.received)
    return Response(status_code=308, headers={"range": f"bytes=0-{here - 1}"} if here else {})


class _UploadsApi:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def post(self, request: Request) -> Response:
        content = await request.body()
        self.backend.tokens.holder(request.headers)
        bucket = path_part(request, "bucket")
        require_user_project(self.backend.store.bucket(bucket), request)
        query = query_of(request)
        if query.get("upload_id"):
            return await self.put(request)
        kind = query.get("uploadType")
        resource: dict[str, Any] = {}
        content_type = request.headers.get("content-type")
        if kind == "multipart":
            first, content_type, content = parse_multipart(content, content_type or "")
            resource = json_body(first)
        elif kind == "resumable":
            resource, content_type = json_body(content), request.headers.get("x-upload-content-type")
        elif kind != "media":
            raise invalid("uploadType must be media, multipart or resumable.")
        name = query.get("name") or resource.get("name") or ""
        if not isinstance(name, str):
            raise invalid("Invalid value for: name")
        if content_type and not resource.get("contentType"):
            resource["contentType"] = content_type
        attributes = Attributes.from_wire(resource)
        sums = sums_of(request.headers) | _sums(resource)
        conditions = Preconditions.from_query(query)

        def insert() -> Response:
            version = self.backend.store.insert(bucket, name, content, attributes, conditions=conditions, sums=sums)
            return JSONResponse(object_resource(version, base_url(request)))

        def start() -> Response:
            total = parse_integer(request.headers, "x-upload-content-length")
            session = self.backend.uploads.start(
                bucket, name, attributes, conditions=conditions, sums=sums, total=total
            )
            location = (
                f"{base_url(request)}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
                f"?uploadType=resumable&upload_id={session.upload_id}"
            )
            return Response(status_code=200, headers={"location": location, "x-guploader-uploadid": session.upload_id})

        work = start if kind == "resumable" else insert
        return guarded(self.backend.faults, "store.insert", f"{bucket}/{name}", work)

    async def put(self, request: Request) -> Response:
        content = await request.body()
        session = self.backend.uploads.session(_upload_id(request))

        def take() -> Response:
            version = self.backend.uploads.put(
                session, content, content_range=request.headers.get("content-range"), sums=sums_of(request.headers)
            )
            if version is None:
                return incomplete(session)
            return JSONResponse(object_resource(version, base_url(request)))

        return guarded(self.backend.faults, "store.insert", f"{session.bucket}/{session.name}", take)

    async def delete(self, request: Request) -> Response:
        self.backend.uploads.cancel(_upload_id(request))
        return Response(status_code=499)

    async def refuse(self, request: Request) -> Response:  # noqa: ARG002 - a handler's signature
        raise StorageError(
            405, "methodNotAllowed", "An upload session takes PUT and DELETE.", headers={"allow": "PUT, DELETE"}
        )


def _upload_id(request: Request) -> str:
    upload_id = request.query_params.get("upload_id")
    if not upload_id:
        raise StorageError(400, "required", "Required parameter: upload_id")
    return upload_id


def _sums(resource: dict[str, Any]) -> dict[str, str]:
    named = {"md5": resource.get("md5Hash"), "crc32c": resource.get("crc32c")}
    return {kind: value for kind, value in named.items() if isinstance(value, str)}
