"""Objects in Cloud Storage, read and written with preconditions, against a real server."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import storage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeliveryError, ClarityInputError
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

Faults = Callable[..., None]
ODD_NAME = "a b/ü?#%25&+=//~'\"[*].png"


def put(store: ObjectStore, uri: GsUri, data: bytes = b"bytes", generation: int = 0) -> StoredObject:
    return store.create(uri, data, if_generation_match=generation)


def names_in(pages: Iterable[Sequence[ListedObject]]) -> list[str]:
    return [one.name for page in pages for one in page]


def test_what_was_written_is_seen(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if names, metadata or generations are changed on the way."""
    uri = bucket.child(ODD_NAME)
    metadata = {"clarity-source": "gs://raw/größe 1?.png"}
    made = store.create(uri, b"bytes", if_generation_match=0, content_type="image/png", metadata=metadata)
    seen = store.stat(uri)
    assert seen == made
    assert (seen.uri, seen.size, seen.content_type, seen.metadata) == (uri, 5, "image/png", metadata)
    assert seen.updated is not None
    assert seen.updated.utcoffset() == timedelta(0)
    assert store.read(uri, generation=made.generation) == b"bytes"


def test_what_is_not_there_is_none(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if "not there yet" is an exception somewhere and None elsewhere."""
    uri = bucket.child("nothing")
    assert store.stat(uri) is None
    assert store.read(uri, generation=1) is None
    assert store.read_json(uri) is None
    assert store.delete(uri, generation=1) is False
    assert store.update_metadata(uri, {"a": "b"}, if_generation_match=0) is None
    ghost = StoredObject(uri, generation=1, size=1)
    copied = store.rewrite(ghost, bucket.child("x"), if_generation_match=0, content_type="image/png", metadata={})
    assert copied is None


def test_a_missing_bucket_is_an_error_that_names_it(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a typing error in a bucket's name looks like an empty staging, for hours."""
    nowhere = GsUri("clarity-no-such-bucket", "a")
    here = put(store, bucket.child("a"))
    for attempt in (
        lambda: store.stat(nowhere),
        lambda: put(store, nowhere),
        lambda: store.read(nowhere, generation=1),
        lambda: store.delete(nowhere, generation=1),
        lambda: list(store.list(nowhere)),
        lambda: store.rewrite(here, nowhere, if_generation_match=0, content_type="image/png", metadata={}),
    ):
        with pytest.raises(ClarityInputError, match="gs://clarity-no-such-bucket does not exist"):
            attempt()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 300), length=st.none() | st.integers(0, 300))
def test_a_range_is_a_slice(store: ObjectStore, bucket: GsUri, start: int, length: int | None) -> None:
    """Breaks if a header is read with a byte too few, or a range beyond the end raises."""
    uri, data = bucket.child("range"), bytes(range(200))
    found = store.stat(uri) or put(store, uri, data)
    end = None if length is None else start + length
    assert store.read(uri, generation=found.generation, start=start, length=length) == data[start:end]


def test_bytes_are_read_as_they_are_stored(store: ObjectStore, bucket: GsUri, client: storage.Client) -> None:
    """Breaks if an object stored compressed is measured by other bytes than the service may get."""
    data = gzip.compress(bytes(1000))
    blob = client.bucket(bucket.bucket).blob("a.png")
    blob.content_encoding = "gzip"
    blob.upload_from_string(data, content_type="image/png")
    assert store.read(bucket.child("a.png"), generation=int(blob.generation)) == data
    assert store.read(bucket.child("a.png"), generation=int(blob.generation), start=2, length=9) == data[2:11]


def test_an_empty_object_is_read(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if an upload of 0 bytes raises instead of being called broken."""
    made = put(store, bucket.child("empty"), b"")
    assert made.size == 0
    assert store.read(made.uri, generation=made.generation, length=100) == b""


def test_only_one_of_two_creates_wins(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if two owners can both hold a task record, and both submit."""
    uri = bucket.child("record")
    first = put(store, uri, b"first")
    for generation in (0, first.generation - 1):
        with pytest.raises(GenerationConflict) as conflict:
            put(store, uri, b"second", generation)
        assert conflict.value.uri == uri
    second = put(store, uri, b"second", first.generation)
    assert second.generation > first.generation
    assert store.read(uri, generation=first.generation) is None
    with pytest.raises(GenerationConflict):
        put(store, bucket.child("gone"), b"update of nothing", first.generation)


def test_a_create_whose_answer_was_lost_is_found_by_reading_again(
    store: ObjectStore, bucket: GsUri, faults: Faults
) -> None:
    """Breaks if a lost reply passes as somebody else's object, and a paid attempt as another's."""
    uri = bucket.child("lost")
    faults("store.insert", "reset_after", match=str(uri).removeprefix("gs://"))
    with pytest.raises(GenerationConflict):
        put(store, uri, b"mine")
    found = store.stat(uri)
    assert found is not None
    assert store.read(uri, generation=found.generation) == b"mine"


def test_an_upload_session_that_the_server_forgot_is_a_conflict(
    store: ObjectStore, bucket: GsUri, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a 404 in the middle of a write leaves as an exception nobody knows, instead of "read again"."""

    def forgotten(*_: object, **__: object) -> None:
        raise NotFound("No such upload")

    monkeypatch.setattr(storage.Blob, "upload_from_string", forgotten)
    with pytest.raises(GenerationConflict):
        put(store, bucket.child("a"))


def test_a_large_object_is_written_as_a_whole(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if pictures above 8 MiB, which the library uploads in a session, cannot be landed."""
    data = bytes(range(256)) * 4096 * 9
    made = put(store, bucket.child("large"), data)
    assert store.read(made.uri, generation=made.generation) == data


def test_a_rewrite_copies_bytes_and_nothing_else(store: ObjectStore, bucket: GsUri, client: storage.Client) -> None:
    """Breaks if staging's content type or metadata reach the final object, or a copy between buckets stops half way."""
    data = bytes(range(256)) * 4096 * 3  # more than a call copies between buckets
    source = store.create(
        bucket.child("staging"), data, if_generation_match=0, content_type="text/plain", metadata={"old": "1"}
    )
    other = GsUri(f"{bucket.bucket}-2", "final")
    client.create_bucket(other.bucket)
    for to in (bucket.child(ODD_NAME), other):
        final = store.rewrite(source, to, if_generation_match=0, content_type="image/png", metadata={"new": "2"})
        assert final is not None
        assert final == store.stat(to)
        assert (final.content_type, final.metadata, final.size) == ("image/png", {"new": "2"}, len(data))
        assert store.read(to, generation=final.generation) == data
        with pytest.raises(GenerationConflict):
            store.rewrite(source, to, if_generation_match=0, content_type="image/png", metadata={})


def test_a_rewrite_names_the_generation_it_copies(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if what is promoted was never verified."""
    verified = put(store, bucket.child("staging"), b"verified")
    put(store, verified.uri, b"something else", verified.generation)
    final = bucket.child("final")
    assert store.rewrite(verified, final, if_generation_match=0, content_type="image/png", metadata={}) is None
    assert store.stat(final) is None


def test_a_delete_takes_its_generation_only(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if cleaning up staging deletes a picture that came after."""
    old = put(store, bucket.child("staging"))
    new = put(store, old.uri, b"new", old.generation)
    assert store.delete(old.uri, generation=old.generation) is False
    assert store.stat(old.uri) == new
    assert store.delete(old.uri, generation=new.generation) is True
    assert store.stat(old.uri) is None


def test_metadata_is_added_to(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a note added later wipes out the proof of purchase."""
    made = store.create(bucket.child("a"), b"x", if_generation_match=0, metadata={"a": "1", "b": "2"})
    changed = store.update_metadata(made.uri, {"b": "3", "c": "4"}, if_generation_match=made.generation)
    assert changed is not None
    assert (changed.metadata, changed.generation) == ({"a": "1", "b": "3", "c": "4"}, made.generation)
    with pytest.raises(GenerationConflict):
        store.update_metadata(made.uri, {"d": "5"}, if_generation_match=made.generation + 1)


def test_a_listing_is_in_the_order_of_names_and_within_its_bounds(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a shard takes its neighbour's images, or a merge with a listing meets them in another order."""
    names = ["a/1", "a/2", "a/É", "a/z", "b/1"]
    for name in reversed(names):
        put(store, bucket.child(name))
    assert [found.uri.name for found in store.list(bucket)] == sorted(names)
    assert [found.uri.name for found in store.list(bucket.child("a/"))] == ["a/1", "a/2", "a/z", "a/É"]
    assert [found.uri.name for found in store.list(bucket.child("a/"), start="a/2", end="a/z")] == ["a/2"]


def test_pages_show_the_same_objects_and_as_much_of_each_as_a_plan_needs(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a plan over pages sees other objects, generations or proofs of purchase than are there."""
    for name in ("a/1", "a/2", "a/É", "a/b/3", "b/1"):
        made = store.create(
            bucket.child(name),
            name.encode(),
            if_generation_match=0,
            content_type="image/png",
            metadata={"clarity-v": name},
        )
    put(store, bucket.child("a/4"), b"")
    pages = list(store.pages(bucket, page_size=2))
    assert [len(page) for page in pages] == [2, 2, 2]
    found = {str(bucket.child(one.name)): one for page in pages for one in page}
    assert list(found) == [str(one.uri) for one in store.list(bucket)]
    one = found[str(made.uri)]
    assert one == ("b/1", made.generation, 3, "image/png", {"clarity-v": "b/1"})
    assert (found[str(bucket.child("a/4"))].size, dict(found[str(bucket.child("a/4"))].metadata)) == (0, {})

    assert names_in(store.pages(bucket.child("a/"), start="a/2", end="a/b")) == ["a/2", "a/4"]
    assert names_in(store.pages(bucket.child("nothing/"))) == []


def test_a_glob_stops_at_a_slash(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a glob takes, and a batch pays for, what lies in the folders below."""
    for name in ("a/1", "a/2", "a/b/3", "b/1"):
        put(store, bucket.child(name))
    assert names_in(store.pages(bucket.child("a/"), glob="a/*")) == ["a/1", "a/2"]
    assert names_in(store.pages(bucket, glob="**/[13]")) == ["a/1", "a/b/3", "b/1"]


def test_pages_of_a_missing_bucket_are_an_error_that_names_it(store: ObjectStore) -> None:
    """Breaks if a typing error in a source is a batch with nothing to do."""
    with pytest.raises(ClarityInputError, match="gs://clarity-no-such-bucket does not exist"):
        list(store.pages(GsUri("clarity-no-such-bucket", "a/")))


def test_pages_survive_a_page_that_failed(store: ObjectStore, bucket: GsUri, faults: Faults) -> None:
    """Breaks if one passing 503 among a thousand pages ends a plan, or a page is left out."""
    for number in range(5):
        put(store, bucket.child(f"{number}"))
    faults("store.list", "status_503", match=bucket.bucket, times=2)
    assert names_in(store.pages(bucket, page_size=2)) == ["0", "1", "2", "3", "4"]


def test_json_is_read_with_the_generation_to_update(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a record can be overwritten by a runner that has not read its newest state."""
    uri = bucket.child("tasks/1.json")
    value = {"v": 1, "name": "ü", "list": [1, None]}
    made = store.create_json(uri, value, if_generation_match=0)
    found = store.read_json(uri)
    assert found is not None
    assert (found.value, found.generation) == (value, made.generation)
    assert made.content_type == "application/json"
    broken = put(store, uri, b"{", made.generation)
    assert broken
    with pytest.raises(ClarityDeliveryError, match="not readable JSON"):
        store.read_json(uri)


@pytest.mark.parametrize(("times", "read"), [(1, True), (4, True), (5, False)])
def test_json_that_is_being_replaced_is_read_again_for_a_while(
    client: storage.Client, bucket: GsUri, times: int, *, read: bool
) -> None:
    """Breaks if a busy record is read as missing, and its image bought again."""

    class Replacing(ObjectStore):
        left = times

        def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
            seen = super().stat(uri, generation=generation)
            if self.left and seen:
                self.left -= 1
                self.create_json(uri, {"left": self.left}, if_generation_match=seen.generation)
            return seen

    replacing = Replacing(client, timeout=10, patience=3)
    uri = bucket.child("record.json")
    replacing.create_json(uri, {}, if_generation_match=0)
    if read:
        found = replacing.read_json(uri)
        assert found is not None
        assert found.value == {"left": 0}
    else:
        with pytest.raises(GenerationConflict):
            replacing.read_json(uri)


def test_a_trouble_that_passes_is_not_seen(store: ObjectStore, bucket: GsUri, faults: Faults) -> None:
    """Breaks if a single 503, 429 or reset of Cloud Storage reaches the user."""
    made = put(store, bucket.child("a"))
    for operation, fault in (("store.get", "status_503"), ("store.get", "reset_before"), ("store.list", "status_429")):
        faults(operation, fault, match=bucket.bucket)
        assert [store.stat(made.uri), *store.list(bucket)] == [made, made]


def test_a_trouble_that_stays_is_a_retryable_delivery_error(
    client: storage.Client, bucket: GsUri, faults: Faults
) -> None:
    """Breaks if a storage outage fails the task for good, or hangs it."""
    faults("store.get", "status_503", match=bucket.bucket, times=1000)
    with pytest.raises(ClarityDeliveryError) as failed:
        ObjectStore(client, timeout=5, patience=0.5).stat(bucket.child("a"))
    assert failed.value.retryable


def test_a_missing_role_is_named(store: ObjectStore, bucket: GsUri, faults: Faults) -> None:
    """Breaks if a 403 reaches the user as Google words it."""
    faults("store.insert", "status_403", match=bucket.bucket)
    with pytest.raises(ClarityAuthError, match=r"storage\.objects\.create on gs://clarity-.*roles/storage\.objectUser"):
        put(store, bucket.child("a"))
