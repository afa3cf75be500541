"""Rewrites: the token loop, and what is at the destination while it runs."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]

MIB = 1024 * 1024


def test_between_buckets_a_large_object_takes_several_calls(store: StorageServer) -> None:
    """A client that does not loop would think it done; nothing may appear before the last call."""
    client = store.client()
    source = client.bucket("raw").blob("large")
    source.metadata = {"of": "source"}
    source.upload_from_string(b"z" * (2 * MIB + 1), content_type="image/png")
    final = client.bucket("print").blob("final")
    final.content_type = "image/jpeg"
    final.metadata = {"of": "final"}

    token, seen = None, []
    while True:
        token, rewritten, size = final.rewrite(source, token=token, if_generation_match=0)
        seen.append(rewritten)
        if token is None:
            break
        assert client.bucket("print").get_blob("final") is None

    assert (seen, size) == ([MIB, 2 * MIB, 2 * MIB + 1], 2 * MIB + 1)
    found = client.bucket("print").get_blob("final")
    assert (found.content_type, found.metadata, found.size) == ("image/jpeg", {"of": "final"}, size)
    assert found.crc32c == source.crc32c


def test_within_a_bucket_and_below_a_mebibyte_it_is_one_call(store: StorageServer) -> None:
    """As with the real service; and without attributes of its own the copy has those of its source."""
    client = store.client()
    source = client.bucket("raw").blob("large")
    source.metadata = {"of": "source"}
    source.upload_from_string(b"z" * 3 * MIB, content_type="image/png")
    same = client.bucket("raw").blob("same")
    assert same.rewrite(source)[0] is None
    assert (same.content_type, same.metadata) == ("image/png", {"of": "source"})
    small = client.bucket("raw").blob("small")
    small.upload_from_string(b"z" * MIB)
    assert client.bucket("print").blob("small").rewrite(small)[0] is None


def test_the_caller_may_ask_for_another_step(store: StorageServer) -> None:
    """``maxBytesRewrittenPerCall`` counts, and is a multiple of a mebibyte."""
    client = store.client()
    client.bucket("raw").blob("large").upload_from_string(b"z" * 5 * MIB)
    url = f"{store.url}/storage/v1/b/raw/o/large/rewriteTo/b/print/o/final"
    first = store.http.post(url, params={"maxBytesRewrittenPerCall": 4 * MIB}).json()
    assert (first["done"], first["totalBytesRewritten"], first["objectSize"]) == (False, str(4 * MIB), str(5 * MIB))
    again = {"maxBytesRewrittenPerCall": 4 * MIB, "rewriteToken": first["rewriteToken"]}
    assert store.http.post(url, params=again).json()["done"] is True
    assert store.http.post(url, params={"maxBytesRewrittenPerCall": 1000}).status_code == 400


def test_a_token_is_good_for_its_objects_only(store: StorageServer) -> None:
    """A token that was made up, or is of another pair, is refused; one whose reply was lost works again."""
    client = store.client()
    source = client.bucket("raw").blob("large")
    source.upload_from_string(b"z" * (2 * MIB + 1))
    token, _, _ = client.bucket("print").blob("final").rewrite(source)
    with pytest.raises(exceptions.BadRequest):
        client.bucket("print").blob("other").rewrite(source, token=token)
    with pytest.raises(exceptions.BadRequest):
        client.bucket("print").blob("final").rewrite(source, token="made-up")
    assert client.bucket("print").blob("final").rewrite(source, token=token)[1] == 2 * MIB
    assert client.bucket("print").blob("final").rewrite(source, token=token)[1] == 2 * MIB


def test_a_source_that_is_replaced_meanwhile_is_not_mixed_in(store: StorageServer) -> None:
    """The token names a generation; when that is gone the rewrite fails rather than give half of each."""
    client = store.client()
    source = client.bucket("raw").blob("large")
    source.upload_from_string(b"1" * (2 * MIB))
    url = f"{store.url}/storage/v1/b/raw/o/large/rewriteTo/b/print/o/final"
    token = store.http.post(url).json()["rewriteToken"]
    source.upload_from_string(b"2" * (2 * MIB))
    assert store.http.post(url, params={"rewriteToken": token}).status_code == 404
    assert client.bucket("print").get_blob("final") is None


def test_a_destination_that_is_taken_meanwhile_stays(store: StorageServer) -> None:
    """The precondition is asked in every call, the last included."""
    client = store.client()
    source = client.bucket("raw").blob("large")
    source.upload_from_string(b"1" * (MIB + 1))
    final = client.bucket("print").blob("final")
    token, _, _ = final.rewrite(source, if_generation_match=0)
    client.bucket("print").blob("final").upload_from_string(b"somebody else's")
    with pytest.raises(exceptions.PreconditionFailed):
        final.rewrite(source, token=token, if_generation_match=0)
    assert client.bucket("print").blob("final").download_as_bytes() == b"somebody else's"


def test_the_source_generation_is_the_one_that_is_named(store: StorageServer) -> None:
    """``sourceGeneration`` of an object that was replaced is not there any more."""
    client = store.client()
    source = client.bucket("raw").blob("a")
    source.upload_from_string(b"old")
    url = f"{store.url}/storage/v1/b/raw/o/a/rewriteTo/b/print/o/final"
    old = source.generation
    source.upload_from_string(b"new")
    assert store.http.post(url, params={"sourceGeneration": old}).status_code == 404
    assert store.http.post(url, params={"sourceGeneration": source.generation}).json()["done"] is True
