"""How many connections a client keeps."""

from __future__ import annotations

from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_provider_clarity.storage.pool import AT_ONCE, widen


def test_a_client_keeps_a_connection_for_each_thread() -> None:
    """Breaks if what asks at once opens connections that are thrown away after one request."""
    client: Any = storage.Client(project="none", credentials=AnonymousCredentials())
    widen(client)
    for url in ("https://storage.googleapis.com/", "http://127.0.0.1/"):
        assert client._http.get_adapter(url)._pool_maxsize == AT_ONCE > 10
    client.close()
