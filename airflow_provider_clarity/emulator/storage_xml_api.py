"""The XML API at ``/<bucket>/<object>``: GET, HEAD, PUT, DELETE, and POST to start an upload session.

It is what presigned URLs speak to. Invariants: a request is taken only with a right V4 signature, with one of our
tokens, or on a session URI; the object and its generation come from the URL that was signed.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_errors import StorageError
from airflow_provider_clarity.emulator.storage_http import (
    Work,
    answers_xml,
    base_url,
    guarded,
    media,
    path_part,
    query_of,
    require_user_project,
    sums_of,
)
from airflow_provider_clarity.emulator.storage_objects import Attributes, ObjectVersion, Preconditions, parse_integer
from airflow_provider_clarity.emulator.storage_resources import object_headers
from airflow_provider_clarity.emulator.storage_uploads_api import incomplete
from airflow_provider_clarity.emulator.storage_v4 import SignedRequest, parse_query, verify

__all__ = ["xml_routes"]

_OPERATIONS = {"GET": "get", "HEAD": "get", "PUT": "insert", "POST": "insert", "DELETE": "delete"}
_TEXTS = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "x-goog-storage-class": "storageClass",
}
_META = "x-goog-meta-"


def xml_routes(backend: Backend) -> list[Route]:
    """Return the route that takes every path not taken before."""
    api = _Xml(backend)
    return [Route("/{bucket}/{object:path}", answers_xml(api.serve), methods=[*_OPERATIONS])]


class _Xml:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def serve(self, request: Request) -> Response:
        content = await request.body()
        bucket, name = path_part(request, "bucket"), path_part(request, "object")
        query = query_of(request)
        work: Work
        if request.method == "PUT" and "upload_id" in query:
            work = self._session(request, query["upload_id"], content)
        else:
            self._authorize(request, content)
            require_user_project(self.backend.store.bucket(bucket), request)
            work = {
                "GET": lambda: self._get(request, bucket, name),
                "HEAD": lambda: self._get(request, bucket, name),
                "PUT": lambda: self._put(request, bucket, name, content),
                "POST": lambda: self._start(request, bucket, name),
                "DELETE": lambda: self._delete(request, bucket, name),
            }[request.method]
        operation = f"store.{_OPERATIONS[request.method]}"
        return guarded(self.backend.faults, operation, f"{bucket}/{name}", work)

    def _authorize(self, request: Request, content: bytes) -> None:
        raw_query = request.scope["query_string"].decode("latin-1")
        names = {name.lower() for name, _ in parse_query(raw_query)}
        if any(name.startswith("x-goog-") for name in names):
            headers = _joined_headers(request)
            signed = SignedRequest(request.method, request.scope["path"], raw_query, headers)
            verify(signed, self.backend.ring.signed_by, self.backend.clock())
            _check_payload(headers, content)
        elif "signature" in names:
            raise StorageError(400, "invalid", "The emulator takes signed URLs of version 4 only.")
        elif self.backend.tokens.holder(request.headers) is None:
            deed = {"get": "get", "insert": "create", "delete": "delete"}[_OPERATIONS[request.method]]
            details = (
                f"Anonymous caller does not have storage.objects.{deed} access to the Google Cloud Storage object."
            )
            raise StorageError(403, "forbidden", "Access denied.", details={"Details": details})

    def _get(self, request: Request, bucket: str, name: str) -> Response:
        query = query_of(request)
        version = self.backend.store.find(
            bucket,
            name,
            generation=parse_integer(query, "generation"),
            conditions=Preconditions.from_headers(request.headers),
        )
        response = media(request, version, xml=True)
        for header in ("content-type", "content-disposition", "cache-control"):
            if f"response-{header}" in query:
                response.headers[header] = query[f"response-{header}"]
        return response

    def _put(self, request: Request, bucket: str, name: str, content: bytes) -> Response:
        version = self.backend.store.insert(
            bucket,
            name,
            content,
            _attributes(request),
            conditions=Preconditions.from_headers(request.headers),
            sums=sums_of(request.headers),
        )
        return _written(version)

    def _delete(self, request: Request, bucket: str, name: str) -> Response:
        generation = parse_integer(query_of(request), "generation")
        conditions = Preconditions.from_headers(request.headers)
        self.backend.store.delete(bucket, name, generation=generation, conditions=conditions)
        return Response(status_code=204)

    def _start(self, request: Request, bucket: str, name: str) -> Response:
        if request.headers.get("x-goog-resumable") != "start":
            raise StorageError(400, "invalid", "POST needs the header x-goog-resumable: start.")
        session = self.backend.uploads.start(
            bucket, name, _attributes(request), conditions=Preconditions.from_headers(request.headers)
        )
        path = f"/{quote(bucket, safe='~')}/{quote(name, safe='/~')}"
        return Response(
            status_code=201, headers={"location": f"{base_url(request)}{path}?upload_id={session.upload_id}"}
        )

    def _session(self, request: Request, upload_id: str, content: bytes) -> Work:
        session = self.backend.uploads.session(upload_id)

        def take() -> Response:
            version = self.backend.uploads.put(
                session, content, content_range=request.headers.get("content-range"), sums=sums_of(request.headers)
            )
            return incomplete(session) if version is None else _written(version)

        return take


def _attributes(request: Request) -> Attributes:
    headers = request.headers
    return Attributes(
        content_type=headers.get("content-type"),
        metadata={name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)},
        texts={field: headers[name] for name, field in _TEXTS.items() if name in headers},
    )


def _written(version: ObjectVersion) -> Response:
    headers = object_headers(version, xml=True)
    kept = ("etag", "x-goog-generation", "x-goog-metageneration", "x-goog-hash", "x-goog-stored-content-length")
    return Response(status_code=200, headers={name: headers[name] for name in kept})


def _joined_headers(request: Request) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]},{value.strip()}" if name in joined else value.strip()
    return joined


def _check_payload(headers: dict[str, str], content: bytes) -> None:
    claimed = headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    if claimed not in {"UNSIGNED-PAYLOAD", hashlib.sha256(content).hexdigest()}:
        raise StorageError(
            400, "invalid", "The content does not have the digest that was signed.", xml_code="BadDigest"
        )
