"""Resumable uploads: sessions, chunks, what happens at their end."""

from __future__ import annotations

import io

import pytest
from google.api_core import exceptions
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]

QUANTUM = 256 * 1024


def test_a_session_takes_one_plain_put(store: StorageServer) -> None:
    """The session URI is an upload endpoint for somebody without credentials: one PUT, no header, and it is there."""
    blob = store.client().bucket("raw").blob("day/ö.png")
    blob.metadata = {"k": "v"}
    uri = blob.create_resumable_upload_session(content_type="image/png", if_generation_match=0)

    reply = store.http.put(uri, content=b"picture")

    assert (reply.status_code, reply.json()["name"]) == (200, "day/ö.png")
    found = store.client().bucket("raw").get_blob("day/ö.png")
    assert (found.content_type, found.metadata, found.size) == ("image/png", {"k": "v"}, 7)
    assert store.http.put(uri, content=b"another").json()["generation"] == str(found.generation)
    assert found.download_as_bytes() == b"picture"


def test_the_client_uploads_in_chunks(store: StorageServer) -> None:
    """A file of several chunks arrives whole; the client itself checks the sum of all of them."""
    content = bytes(range(256)) * (QUANTUM // 256 * 2) + b"end"
    blob = store.client().bucket("raw").blob("large", chunk_size=QUANTUM)
    blob.upload_from_file(io.BytesIO(content), checksum="crc32c")
    assert store.client().bucket("raw").blob("large").download_as_bytes() == content


def test_a_broken_upload_goes_on_where_it_was(store: StorageServer) -> None:
    """308 says how much has come, in whole quanta; asking with ``bytes */*`` changes nothing; the end is 200."""
    uri = store.client().bucket("raw").blob("a").create_resumable_upload_session()
    total = QUANTUM + 100
    assert "range" not in store.http.put(uri, headers={"content-range": f"bytes */{total}"}).headers
    first = store.http.put(
        uri, content=b"x" * (QUANTUM + 7), headers={"content-range": f"bytes 0-{QUANTUM + 6}/{total}"}
    )
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    asked = store.http.put(uri, headers={"content-range": "bytes */*"})
    assert (asked.status_code, asked.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    assert store.client().bucket("raw").get_blob("a") is None
    last = store.http.put(uri, content=b"y" * 100, headers={"content-range": f"bytes {QUANTUM}-{total - 1}/{total}"})
    assert (last.status_code, last.json()["size"]) == (200, str(total))
    assert store.client().bucket("raw").blob("a").download_as_bytes() == b"x" * QUANTUM + b"y" * 100


@pytest.mark.parametrize(
    ("content_range", "content"),
    [("bytes 5-9/10", b"12345"), ("bytes 0-3/10", b"12345"), ("bytes 0-4/3", b"12345"), ("lines 0-4/5", b"12345")],
)
def test_a_chunk_that_does_not_fit_is_refused(store: StorageServer, content_range: str, content: bytes) -> None:
    """A gap, a wrong length or a header that cannot be read would make another object than the one that was sent."""
    uri = store.client().bucket("raw").blob("a").create_resumable_upload_session()
    assert store.http.put(uri, content=content, headers={"content-range": content_range}).status_code == 400
    assert store.client().bucket("raw").get_blob("a") is None


def test_an_empty_object_and_an_announced_size(store: StorageServer) -> None:
    """``bytes */0`` ends an empty upload; a body of another size than announced is refused."""
    bucket = store.client().bucket("raw")
    uri = bucket.blob("empty").create_resumable_upload_session()
    assert store.http.put(uri, headers={"content-range": "bytes */0"}).status_code == 200
    assert bucket.get_blob("empty").size == 0
    uri = bucket.blob("announced").create_resumable_upload_session(size=5)
    assert store.http.put(uri, content=b"123456").status_code == 400
    assert store.http.put(uri, content=b"12345").status_code == 200


def test_the_precondition_of_the_start_holds_at_the_end(store: StorageServer) -> None:
    """A name that was taken between start and end stays as it is: 412. One that is taken already is refused at once."""
    bucket = store.client().bucket("raw")
    uri = bucket.blob("a").create_resumable_upload_session(if_generation_match=0)
    bucket.blob("a").upload_from_string(b"first")
    assert store.http.put(uri, content=b"second").status_code == 412
    assert bucket.blob("a").download_as_bytes() == b"first"
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").create_resumable_upload_session(if_generation_match=0)


def test_a_sum_in_the_last_request_is_checked(store: StorageServer) -> None:
    """``x-goog-hash`` of another content is a 400, and nothing is written."""
    uri = store.client().bucket("raw").blob("a").create_resumable_upload_session()
    assert store.http.put(uri, content=b"body", headers={"x-goog-hash": "crc32c=AAAAAA=="}).status_code == 400
    assert store.client().bucket("raw").get_blob("a") is None


def test_a_session_is_for_put_only_and_ends(store: StorageServer) -> None:
    """GET is refused; after DELETE, after a week, and with another id there is no session."""
    bucket = store.client().bucket("raw")
    uri = bucket.blob("a").create_resumable_upload_session()
    assert store.http.get(uri).status_code == 405
    assert store.http.put(uri[:-3] + "xxx", content=b"1").status_code == 404
    assert store.http.delete(uri).status_code == 499
    assert store.http.put(uri, content=b"1").status_code == 404
    late = bucket.blob("b").create_resumable_upload_session()
    store.ahead = 7 * 24 * 3600 - 60
    assert store.http.put(late, headers={"content-range": "bytes */*"}).status_code == 308
    store.ahead += 120
    assert store.http.put(late, content=b"1").status_code == 410
