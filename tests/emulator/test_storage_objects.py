"""Objects through the JSON API, with the real client."""

from __future__ import annotations

import hashlib
import importlib.util

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]


def test_a_picture_comes_back_as_it_went(store: StorageServer) -> None:
    """Content, type, custom metadata and checksums survive; the name may hold slashes, blanks, ``%`` and umlauts."""
    name = "day 1/ä%2Fö+&?#.png"
    blob = store.client().bucket("raw").blob(name)
    blob.metadata = {"clarity-identity": "é1"}
    blob.upload_from_string(b"\x89PNG" * 999, content_type="image/png")

    found = store.client().bucket("raw").get_blob(name)

    assert found.download_as_bytes() == b"\x89PNG" * 999
    assert (found.content_type, found.metadata) == ("image/png", {"clarity-identity": "é1"})
    assert (found.size, found.generation, found.metageneration) == (3996, blob.generation, 1)
    assert found.md5_hash is not None
    assert found.crc32c == blob.crc32c
    assert found.time_created is not None


@pytest.mark.parametrize("checksum", ["md5", "crc32c"])
def test_a_checksum_that_is_wrong_is_refused_and_writes_nothing(
    store: StorageServer, checksum: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that was damaged on its way must not become an object; the sums in the resource are really compared."""
    client = store.client()
    own = importlib.util.find_spec("google.cloud.storage._media") is not None  # before version 3 it was a package
    helpers = "google.cloud.storage._media._helpers" if own else "google.resumable_media._helpers"
    monkeypatch.setattr(f"{helpers}.prepare_checksum_digest", lambda _: "AAAAAA==" if checksum else "")
    with pytest.raises(exceptions.BadRequest, match="does not match"):
        client.bucket("raw").blob("a").upload_from_string(b"body", checksum=checksum)
    monkeypatch.undo()
    assert client.bucket("raw").get_blob("a") is None


def test_without_credentials_the_emulator_variable_is_enough(
    store: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DAG author sets STORAGE_EMULATOR_HOST and nothing else; the client then sends no Authorization."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.url)
    client = storage.Client(project="any")
    try:
        client.bucket("raw").blob("a").upload_from_string(b"1")
        assert client.bucket("raw").blob("a").download_as_bytes() == b"1"
    finally:
        client.close()


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 3, b"0123"), (7, None, b"789"), (5, 500, b"56789"), (0, 0, b"0")]
)
def test_a_range_is_that_range(store: StorageServer, start: int, end: int | None, expected: bytes) -> None:
    """The header of a picture is read by range; an end beyond the object gives what there is."""
    blob = store.client().bucket("raw").blob("digits")
    blob.upload_from_string(b"0123456789")
    assert blob.download_as_bytes(start=start, end=end) == expected


def test_ranges_over_plain_http(store: StorageServer) -> None:
    """206 and Content-Range, a suffix range, 416 with the size beyond the end and on an empty object."""
    client = store.client(AnonymousCredentials())
    client.bucket("raw").blob("digits").upload_from_string(b"0123456789")
    client.bucket("raw").blob("empty").upload_from_string(b"")
    url = f"{store.url}/download/storage/v1/b/raw/o/digits?alt=media"

    suffix = store.http.get(url, headers={"range": "bytes=-4"})
    assert (suffix.status_code, suffix.content) == (206, b"6789")
    assert suffix.headers["content-range"] == "bytes 6-9/10"
    beyond = store.http.get(url, headers={"range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    assert store.http.get(url.replace("digits", "empty"), headers={"range": "bytes=0-9"}).status_code == 416
    assert store.http.get(url, headers={"range": "lines=1-2"}).status_code == 200


def test_the_same_media_under_both_paths(store: StorageServer) -> None:
    """``alt=media`` works with and without ``/download``, and carries the generation and the sums."""
    blob = store.client().bucket("raw").blob("a/b")
    blob.upload_from_string(b"body")
    for prefix in ("", "/download"):
        reply = store.http.get(f"{store.url}{prefix}/storage/v1/b/raw/o/a%2Fb?alt=media")
        assert reply.content == b"body"
        assert reply.headers["x-goog-generation"] == str(blob.generation)
        assert blob.md5_hash in reply.headers["x-goog-hash"]


def test_patch_merges_and_update_replaces(store: StorageServer) -> None:
    """PATCH keeps what it does not name and a null removes; PUT leaves only what it says; both keep the generation."""
    blob = store.client().bucket("raw").blob("a")
    blob.metadata = {"one": "1", "two": "2"}
    blob.cache_control = "no-store"
    blob.upload_from_string(b"1", content_type="image/png")

    blob.metadata = {"one": None, "three": "3"}
    blob.patch()
    found = store.client().bucket("raw").get_blob("a")
    assert (found.metadata, found.content_type) == ({"two": "2", "three": "3"}, "image/png")
    assert (found.generation, found.metageneration) == (blob.generation, 2)

    store.http.put(f"{store.url}/storage/v1/b/raw/o/a", json={"metadata": {"only": "this"}}).raise_for_status()
    found = store.client().bucket("raw").get_blob("a")
    assert (found.metadata, found.cache_control, found.metageneration) == ({"only": "this"}, None, 3)


def test_generations_only_grow(store: StorageServer) -> None:
    """Each write has a new generation, greater than all before it, even when the clock stands still or goes back."""
    client = store.client()
    seen = []
    for at in range(6):
        store.ahead = -10.0 * at
        blob = client.bucket("raw").blob("a" if at % 2 else "b")
        blob.upload_from_string(bytes([at]))
        seen.append(blob.generation)
    assert seen == sorted(set(seen))


def test_what_is_not_there_is_404_in_googles_words(store: StorageServer) -> None:
    """An object, a bucket and an overwritten generation are missing in the form that the client understands."""
    client = store.client()
    with pytest.raises(exceptions.NotFound, match="No such object: raw/nothing") as caught:
        client.bucket("raw").blob("nothing").reload()
    assert caught.value.errors[0]["reason"] == "notFound"
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        client.bucket("nowhere").blob("a").upload_from_string(b"1")
    blob = client.bucket("raw").blob("a")
    blob.upload_from_string(b"old")
    old = client.bucket("raw").blob("a", generation=blob.generation)
    assert old.download_as_bytes() == b"old"
    blob.upload_from_string(b"new")
    with pytest.raises(exceptions.NotFound):
        old.download_as_bytes()
    blob.delete()
    with pytest.raises(exceptions.NotFound):
        blob.delete()


def test_compose_and_copy(store: StorageServer) -> None:
    """Compose joins in order; a copy keeps content and attributes, across buckets too."""
    client = store.client()
    parts = [client.bucket("raw").blob(name) for name in "abc"]
    for part in parts:
        part.upload_from_string(part.name * 3, content_type="text/x")
    whole = client.bucket("raw").blob("whole")
    whole.compose(parts)
    assert whole.download_as_bytes() == b"aaabbbccc"
    copied = client.bucket("raw").copy_blob(parts[1], client.bucket("print"), "copy")
    assert copied.download_as_bytes() == b"bbb"
    assert copied.content_type == "text/x"
    assert copied.md5_hash != hashlib.md5(b"", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", ["", "a\nb", ".", "..", "x" * 1025])
def test_a_name_that_no_object_may_have_is_refused(store: StorageServer, name: str) -> None:
    """What the real service refuses must not work here and fail in production."""
    reply = store.http.post(
        f"{store.url}/upload/storage/v1/b/raw/o", params={"uploadType": "media", "name": name}, content=b"1"
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"no boundary", "multipart/related"),
        (b"not the boundary", "multipart/related; boundary=x"),
        (b"--x\r\n\r\n{}\r\n--x--", "multipart/related; boundary=x"),
        (b"--x\r\n\r\n{\r\n--x\r\n\r\nbody\r\n--x--", "multipart/related; boundary=x"),
        (b"--x\r\n\r\n[]\r\n--x\r\n\r\nbody\r\n--x--", "multipart/related; boundary=x"),
    ],
)
def test_a_multipart_body_that_is_broken_is_refused(store: StorageServer, body: bytes, content_type: str) -> None:
    """A body that was cut or mangled is a 400, never half of an object and never a 500."""
    reply = store.http.post(
        f"{store.url}/upload/storage/v1/b/raw/o?uploadType=multipart&name=a",
        content=body,
        headers={"content-type": content_type},
    )
    assert reply.status_code == 400
    assert store.http.get(f"{store.url}/storage/v1/b/raw/o/a").status_code == 404


@pytest.mark.parametrize("body", [{"metadata": "text"}, {"metadata": {"a": 1}}, {"contentType": 1}, [], "text"])
def test_a_resource_of_the_wrong_shape_is_refused(store: StorageServer, body: object) -> None:
    """Custom metadata are texts; what else is sent is a 400 and changes nothing."""
    store.client().bucket("raw").blob("a").upload_from_string(b"1")
    assert store.http.patch(f"{store.url}/storage/v1/b/raw/o/a", json=body).status_code == 400
    assert store.client().bucket("raw").get_blob("a").metageneration == 1


def test_all_metadata_can_be_removed_at_once(store: StorageServer) -> None:
    """A null for ``metadata`` removes every key."""
    blob = store.client().bucket("raw").blob("a")
    blob.metadata = {"one": "1"}
    blob.upload_from_string(b"1")
    store.http.patch(f"{store.url}/storage/v1/b/raw/o/a", json={"metadata": None}).raise_for_status()
    assert store.client().bucket("raw").get_blob("a").metadata is None


def test_a_copy_of_a_large_object_is_one_call(store: StorageServer) -> None:
    """``copyTo`` knows no token: it ends with the whole object, whatever its size."""
    client = store.client()
    large = client.bucket("raw").blob("large")
    large.upload_from_string(b"z" * 2_500_000)
    assert client.bucket("raw").copy_blob(large, client.bucket("print"), "copy").crc32c == large.crc32c


@pytest.mark.parametrize("query", ["uploadType=other&name=a", "name=a"])
def test_an_upload_of_an_unknown_kind_is_refused(store: StorageServer, query: str) -> None:
    """Not taken for a media upload."""
    assert store.http.post(f"{store.url}/upload/storage/v1/b/raw/o?{query}", content=b"1").status_code == 400
