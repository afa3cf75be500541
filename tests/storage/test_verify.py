"""Whether what lies in staging is the picture that was paid for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.cloud import storage
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.storage.delivery import Broken, Empty, Staged, Verdict, Verify, inspect_staging, judge
from airflow_provider_clarity.storage.header import Header
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

MakePicture = Callable[..., bytes]
SIDES = st.integers(1, 5000)


def verdict(
    pixels: tuple[int, int], source: tuple[int, int] | None, *, factor: float = 2, verify: Verify = "lenient"
) -> Verdict:
    header = Header("JPG", *pixels)
    return judge(header, tail_ok=True, expected_format="JPG", source_pixels=source, factor=factor, verify=verify)


@given(st.tuples(SIDES, SIDES))
def test_the_size_asked_for_is_accepted_without_a_word(source: tuple[int, int]) -> None:
    """Breaks if a good picture is refused or gossiped about."""
    for rule in ("lenient", "strict"):
        assert verdict((source[0] * 2, source[1] * 2), source, verify=rule) == Verdict(None)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_larger_is_accepted_with_a_note_and_refused_only_by_strict(
    pixels: tuple[int, int], source: tuple[int, int]
) -> None:
    """Breaks if a paid picture of an odd size is thrown away unasked, or an input echoed back is called upscaled."""
    found = verdict(pixels, source)
    upright = pixels[0] > source[0] and pixels[1] > source[1]
    turned = pixels[1] > source[0] and pixels[0] > source[1]
    assert (found.refusal is None) == (upright or turned)
    wanted = upright and pixels == (source[0] * 2, source[1] * 2)
    assert bool(found.notes) == ((upright or turned) and not wanted)
    assert (verdict(pixels, source, verify="strict").refusal is None) == wanted


def test_an_unknown_source_is_not_measured() -> None:
    """Breaks if pictures from https sources can never be delivered."""
    assert verdict((1, 1), None, verify="strict") == Verdict(None)


def test_a_factor_of_one_may_keep_the_size() -> None:
    """Breaks if the factor that a newer schema allows makes every picture broken."""
    assert verdict((8, 8), (8, 8), factor=1) == Verdict(None)


def test_the_wrong_format_and_a_cut_file_are_refused() -> None:
    """Breaks if a PNG lands under .jpg, or half a picture is delivered."""
    header = Header("PNG", 200, 200)
    for tail_ok, word in ((True, "PNG instead of JPG"), (False, "cut off")):
        found = judge(header, tail_ok=tail_ok, expected_format="JPG", source_pixels=None, factor=2)
        assert word in (found.refusal or "")


def inspect(store: ObjectStore, uri: GsUri, verify: Verify = "lenient") -> Staged | Empty | Broken:
    return inspect_staging(store, uri, expected_format="JPG", source_pixels=(100, 60), factor=2, verify=verify)


def test_nothing_there_is_empty_not_broken(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if an upload that is still on its way counts as a failed one."""
    assert inspect(store, bucket.child("staging/a.jpg")) == Empty()


def test_a_good_picture_is_staged_at_the_generation_that_was_read(
    store: ObjectStore, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if what is promoted is not what was verified."""
    uri = bucket.child("staging/ä ?#%.jpg")
    stored = store.create(uri, picture((200, 120), "JPEG"), if_generation_match=0, content_type="text/plain")
    staged = inspect(store, uri, "strict")
    assert isinstance(staged, Staged)
    assert (staged.object.generation, staged.header.pixels, staged.notes) == (stored.generation, (200, 120), ())


@pytest.mark.parametrize(("times", "found"), [(1, Staged), (2, Staged), (3, Empty)])
def test_an_upload_that_is_replaced_while_we_look_is_looked_at_again(
    client: storage.Client, bucket: GsUri, picture: MakePicture, times: int, found: type
) -> None:
    """Breaks if the header of one upload and the end of another are taken for one picture."""
    data = picture((200, 120), "JPEG")

    class Replacing(ObjectStore):
        left = times

        def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
            seen = super().stat(uri, generation=generation)
            if self.left and seen:
                self.left -= 1
                self.create(uri, data, if_generation_match=seen.generation)
            return seen

    replacing = Replacing(client, timeout=10, patience=3)
    uri = bucket.child("staging/a.jpg")
    replacing.create(uri, data, if_generation_match=0)
    staged = inspect(replacing, uri)
    assert isinstance(staged, found)
    live = ObjectStore(client).stat(uri)
    assert live is not None
    assert not isinstance(staged, Staged) or staged.object.generation == live.generation


@pytest.mark.parametrize(
    ("kind", "size", "cut", "reason"),
    [
        ("JPEG", (200, 120), 50, "cut off"),
        ("JPEG", (200, 120), 100_000, "0 bytes"),
        ("JPEG", (100, 60), 0, "not more than the source"),
        ("PNG", (200, 120), 0, "PNG instead of JPG"),
        ("GIF", (200, 120), 0, "GIF"),
    ],
)
def test_a_bad_upload_is_broken_and_says_why(
    store: ObjectStore, bucket: GsUri, picture: MakePicture, kind: str, size: tuple[int, int], cut: int, reason: str
) -> None:
    """Breaks if something that is not the picture could be promoted."""
    data: bytes = picture(size, kind)
    uri = bucket.child("staging/a.jpg")
    stored = store.create(uri, data[: max(0, len(data) - cut)], if_generation_match=0)
    found = inspect(store, uri)
    assert isinstance(found, Broken)
    assert reason in found.reason
    assert found.generation == stored.generation
