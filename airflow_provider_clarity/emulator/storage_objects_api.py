"""The JSON API of objects: get, download, list, patch, update, rewrite, copy, compose, delete.

Invariant: after the body has been read, a request is answered by one call without an await (``guarded``), so its
preconditions and its deed are one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_errors import invalid
from airflow_provider_clarity.emulator.storage_http import (
    Endpoint,
    answers_json,
    base_url,
    guarded,
    json_body,
    media,
    path_part,
    query_of,
    require_user_project,
)
from airflow_provider_clarity.emulator.storage_listing import ListingQuery, list_objects
from airflow_provider_clarity.emulator.storage_objects import Attributes, ObjectVersion, Preconditions, parse_integer
from airflow_provider_clarity.emulator.storage_resources import object_resource
from airflow_provider_clarity.emulator.storage_rewrites import RewriteRequest, RewriteState

__all__ = ["object_routes"]

_COMPOSABLE = 32


@dataclass(frozen=True)
class _Call:
    """A request on one object, its body read, its caller known."""

    request: Request
    bucket: str
    name: str
    query: dict[str, str]
    content: bytes

    @property
    def generation(self) -> int | None:
        return parse_integer(self.query, "generation")

    @property
    def conditions(self) -> Preconditions:
        return Preconditions.from_query(self.query)

    def resource(self, version: ObjectVersion) -> Response:
        return JSONResponse(object_resource(version, base_url(self.request)))


class _Objects:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.store = backend.store

    def endpoint(self, operation: str | None, work: Callable[[_Call], Response]) -> Endpoint:
        """Make a handler; without an operation no fault can be asked for."""

        async def serve(request: Request) -> Response:
            content = await request.body()
            self.backend.tokens.holder(request.headers)
            query = query_of(request)
            bucket = path_part(request, "bucket")
            name = path_part(request, "object") if "object" in request.path_params else ""
            require_user_project(self.store.bucket(bucket), request)
            call = _Call(request, bucket, name, query, content)
            if operation is None:
                return work(call)
            subject = f"{bucket}/{name or query.get('prefix', '')}"
            if "to_bucket" in request.path_params:
                subject += f" {path_part(request, 'to_bucket')}/{path_part(request, 'to_object')}"
            return guarded(self.backend.faults, operation, subject, lambda: work(call))

        return answers_json(serve)

    def get(self, call: _Call) -> Response:
        version = self.store.find(call.bucket, call.name, generation=call.generation, conditions=call.conditions)
        return media(call.request, version) if call.query.get("alt") == "media" else call.resource(version)

    def download(self, call: _Call) -> Response:
        version = self.store.find(call.bucket, call.name, generation=call.generation, conditions=call.conditions)
        return media(call.request, version)

    def list(self, call: _Call) -> Response:
        page = list_objects(self.store.bucket(call.bucket), ListingQuery.from_query(call.query))
        body: dict[str, object] = {"kind": "storage#objects"}
        if page.items:
            body["items"] = [object_resource(version, base_url(call.request)) for version in page.items]
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.next_page_token:
            body["nextPageToken"] = page.next_page_token
        return JSONResponse(body)

    def patch(self, call: _Call) -> Response:
        body = json_body(call.content)
        return self._update(call, lambda attributes: attributes.patched(body))

    def update(self, call: _Call) -> Response:
        attributes = Attributes.from_wire(json_body(call.content))
        return self._update(call, lambda _: attributes)

    def _update(self, call: _Call, change: Callable[[Attributes], Attributes]) -> Response:
        return call.resource(
            self.store.update(call.bucket, call.name, change, generation=call.generation, conditions=call.conditions)
        )

    def delete(self, call: _Call) -> Response:
        self.store.delete(call.bucket, call.name, generation=call.generation, conditions=call.conditions)
        return Response(status_code=204)

    def rewrite(self, call: _Call) -> Response:
        state = self._rewrite(call, max_bytes=parse_integer(call.query, "maxBytesRewrittenPerCall"))
        body: dict[str, object] = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(state.rewritten),
            "objectSize": str(state.size),
            "done": state.result is not None,
        }
        if state.token is not None:
            body["rewriteToken"] = state.token
        if state.result is not None:
            body["resource"] = object_resource(state.result, base_url(call.request))
        return JSONResponse(body)

    def copy(self, call: _Call) -> Response:
        state = self._rewrite(call, max_bytes=None)
        while state.result is None:
            state = self._rewrite(call, max_bytes=None, token=state.token)
        return call.resource(state.result)

    def _rewrite(self, call: _Call, *, max_bytes: int | None, token: str | None = None) -> RewriteState:
        to_bucket, to_object = path_part(call.request, "to_bucket"), path_part(call.request, "to_object")
        require_user_project(self.store.bucket(to_bucket), call.request)
        return self.backend.rewrites.call(
            RewriteRequest(
                source=(call.bucket, call.name),
                destination=(to_bucket, to_object),
                attributes=Attributes.from_wire(json_body(call.content)),
                source_generation=parse_integer(call.query, "sourceGeneration"),
                source_conditions=Preconditions.from_query(call.query, source=True),
                conditions=call.conditions,
                token=token or call.query.get("rewriteToken") or None,
                max_bytes=max_bytes,
            )
        )

    def compose(self, call: _Call) -> Response:
        body = json_body(call.content)
        parts = body.get("sourceObjects")
        if not isinstance(parts, list) or not 1 <= len(parts) <= _COMPOSABLE:
            raise invalid(f"The number of source components must be from 1 to {_COMPOSABLE}.")
        sources = []
        for part in parts:
            generation = part.get("generation")
            version = self.store.find(
                call.bucket, str(part.get("name")), generation=int(generation) if generation else None
            )
            match = (part.get("objectPreconditions") or {}).get("ifGenerationMatch")
            Preconditions(generation_match=None if match is None else int(match)).require(version)
            sources.append(version.content)
        attributes = Attributes.from_wire(body.get("destination") or {})
        return call.resource(
            self.store.insert(call.bucket, call.name, b"".join(sources), attributes, conditions=call.conditions)
        )


def object_routes(backend: Backend) -> list[Route]:
    """Return the routes under ``/storage/v1/b/<bucket>/o`` and ``/download``."""
    api = _Objects(backend)
    one = "/storage/v1/b/{bucket}/o/{object}"
    to = "b/{to_bucket}/o/{to_object}"
    return [
        Route("/storage/v1/b/{bucket}/o", api.endpoint("store.list", api.list), methods=["GET"]),
        Route(one, api.endpoint("store.get", api.get), methods=["GET"]),
        Route(f"/download{one}", api.endpoint("store.get", api.download), methods=["GET"]),
        Route(one, api.endpoint(None, api.patch), methods=["PATCH"]),
        Route(one, api.endpoint(None, api.update), methods=["PUT"]),
        Route(one, api.endpoint("store.delete", api.delete), methods=["DELETE"]),
        Route(f"{one}/rewriteTo/{to}", api.endpoint("store.rewrite", api.rewrite), methods=["POST"]),
        Route(f"{one}/copyTo/{to}", api.endpoint("store.rewrite", api.copy), methods=["POST"]),
        Route(f"{one}/compose", api.endpoint("store.rewrite", api.compose), methods=["POST"]),
    ]
