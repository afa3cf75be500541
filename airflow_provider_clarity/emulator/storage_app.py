"""The Cloud Storage half of the emulator: its routes, put together.

What it takes: the part of the JSON API that ``google-cloud-storage`` uses, the XML API for presigned URLs with their V4
signatures verified, and the places where credentials come from. ``storage_state`` says what holds under a race.

Invariant: nothing is kept outside of the application that is returned; two of them share nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware

from airflow_provider_clarity.emulator.control import control_routes
from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.keys import ServiceAccountKey
from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_buckets_api import bucket_routes
from airflow_provider_clarity.emulator.storage_http import RawPath
from airflow_provider_clarity.emulator.storage_identity_api import identity_routes
from airflow_provider_clarity.emulator.storage_objects_api import object_routes
from airflow_provider_clarity.emulator.storage_uploads_api import upload_routes
from airflow_provider_clarity.emulator.storage_xml_api import xml_routes

__all__ = ["create_storage_app"]


def create_storage_app(
    *,
    faults: Faults,
    key: ServiceAccountKey,
    buckets: Sequence[str],
    clock: Callable[[], float] = time.time,
    rewrite_bytes_per_call: int = 1024 * 1024,
) -> Starlette:
    """Return the server.

    :param faults: the registry that is asked before each operation.
    :param key: the service account whose key file the caller hands out.
    :param buckets: names of buckets that exist from the start.
    :param clock: gives epoch seconds: for expiry, tokens and generations.
    :param rewrite_bytes_per_call: how much one call of a rewrite between two buckets copies.
    """
    backend = Backend.make(
        faults=faults, key=key, buckets=buckets, clock=clock, rewrite_bytes_per_call=rewrite_bytes_per_call
    )
    routes = [
        *control_routes(faults),
        *identity_routes(backend),
        *upload_routes(backend),
        *bucket_routes(backend),
        *object_routes(backend),
        *xml_routes(backend),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(RawPath)])
    app.router.redirect_slashes = False
    app.state.backend = backend
    return app
