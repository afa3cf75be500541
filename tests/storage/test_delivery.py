"""From staging to the final name, against a real server that is made to fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.storage.delivery import (
    Broken,
    IfExists,
    Promotion,
    Staged,
    Workspace,
    inspect_staging,
    land,
    promote,
)
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

Faults = Callable[..., None]
MakePicture = Callable[..., bytes]
MINE = Provenance("key", "identity", uuid4(), "gs://raw/cat.png", 5, run_key="run", attempt=1)
OTHERS = replace(MINE, identity="other", content_key="other", task_uuid=uuid4())


class Delivery:
    """A picture in staging and the name it is meant for."""

    def __init__(self, store: ObjectStore, bucket: GsUri, data: bytes) -> None:
        self.store, self.data = store, data
        self.final = bucket.child("print/cat ü.png")
        self.workspace = Workspace.for_destination(self.final)
        self.staging = self.workspace.staging("identity", 1, "png")
        self.staged = self.stage()

    def stage(self) -> Staged:
        self.store.create(self.staging, self.data, if_generation_match=0, content_type="text/plain")
        staged = inspect_staging(self.store, self.staging, expected_format="PNG", source_pixels=None, factor=2)
        assert isinstance(staged, Staged)
        return staged

    def occupy(self, provenance: Provenance | None) -> StoredObject:
        metadata = provenance.to_metadata() if provenance else {"made-by": "hand"}
        return self.store.create(self.final, b"theirs", if_generation_match=0, metadata=metadata)

    def promote(
        self, rule: IfExists = "skip", *, store: ObjectStore | None = None, seen: int | None = None
    ) -> Promotion:
        return promote(store or self.store, self.staged, self.final, MINE, rule, self.workspace, seen=seen)

    def holds(self, uri: GsUri) -> bool:
        found = self.store.stat(uri)
        return found is not None and self.store.read(uri, generation=found.generation) == self.data


@pytest.fixture
def delivery(store: ObjectStore, bucket: GsUri, picture: MakePicture) -> Delivery:
    return Delivery(store, bucket, picture((64, 48)))


def test_the_final_object_is_whole_and_proves_itself(delivery: Delivery, store: ObjectStore) -> None:
    """Breaks if a finished picture is not known as done, has a wrong type, or leaves staging behind."""
    promotion = delivery.promote()
    final = store.stat(delivery.final)
    assert final is not None
    assert promotion == Promotion("promoted", delivery.final, final.generation)
    assert (final.content_type, Provenance.from_metadata(final.metadata)) == ("image/png", MINE)
    assert delivery.holds(delivery.final)
    assert store.stat(delivery.staging) is None


def test_promoting_again_is_done_already(delivery: Delivery) -> None:
    """Breaks if a clear, or a crash after the rewrite, delivers twice or fails."""
    first = delivery.promote()
    assert delivery.promote() == replace(first, kind="already")


@pytest.mark.parametrize("operation", ["store.rewrite", "store.get", "store.delete"])
@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "status_503"])
def test_one_failure_anywhere_changes_nothing_for_the_user(
    delivery: Delivery, faults: Faults, operation: str, fault: str
) -> None:
    """Breaks if a lost answer passes as another's object: the paid picture would be reported as undelivered."""
    faults(operation, fault, match=delivery.final.bucket)
    promotion = delivery.promote("fail")
    assert promotion.kind in {"promoted", "already"}
    assert promotion.warnings == ()
    assert delivery.holds(delivery.final)
    assert delivery.store.stat(delivery.staging) is None


def test_staging_that_cannot_be_emptied_is_a_warning(delivery: Delivery, faults: Faults) -> None:
    """Breaks if a missing right to delete turns a delivered picture into a failure."""
    faults("store.delete", "status_403", match=delivery.final.bucket)
    promotion = delivery.promote()
    assert promotion.kind == "promoted"
    assert len(promotion.warnings) == 1
    assert "storage.objects.delete" in promotion.warnings[0]


@pytest.mark.parametrize("rule", ["skip", "fail", "update"])
def test_a_strangers_object_is_left_and_the_paid_picture_kept(
    delivery: Delivery, store: ObjectStore, rule: IfExists
) -> None:
    """Breaks if somebody's file is destroyed, or a paid picture is thrown away."""
    theirs = delivery.occupy(None)
    promotion = delivery.promote(rule)
    assert promotion.kind == "undelivered"
    assert promotion.uri == delivery.workspace.undelivered("identity", 1, "png")
    assert str(delivery.final) in promotion.reason
    assert store.stat(delivery.final) == theirs
    assert delivery.holds(promotion.uri)
    kept = store.stat(promotion.uri)
    assert kept is not None
    assert (kept.generation, kept.content_type) == (promotion.generation, "image/png")
    assert Provenance.from_metadata(kept.metadata) == MINE
    assert kept.metadata["clarity-meant-for"] == str(delivery.final)
    assert store.stat(delivery.staging) is None
    assert delivery.promote(rule) == promotion
    delivery.staged = delivery.stage()  # as after a crash between keeping it and emptying staging
    assert delivery.promote(rule) == promotion
    assert store.stat(delivery.staging) is None


def test_overwrite_replaces_the_object_it_saw(delivery: Delivery) -> None:
    """Breaks if ``overwrite`` leaves what the user asked to replace, or replaces what came later."""
    theirs = delivery.occupy(None)
    assert delivery.promote("overwrite", seen=theirs.generation + 1).kind == "undelivered"
    delivery.staged = delivery.stage()
    assert delivery.promote("overwrite", seen=theirs.generation).kind == "promoted"
    assert delivery.holds(delivery.final)


def test_an_older_picture_gives_way_and_a_newer_stays(delivery: Delivery, store: ObjectStore) -> None:
    """Breaks if overlapping runs end with the picture of an old source."""
    newer = delivery.occupy(replace(OTHERS, source_generation=6))
    assert delivery.promote() == Promotion("superseded", delivery.final, newer.generation)
    assert store.stat(delivery.staging) is None
    assert store.delete(delivery.final, generation=newer.generation)
    delivery.occupy(replace(OTHERS, source_generation=4))
    delivery.staged = delivery.stage()
    assert delivery.promote().kind == "promoted"


def test_of_two_runners_one_promotes_and_both_are_content(delivery: Delivery) -> None:
    """Breaks if a race between a clear and a slow try fails one of them."""
    with ThreadPoolExecutor(4) as runners:
        kinds = sorted(found.kind for found in runners.map(lambda _: delivery.promote(), range(4)))
    assert set(kinds) <= {"promoted", "already"}
    assert "promoted" in kinds
    assert delivery.holds(delivery.final)


def test_a_name_that_was_free_is_not_asked_for(delivery: Delivery) -> None:
    """Breaks if each picture of a backfill costs a request that its precondition makes needless."""

    class Counting(ObjectStore):
        looks = 0

        def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
            self.looks += 1
            return super().stat(uri, generation=generation)

    store = Counting(delivery.store._client, timeout=10, patience=3)
    assert delivery.promote(store=store, seen=0).kind == "promoted"
    assert store.looks == 0
    assert delivery.holds(delivery.final)


@pytest.mark.parametrize(("theirs", "kind"), [(None, "undelivered"), (MINE, "already")])
@pytest.mark.parametrize("rule", ["skip", "overwrite", "fail"])
def test_a_name_that_was_free_and_is_taken_is_looked_at(
    delivery: Delivery, rule: IfExists, theirs: Provenance | None, kind: str
) -> None:
    """Breaks if what somebody put there since the purchase was decided is replaced because it was not seen."""
    there = delivery.occupy(theirs)
    assert delivery.promote(rule, seen=0).kind == kind
    assert delivery.store.stat(delivery.final) == there


def test_what_was_not_verified_is_not_promoted(delivery: Delivery, store: ObjectStore) -> None:
    """Breaks if an upload that came after the look reaches the final name unseen."""
    store.create(delivery.staging, b"late", if_generation_match=delivery.staged.object.generation)
    with pytest.raises(ClarityDeliveryError, match="vanished") as vanished:
        delivery.promote()
    assert vanished.value.retryable
    assert store.stat(delivery.final) is None
    assert store.stat(delivery.staging) is not None


def test_a_picture_that_vanished_is_not_called_kept(delivery: Delivery, store: ObjectStore) -> None:
    """Breaks if "kept under undelivered" is said of a picture that is nowhere."""
    delivery.occupy(None)
    store.delete(delivery.staging, generation=delivery.staged.object.generation)
    with pytest.raises(ClarityDeliveryError, match="vanished"):
        delivery.promote()


class Restless(ObjectStore):
    """A store whose final names change between every look and the rewrite, a number of times."""

    changes = 0

    def rewrite(
        self,
        source: StoredObject,
        destination: GsUri,
        *,
        if_generation_match: int,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> StoredObject | None:
        if self.changes and "undelivered" not in destination.name:
            self.changes -= 1
            found = self.stat(destination)
            older = replace(OTHERS, source_generation=1).to_metadata()
            self.create(destination, b"x", if_generation_match=found.generation if found else 0, metadata=older)
        return super().rewrite(
            source,
            destination,
            if_generation_match=if_generation_match,
            content_type=content_type,
            metadata=metadata,
        )


class Overtaken(ObjectStore):
    """A store where another runner promotes, and empties staging, just before our rewrite."""

    def rewrite(
        self,
        source: StoredObject,
        destination: GsUri,
        *,
        if_generation_match: int,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> StoredObject | None:
        data = self.read(source.uri, generation=source.generation)
        if data is not None:
            self.create(destination, data, if_generation_match=if_generation_match, metadata=metadata)
            self.delete(source.uri, generation=source.generation)
        return super().rewrite(
            source,
            destination,
            if_generation_match=if_generation_match,
            content_type=content_type,
            metadata=metadata,
        )


@pytest.mark.parametrize(("occupied", "kind"), [(False, "already"), (True, "undelivered")])
def test_where_another_was_faster_the_destination_is_looked_at_before_the_alarm(
    delivery: Delivery, *, occupied: bool, kind: str
) -> None:
    """Breaks if a 404 or 412 on our side of a race reports a delivered, or kept, picture as vanished."""
    if occupied:
        delivery.occupy(None)
    promotion = delivery.promote(store=Overtaken(delivery.store._client, timeout=10, patience=3))
    assert promotion.kind == kind
    assert delivery.holds(promotion.uri)


@pytest.mark.parametrize(("changes", "lands"), [(1, True), (4, True), (5, False)])
def test_a_name_that_changes_is_read_again_for_a_while(delivery: Delivery, changes: int, *, lands: bool) -> None:
    """Breaks if a single 412 fails a delivery, or a restless name holds the worker for ever."""
    restless = Restless(delivery.store._client, timeout=10, patience=3)
    restless.changes = changes
    if lands:
        assert delivery.promote(store=restless).kind == "promoted"
        assert delivery.holds(delivery.final)
    else:
        with pytest.raises(ClarityDeliveryError) as restless_name:
            delivery.promote(store=restless)
        assert restless_name.value.retryable
        assert not isinstance(restless_name.value, GenerationConflict)
        assert delivery.holds(delivery.staging)


def test_a_fetched_picture_is_landed_over_a_broken_upload(
    store: ObjectStore, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if a paid picture whose upload failed cannot be recovered."""
    staging, data = bucket.child("_clarity/staging/identity-1.jpg"), picture((64, 48), "JPEG")
    landed = land(store, data, staging)
    assert landed is not None
    assert landed.content_type == "image/jpeg"
    assert store.delete(staging, generation=landed.generation)
    store.create(staging, data[:-10], if_generation_match=0)
    broken = inspect_staging(store, staging, expected_format="JPG", source_pixels=None, factor=2)
    assert isinstance(broken, Broken)
    assert land(store, data, staging, replacing=broken.generation) is not None
    staged = inspect_staging(store, staging, expected_format="JPG", source_pixels=None, factor=2)
    assert isinstance(staged, Staged)


def test_landing_never_replaces_an_upload_that_was_faster(
    store: ObjectStore, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if a recovery destroys the service's own upload, which may just have been verified."""
    staging = bucket.child("staging/a.png")
    upload = store.create(staging, picture((64, 48)), if_generation_match=0)
    assert land(store, b"no picture at all", staging) == upload
    assert land(store, b"no picture at all", bucket.child("staging/b.png"), replacing=upload.generation) is None
