"""What we know of a source before anything is paid, and how the service gets at it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
import requests
from google.cloud import storage

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityInputError
from airflow_provider_clarity.storage.inputs import (
    LARGEST_INLINE,
    InputVia,
    SourceFacts,
    image_reference,
    inspect,
)
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsSource, GsUri, parse_source

MakePicture = Callable[..., bytes]
PASSING = ("https://host/a.png?X-Goog-Signature=5ecre7", "0b5f9d3a-6f0f-4a43-8a4c-5f6a1c4bd111")


def put(store: ObjectStore, uri: GsUri, data: bytes, generation: int = 0) -> GsSource:
    store.create(uri, data, if_generation_match=generation, content_type="text/html")
    return GsSource(uri)


def test_an_object_is_what_its_bytes_are(store: ObjectStore, bucket: GsUri, picture: MakePicture) -> None:
    """Breaks if a wrong name or content type makes a good source refused, or its pixels unknown."""
    data = picture((64, 48), "JPEG")
    facts = inspect(store, put(store, bucket.child("cat.txt"), data))
    stored = store.stat(bucket.child("cat.txt"))
    assert stored is not None
    assert (facts.pixels, facts.size, facts.generation, facts.warnings) == ((64, 48), len(data), stored.generation, ())
    assert facts.picture is not None
    assert facts.picture.format == "JPG"


def test_what_only_the_service_can_read_is_not_looked_at(store: ObjectStore) -> None:
    """Breaks if a worker fetches a URL that was meant for the service."""
    for text in PASSING:
        facts = inspect(store, parse_source(text))
        assert facts == SourceFacts(parse_source(text))
        assert facts.pixels is None


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda _: b"", "0 bytes"),
        (lambda _: b"<html>no such page", "markup"),
        (lambda picture: picture((40, 40), "GIF"), "a GIF"),
        (lambda picture: picture((40, 40), "JPEG")[:100], "cut off"),
        (lambda picture: picture((4096, 8), "PNG"), "4096 x 8"),
        (lambda picture: picture((8, 5000), "WEBP"), "8 x 5000"),
    ],
)
def test_what_clarity_cannot_take_is_refused_before_it_is_paid(
    store: ObjectStore, bucket: GsUri, picture: MakePicture, make: Callable[[MakePicture], bytes], word: str
) -> None:
    """Breaks if the service is paid to refuse it, or to shrink it."""
    source = put(store, bucket.child("a.png"), make(picture))
    with pytest.raises(ClarityInputError, match=word) as refused:
        inspect(store, source)
    assert str(source.uri) in refused.value.message
    assert not refused.value.retryable


def test_what_is_not_there_is_refused(store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if a missing source is found out by the service, after the task was sent."""
    with pytest.raises(ClarityInputError, match="does not exist"):
        inspect(store, GsSource(bucket.child("no.png")))
    with pytest.raises(ClarityInputError, match="The bucket gs://clarity-no-such-bucket does not exist"):
        inspect(store, parse_source("gs://clarity-no-such-bucket/a.png"))


@pytest.mark.parametrize(("side", "factor", "warned"), [(2048, 2, False), (2049, 2, True), (4095, 1, False)])
def test_what_the_service_would_shrink_is_warned_about(
    store: ObjectStore, bucket: GsUri, picture: MakePicture, side: int, factor: float, *, warned: bool
) -> None:
    """Breaks if a user learns only from the picture that 2x was not 2x."""
    facts = inspect(store, put(store, bucket.child("a.png"), picture((side, 8))), factor=factor)
    assert bool(facts.warnings) is warned


def test_an_inline_source_is_judged_like_an_object(store: ObjectStore, picture: MakePicture) -> None:
    """Breaks if the way a source is given changes what is refused."""
    good = base64.b64encode(picture((64, 48))).decode()
    facts = inspect(store, parse_source(f"data:image/jpeg;base64,{good}"))
    assert facts.pixels == (64, 48)
    assert facts.sha256
    for bad in (b"", b"hello, world", picture((4096, 1))):
        with pytest.raises(ClarityInputError):
            inspect(store, parse_source(f"data:image/png;base64,{base64.b64encode(bad).decode()}"))


@pytest.mark.parametrize("via", ["auto", "signed_url"])
def test_a_signer_gives_a_url_of_the_generation_that_was_inspected(
    store: ObjectStore, signer: Signer, bucket: GsUri, picture: MakePicture, via: InputVia
) -> None:
    """Breaks if the service gets another picture than the one whose pixels we know."""
    data = picture((64, 48))
    facts = inspect(store, put(store, bucket.child("ä ?.png"), data))
    reference = image_reference(facts.source, generation=facts.generation, store=store, signer=signer, via=via)
    assert requests.get(reference.text, timeout=10).content == data
    assert reference.expires_at is not None
    assert "X-Goog" not in f"{reference} {reference!r}"
    put(store, bucket.child("ä ?.png"), data, facts.generation or 0)
    assert requests.get(reference.text, timeout=10).status_code == 404


@pytest.mark.parametrize("via", ["auto", "inline"])
def test_without_a_signer_the_bytes_go_inline(
    store: ObjectStore, nobody: Signer, bucket: GsUri, picture: MakePicture, via: InputVia
) -> None:
    """Breaks if credentials that cannot sign cannot be used, or the data URI names a wrong type."""
    data = picture((64, 48), "WEBP")
    source = put(store, bucket.child("a.png"), data)
    generation = inspect(store, source).generation
    reference = image_reference(source, generation=generation, store=store, signer=nobody, via=via)
    assert reference.text == f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    assert "base64" not in f"{reference} {reference!r}"


def test_a_source_replaced_while_it_is_read_is_read_anew_by_another_try(
    client: storage.Client, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if half of one picture and half of another are measured."""

    class Replacing(ObjectStore):
        def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
            found = super().stat(uri, generation=generation)
            put(self, uri, picture((32, 32)), found.generation if found else 0)
            return found

    replacing = Replacing(client, timeout=10, patience=3)
    with pytest.raises(ClarityInputError) as replaced:
        inspect(replacing, put(replacing, bucket.child("a.png"), picture((64, 48))))
    assert replaced.value.retryable


def test_a_url_without_a_signer_is_refused_with_a_way_out(
    store: ObjectStore, nobody: Signer, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if asking for what cannot be done ends in a traceback."""
    source = put(store, bucket.child("a.png"), picture((8, 8)))
    with pytest.raises(ClarityAuthError, match="impersonation chain"):
        image_reference(source, generation=1, store=store, signer=nobody, via="signed_url")


@pytest.mark.parametrize("via", ["auto", "inline"])
def test_what_is_too_large_to_go_inline_is_refused(
    store: ObjectStore, nobody: Signer, bucket: GsUri, via: InputVia
) -> None:
    """Breaks if a request is sent that the service's gateway refuses by its size, or nobody is told what to do."""
    stored = store.create(bucket.child("a.png"), bytes(LARGEST_INLINE + 1), if_generation_match=0)
    with pytest.raises(ClarityInputError, match="may go inline") as refused:
        image_reference(GsSource(stored.uri), generation=stored.generation, store=store, signer=nobody, via=via)
    assert ("Anonymous credentials cannot sign" in refused.value.message) is (via == "auto")
    assert 'input_via="signed_url"' in refused.value.message


def test_a_source_replaced_since_is_read_anew_by_another_try(
    store: ObjectStore, nobody: Signer, bucket: GsUri, picture: MakePicture
) -> None:
    """Breaks if half-known bytes go out, or a race fails the task for good."""
    data = picture((64, 48))
    facts = inspect(store, put(store, bucket.child("a.png"), data))
    put(store, bucket.child("a.png"), data, facts.generation or 0)
    with pytest.raises(ClarityInputError) as replaced:
        image_reference(facts.source, generation=facts.generation, store=store, signer=nobody, via="inline")
    assert replaced.value.retryable


@pytest.mark.parametrize("text", PASSING)
@pytest.mark.parametrize("via", ["auto", "signed_url", "inline"])
def test_the_others_pass_through_unseen(store: ObjectStore, nobody: Signer, text: str, via: InputVia) -> None:
    """Breaks if a URL is changed on its way, or shown."""
    reference = image_reference(parse_source(text), generation=None, store=store, signer=nobody, via=via)
    assert reference.text == text
    assert text not in f"{reference!r} {reference}"


def test_an_inline_source_passes_through(store: ObjectStore, nobody: Signer, picture: MakePicture) -> None:
    """Breaks if a data URI is encoded twice."""
    text = f"data:image/png;base64,{base64.b64encode(picture((8, 8))).decode()}"
    assert image_reference(parse_source(text), generation=None, store=store, signer=nobody, via="auto").text == text
