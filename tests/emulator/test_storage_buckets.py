"""Buckets: their settings, versioning, requester pays; and what is logged."""

from __future__ import annotations

import logging

import pytest
from google.api_core import exceptions
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]


def test_buckets_come_and_go(store: StorageServer) -> None:
    """Create, list, look up, change and delete; a name twice and a bucket with something in it are 409."""
    client = store.client()
    made = client.create_bucket("made-1", location="EU")
    assert [bucket.name for bucket in client.list_buckets()] == ["made-1", "print", "raw"]
    assert client.get_bucket("made-1").location == "EU"
    made.labels = {"team": "images"}
    made.patch()
    assert client.get_bucket("made-1").labels == {"team": "images"}
    assert client.get_bucket("made-1").metageneration == 2
    with pytest.raises(exceptions.Conflict):
        client.create_bucket("made-1")
    made.blob("a").upload_from_string(b"1")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        made.delete()
    made.blob("a").delete()
    made.delete()
    assert client.lookup_bucket("made-1") is None
    assert made.exists() is False


def test_a_permission_is_granted_to_everybody(store: StorageServer) -> None:
    """There are no roles here: whoever asks for permissions has them all."""
    asked = ["storage.objects.create", "storage.objects.get"]
    assert store.client().bucket("raw").test_iam_permissions(asked) == asked


def test_an_old_generation_stays_readable_with_versioning(store: StorageServer) -> None:
    """Overwritten and deleted generations are found by their number, by client and signed URL; then no more."""
    bucket = store.client().get_bucket("raw")
    bucket.versioning_enabled = True
    bucket.patch()
    blob = bucket.blob("a")
    blob.upload_from_string(b"old")
    old = bucket.blob("a", generation=blob.generation)
    url = blob.generate_signed_url(
        version="v4", expiration=60, api_access_endpoint=store.url, generation=blob.generation
    )
    bucket.blob("a").upload_from_string(b"new")
    bucket.blob("a").delete()

    assert bucket.get_blob("a") is None
    assert old.download_as_bytes() == b"old"
    assert store.http.get(url).content == b"old"
    old.metadata = {"note": "noncurrent"}
    old.patch()
    old.reload()
    assert (old.metadata, old.metageneration) == ({"note": "noncurrent"}, 2)
    bucket.blob("a").upload_from_string(b"back", if_generation_match=0)
    old.delete()
    assert store.http.get(url).status_code == 404
    assert bucket.blob("a").download_as_bytes() == b"back"


def test_the_live_generation_deleted_by_number_is_gone_for_good(store: StorageServer) -> None:
    """Naming the generation deletes that version, versioning or not."""
    bucket = store.client().get_bucket("raw")
    bucket.versioning_enabled = True
    bucket.patch()
    blob = bucket.blob("a")
    blob.upload_from_string(b"1")
    bucket.delete_blob("a", generation=blob.generation)
    assert list(bucket.list_blobs(versions=True)) == []


def test_requester_pays_wants_a_project(store: StorageServer) -> None:
    """Without ``userProject`` every call on an object is a 400, in JSON and in XML; with it all work."""
    client = store.client()
    paid = client.create_bucket("paid-1")
    paid.requester_pays = True
    paid.patch()
    nobody, somebody = client.bucket("paid-1"), client.bucket("paid-1", user_project="p")
    somebody.blob("a").upload_from_string(b"1")
    for deed in (
        lambda: nobody.blob("a").download_as_bytes(),
        lambda: nobody.blob("a").upload_from_string(b"2"),
        lambda: nobody.blob("a").create_resumable_upload_session(),
        lambda: list(client.list_blobs(nobody)),
        lambda: nobody.blob("a").delete(),
        lambda: client.bucket("raw").blob("b").rewrite(nobody.blob("a")),
    ):
        with pytest.raises(exceptions.BadRequest, match="requester pays"):
            deed()
    assert somebody.blob("a").download_as_bytes() == b"1"
    assert [blob.name for blob in client.list_blobs(somebody)] == ["a"]
    client.bucket("raw", user_project="p").blob("b").rewrite(somebody.blob("a"))

    def signed(**parameters: str) -> str:
        return str(
            nobody.blob("a").generate_signed_url(
                version="v4", expiration=60, api_access_endpoint=store.url, query_parameters=parameters
            )
        )

    refused = store.http.get(signed())
    assert (refused.status_code, "<Code>UserProjectMissing</Code>" in refused.text) == (400, True)
    assert store.http.get(signed(userProject="p")).content == b"1"


def test_no_query_string_is_logged(store: StorageServer, caplog: pytest.LogCaptureFixture) -> None:
    """Queries hold signatures and upload ids. The path is logged, so the test sees that something is."""
    caplog.set_level(logging.DEBUG, logger="airflow_provider_clarity")
    blob = store.client().bucket("raw").blob("a")
    url = blob.generate_signed_url(version="v4", expiration=60, api_access_endpoint=store.url)
    store.http.get(url)
    store.http.put(blob.create_resumable_upload_session(), content=b"1")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_clarity")]
    assert "GET /raw/a 404" in ours
    assert not [line for line in ours if "?" in line or "Signature" in line or "upload_id" in line]


@pytest.mark.parametrize("path", ["/", "/raw", "/storage/v1/b/raw/o/", "/storage/v1/nothing", "/%FF/%FF", "/%2F/%00"])
def test_no_path_ends_in_a_500(store: StorageServer, path: str) -> None:
    """Whatever is asked, the answer is the server's and not a traceback."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert store.http.request(method, f"{store.url}{path}").status_code < 500


def test_the_control_routes_are_here_too(store: StorageServer) -> None:
    """A test that has only the storage URL can ask for faults and read whether they came."""
    fault = {"operation": "store.list", "fault": "status_503", "times": 1}
    assert store.http.post(f"{store.url}/_emulator/faults", json=[fault]).status_code == 200
    assert store.http.get(f"{store.url}/storage/v1/b/raw/o").status_code == 503
    assert store.http.get(f"{store.url}/_emulator/faults").json()[0]["fired"] == 1
