"""Each fault fires where it was asked for, is seen by the client, and is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import google.auth.transport.requests
import httpx
import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]

STATUSES = {
    "status_403": exceptions.Forbidden,
    "status_429": exceptions.TooManyRequests,
    "status_503": exceptions.ServiceUnavailable,
}
Deeds = dict[str, Callable[[], Any]]


@pytest.fixture
def deeds(store: StorageServer) -> Deeds:
    """One call of the client for each operation, without its retries."""
    client = store.client()
    old = client.bucket("raw").blob("old")
    old.upload_from_string(b"old")
    bucket = client.bucket("raw")
    return {
        "store.insert": lambda: bucket.blob("new").upload_from_string(b"new", retry=None),
        "store.get": lambda: bucket.blob("old").download_as_bytes(retry=None),
        "store.list": lambda: list(client.list_blobs("raw", prefix="o", retry=None)),
        "store.rewrite": lambda: client.bucket("print").blob("new").rewrite(old, retry=None),
        "store.delete": lambda: bucket.blob("old").delete(retry=None),
    }


@pytest.mark.parametrize("operation", ["store.insert", "store.get", "store.list", "store.rewrite", "store.delete"])
@pytest.mark.parametrize("fault", list(STATUSES))
def test_a_status_is_seen_by_the_client_once(store: StorageServer, deeds: Deeds, operation: str, fault: str) -> None:
    """The client raises its own class for it; nothing was done; the next call works; the fault is counted."""
    store.fault(operation, fault)
    with pytest.raises(STATUSES[fault]) as caught:
        deeds[operation]()
    if fault == "status_403":
        assert "Permission 'storage.objects." in str(caught.value)
    assert store.fired() == [{"fault": fault, "fired": 1}]
    deeds[operation]()
    assert store.fired() == [{"fault": fault, "fired": 1}]


@pytest.mark.parametrize("operation", ["store.insert", "store.get", "store.list", "store.rewrite", "store.delete"])
@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "hang_before", "hang_after"])
def test_a_reset_is_a_connection_without_a_reply(
    store: StorageServer, deeds: Deeds, operation: str, fault: str
) -> None:
    """The client cannot tell whether it was done; only a look afterwards can: before, nothing; after, everything."""
    store.fault(operation, fault, **({"value": 0.05} if "hang" in fault else {}))
    with pytest.raises((requests.ConnectionError, ConnectionError)):
        deeds[operation]()
    assert store.fired() == [{"fault": fault, "fired": 1}]
    client = store.client()
    done = fault.endswith("after")
    assert client.bucket("raw").blob("new").exists() is (done and operation == "store.insert")
    assert client.bucket("print").blob("new").exists() is (done and operation == "store.rewrite")
    assert client.bucket("raw").blob("old").exists() is not (done and operation == "store.delete")


def test_the_client_retries_what_it_may(store: StorageServer) -> None:
    """A create with a precondition whose reply was lost: the client tries again and meets its own object, 412."""
    store.fault("store.insert", "reset_after")
    with pytest.raises(exceptions.PreconditionFailed):
        store.client().bucket("raw").blob("a").upload_from_string(b"1", if_generation_match=0)
    assert store.client().bucket("raw").blob("a").download_as_bytes() == b"1"


def test_match_is_searched_in_bucket_and_object(store: StorageServer) -> None:
    """A fault for one object leaves the others alone; a rewrite is found by its source and by its destination."""
    client = store.client()
    store.fault("store.insert", "status_403", match="raw/b")
    client.bucket("raw").blob("a").upload_from_string(b"1")
    with pytest.raises(exceptions.Forbidden):
        client.bucket("raw").blob("b").upload_from_string(b"1")
    for match in ("raw/a", "print/z"):
        store.fault("store.rewrite", "status_403", match=match)
        with pytest.raises(exceptions.Forbidden):
            client.bucket("print").blob("z").rewrite(client.bucket("raw").blob("a"))
    assert [one["fired"] for one in store.fired()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("status_403", "AccessDenied"), ("status_429", "SlowDown"), ("status_503", "ServiceUnavailable")],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_presigned_url_meets_them_in_xml(store: StorageServer, fault: str, code: str, method: str) -> None:
    """The uploader of the other side speaks XML; a URL that is refused anyway does not use the fault up."""
    operation = {"GET": "store.get", "PUT": "store.insert"}[method]
    blob = store.client().bucket("raw").blob("a")
    blob.upload_from_string(b"1")
    store.fault(operation, fault)
    url = blob.generate_signed_url(version="v4", expiration=60, method=method, api_access_endpoint=store.url)
    assert store.http.request(method, f"{url}00").status_code == 403
    assert store.fired() == [{"fault": fault, "fired": 0}]
    reply = store.http.request(method, url, content=b"2" * 1_000_000 if method == "PUT" else None)
    assert reply.status_code == int(fault[-3:])
    assert f"<Code>{code}</Code>" in reply.text
    assert store.http.request(method, url).status_code == 200


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_session_meets_them_too(store: StorageServer, fault: str) -> None:
    """A PUT whose reply is lost: the session tells afterwards whether it was taken."""
    uri = store.client().bucket("raw").blob("a").create_resumable_upload_session()
    store.fault("store.insert", fault)
    with pytest.raises(httpx.RemoteProtocolError):
        store.http.put(uri, content=b"1")
    asked = store.http.put(uri, headers={"content-range": "bytes */*"})
    assert asked.status_code == (200 if fault == "reset_after" else 308)


@pytest.mark.parametrize("fault", [*STATUSES, "reset_before", "reset_after"])
def test_a_token_can_fail(store: StorageServer, fault: str) -> None:
    """The credentials raise a class of google-auth; the next refresh works."""
    store.fault("store.token", fault, times=1)
    credentials = store.credentials()
    with google_session() as request:
        if fault in {"status_429", "status_503"}:
            credentials.refresh(request)  # google-auth retries these by itself
        else:
            with pytest.raises(GoogleAuthError):
                credentials.refresh(request)
            credentials.refresh(request)
    assert store.fired()[0]["fired"] >= 1


def test_the_metadata_servers_token_can_fail(store: StorageServer) -> None:
    """The same fault serves Workload Identity."""
    store.fault("store.token", "status_503")
    url = f"{store.url}/computeMetadata/v1/instance/service-accounts/default/token"
    statuses = [store.http.get(url, headers={"metadata-flavor": "Google"}).status_code for _ in range(2)]
    assert statuses == [503, 200]


def test_sign_blob_can_be_forbidden(store: StorageServer) -> None:
    """The missing role is named by its permission: that is what an error message has to pass on."""
    with google_session() as request:
        credentials = store.credentials()
        credentials.refresh(request)
    store.fault("store.sign_blob", "status_403")
    url = f"{store.url}/v1/projects/-/serviceAccounts/{store.key.client_email}:signBlob"
    headers = {"authorization": f"Bearer {credentials.token}"}
    reply = store.http.post(url, json={"payload": "dGV4dA=="}, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["status"], error["errors"][0]["reason"]) == (403, "PERMISSION_DENIED", "forbidden")
    assert "iam.serviceAccounts.signBlob" in error["message"]
    assert store.http.post(url, json={"payload": "dGV4dA=="}, headers=headers).status_code == 200


class google_session:  # noqa: N801 - used like a function
    """A google-auth transport whose session is closed."""

    def __enter__(self) -> google.auth.transport.requests.Request:
        self._session = requests.Session()
        return google.auth.transport.requests.Request(self._session)

    def __exit__(self, *error: object) -> None:
        self._session.close()
