"""The JSON API of buckets: create, get, list, patch, delete, and the question for permissions.

Invariant: as in all handlers, a request without Authorization is taken (the client library sends none when it finds the
emulator without credentials) and one with a token that is not ours is not.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_errors import StorageError
from airflow_provider_clarity.emulator.storage_http import answers_json, base_url, json_body, path_part, query_of
from airflow_provider_clarity.emulator.storage_objects import Preconditions
from airflow_provider_clarity.emulator.storage_resources import bucket_resource

__all__ = ["bucket_routes"]


def bucket_routes(backend: Backend) -> list[Route]:
    """Return the routes under ``/storage/v1/b``."""
    store, tokens = backend.store, backend.tokens

    async def create(request: Request) -> Response:
        tokens.holder(request.headers)
        body = json_body(await request.body())
        name = body.get("name")
        if not isinstance(name, str):
            raise StorageError(400, "required", "Required: name")
        return JSONResponse(bucket_resource(store.create_bucket(name, body), base_url(request)))

    async def every(request: Request) -> Response:
        tokens.holder(request.headers)
        found = store.buckets(query_of(request).get("prefix", ""))
        items = [bucket_resource(bucket, base_url(request)) for bucket in found]
        return JSONResponse({"kind": "storage#buckets", "items": items})

    async def one(request: Request) -> Response:
        tokens.holder(request.headers)
        bucket = store.bucket(path_part(request, "bucket"))
        _require(Preconditions.from_query(query_of(request)), bucket.metageneration)
        return JSONResponse(bucket_resource(bucket, base_url(request)))

    async def change(request: Request) -> Response:
        tokens.holder(request.headers)
        body = json_body(await request.body())
        name = path_part(request, "bucket")
        _require(Preconditions.from_query(query_of(request)), store.bucket(name).metageneration)
        return JSONResponse(bucket_resource(store.change_bucket(name, body), base_url(request)))

    async def delete(request: Request) -> Response:
        tokens.holder(request.headers)
        store.delete_bucket(path_part(request, "bucket"))
        return Response(status_code=204)

    async def permissions(request: Request) -> Response:
        tokens.holder(request.headers)
        store.bucket(path_part(request, "bucket"))
        asked = request.query_params.getlist("permissions")
        return JSONResponse({"kind": "storage#testIamPermissionsResponse", "permissions": asked})

    return [
        Route("/storage/v1/b", answers_json(create), methods=["POST"]),
        Route("/storage/v1/b", answers_json(every), methods=["GET"]),
        Route("/storage/v1/b/{bucket}", answers_json(one), methods=["GET"]),
        Route("/storage/v1/b/{bucket}", answers_json(change), methods=["PATCH", "PUT"]),
        Route("/storage/v1/b/{bucket}", answers_json(delete), methods=["DELETE"]),
        Route("/storage/v1/b/{bucket}/iam/testPermissions", answers_json(permissions), methods=["GET"]),
    ]


def _require(conditions: Preconditions, metageneration: int) -> None:
    if conditions.metageneration_match not in {None, metageneration}:
        raise StorageError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
