"""What the strings mean that a user writes."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.exceptions import ClarityInputError, ClarityValidationError
from airflow_provider_clarity.storage.uris import (
    DataSource,
    GsSource,
    GsUri,
    HttpsSource,
    UuidSource,
    final_name,
    parse_source,
)

NAMES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
    lambda name: name not in {".", ".."}
)
SIGNED = (
    "https://storage.googleapis.com/b/a%20cat.png?X-Goog-Algorithm=GOOG4-RSA-SHA256&x-goog-signature=5ecre7"
    "&v=2&X-Amz-Credential=5ecre7&Signature=5ecre7&EXPIRES=17&sig=5ecre7&se=2030&Token=5ecre7"
)
UUID = "0b5f9d3a-6f0f-4a43-8a4c-5f6a1c4bd111"


@given(NAMES)
def test_every_legal_name_survives_printing_and_parsing(name: str) -> None:
    """Breaks if ``?``, ``#``, ``%``, spaces or other scripts in a name are taken for URL syntax."""
    uri = GsUri("bucket", name)
    assert GsUri.parse(str(uri)) == uri


@given(NAMES)
def test_stem_and_suffix_are_the_last_part_of_the_name(name: str) -> None:
    """Breaks if a final name would lose or invent a character."""
    uri = GsUri("bucket", name)
    assert uri.stem + uri.suffix == name.rpartition("/")[2]


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [("a/b.tar.gz", "b.tar", ".gz"), (".hidden", ".hidden", ""), ("a/b", "b", ""), ("b.", "b.", ""), ("a.b/", "", "")],
)
def test_stems_are_what_a_person_expects(name: str, stem: str, suffix: str) -> None:
    """Breaks if a hidden file or a trailing dot makes an empty name."""
    assert (GsUri("bucket", name).stem, GsUri("bucket", name).suffix) == (stem, suffix)


@pytest.mark.parametrize(
    "text",
    [
        "gs://",
        "gs:///name",
        "bucket/name",
        "GS://bucket/name",
        "gs://Bucket/name",
        "gs://ab/name",
        "gs://-bucket/name",
        "gs://192.168.5.4/name",
        "gs://a..b.com/name",
        f"gs://{'a' * 64}/name",
        "gs://bucket/.",
        "gs://bucket/..",
        "gs://bucket/a\nb",
        f"gs://bucket/{'ü' * 513}",
        "gs://bucket/\ud800",
    ],
)
def test_what_cloud_storage_refuses_is_refused_here(text: str) -> None:
    """Breaks if a bad name is found out only after something was paid."""
    with pytest.raises(ClarityInputError):
        GsUri.parse(text)


def test_the_longest_name_is_taken() -> None:
    """Breaks if the limit counts characters instead of bytes."""
    assert GsUri("bucket", "ü" * 512).name


def test_a_child_is_below_the_prefix_whether_or_not_it_ends_in_a_slash() -> None:
    """Breaks if ``workspace="gs://other/x"`` would write to ``gs://other/xstaging``."""
    below = GsUri("bucket", "a/b")
    assert GsUri("bucket", "a/").child("b") == GsUri("bucket", "a").child("b") == below
    assert GsUri.parse("gs://bucket").child("b") == GsUri("bucket", "b")


def test_sources_are_told_apart() -> None:
    """Breaks if a source is read as another kind, and so becomes another purchase."""
    assert parse_source("gs://bucket/a b?#%.png") == GsSource(GsUri("bucket", "a b?#%.png"))
    assert isinstance(parse_source(SIGNED), HttpsSource)
    assert isinstance(parse_source(UUID.upper()), UuidSource)
    assert parse_source(UUID.upper()).canonical == UUID


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (" gs://bucket/a.png", "white space"),
        ("gs://bucket/", "prefix"),
        ("gs://bucket", "prefix"),
        ("GS://bucket/a.png", "lower case"),
        ("gcs://bucket/a.png", "gs://bucket/name"),
        ("http://127.0.0.1/a.png", "https://"),
        ("HTTPS://host/a.png", "lower case"),
        ("https:///a.png", "host"),
        ("https://host:99999/a.png", "host"),
        ("https://host/a b.png", "percent-encode"),
        ("s3://bucket/a.png", "presigned"),
        ("az://container/a.png", "SAS"),
        ("abfs://container@account/a.png", "SAS"),
        ("ftp://host/a.png", "data URI"),
        ("file:///tmp/a.png", "upload"),
        ("/data/a.png", "upload"),
        ("C:\\pictures\\a.png", "upload"),
        ("a.png", "upload"),
        ("A" * 400, "bare base64"),
        ("data:image/png,abc", "base64 data URI"),
        ("data:image/png;base64,ab!c", "not valid base64"),
        ("{{ ti.xcom_pull('find') }}", "upload"),
    ],
)
def test_what_cannot_be_a_source_is_refused_with_a_hint(text: str, hint: str) -> None:
    """Breaks if a user has to guess what to do instead."""
    with pytest.raises(ClarityInputError) as refused:
        parse_source(text)
    assert hint in refused.value.message


@given(st.text(max_size=300))
def test_any_text_is_a_source_or_an_input_error(text: str) -> None:
    """Breaks if a rendered template ends in a traceback of ours."""
    try:
        source = parse_source(text)
    except ClarityInputError:
        return
    for shown in (source.shown, source.canonical, source.recorded):
        assert shown


def test_a_presigned_source_is_the_same_source_when_signed_again() -> None:
    """Breaks if every DAG run buys the picture again because its URL was signed anew."""
    again = SIGNED.replace("5ecre7", "other").replace("17", "18").replace("2030", "2031")
    bare = parse_source("https://storage.googleapis.com/b/a%20cat.png?v=2")
    assert parse_source(SIGNED).canonical == parse_source(again).canonical == bare.canonical
    assert parse_source("https://Storage.googleapis.com:443/b/a%20cat.png?v=2#x").canonical == bare.canonical
    assert parse_source("https://storage.googleapis.com/b/a%20cat.png?v=3").canonical != bare.canonical


def test_no_text_of_a_presigned_source_shows_its_secret() -> None:
    """Breaks if a log, an error or the final object's metadata holds a presigned URL."""
    source = parse_source("https://user:5ecre7@host/a.png?X-Goog-Signature=5ecre7&api_key=5ecre7")
    assert "5ecre7" not in f"{source.shown} {source!r} {source} {source.recorded}"
    assert source.recorded != parse_source("https://host/a.png?api_key=another").recorded


@given(st.binary(max_size=200))
def test_an_inline_source_is_its_bytes(data: bytes) -> None:
    """Breaks if the media type a user writes makes another purchase, or the bytes show up in a log."""
    encoded = base64.b64encode(data).decode()
    one, other = (parse_source(f"data:image/{kind};base64,{encoded}") for kind in ("png", "jpeg"))
    assert isinstance(one, DataSource)
    assert one.data == data
    assert one.canonical == other.canonical == one.recorded == f"data:sha256:{hashlib.sha256(data).hexdigest()}"
    assert len(encoded) < 16 or encoded not in f"{one!r} {one.shown}"


@pytest.mark.parametrize(
    ("destination", "source", "ext", "final"),
    [
        ("gs://print/x/", "gs://raw/a/cat.png", "jpg", "gs://print/x/cat.jpg"),
        ("gs://print", "gs://raw/a/cat.tar.png", "webp", "gs://print/cat.tar.webp"),
        ("gs://print/x/", SIGNED, "png", "gs://print/x/a cat.png"),
        ("gs://print/x/", "https://host/o/folder%2Fcat.png?alt=media", "png", "gs://print/x/cat.png"),
        ("gs://print/x.JPEG", "gs://raw/cat.png", "jpg", "gs://print/x.JPEG"),
        ("gs://print/x", UUID, "jpg", "gs://print/x"),
        ("gs://print/v1.2", "gs://raw/cat.png", "jpg", "gs://print/v1.2"),
    ],
)
def test_the_final_name_is_the_object_or_the_stem_under_the_prefix(
    destination: str, source: str, ext: str, final: str
) -> None:
    """Breaks if a picture lands under another name than the documentation says."""
    assert str(final_name(GsUri.parse(destination), parse_source(source), ext)) == final


@pytest.mark.parametrize(
    ("destination", "source", "ext", "error"),
    [
        ("gs://print/x/", UUID, "jpg", ClarityInputError),
        ("gs://print/x/", "data:image/png;base64,AAAA", "jpg", ClarityInputError),
        ("gs://print/x/", "https://host/", "jpg", ClarityInputError),
        ("gs://raw/", "gs://raw/cat.jpg", "jpg", ClarityInputError),
        ("gs://raw/cat", "gs://raw/cat", "jpg", ClarityInputError),
        ("gs://print/x.png", "gs://raw/cat.png", "jpg", ClarityValidationError),
        ("gs://print/x.TIFF", "gs://raw/cat.png", "webp", ClarityValidationError),
        ("gs://print/x", "gs://raw/cat.png", "gif", ClarityValidationError),
    ],
)
def test_a_final_name_that_could_only_be_wrong_is_refused(
    destination: str, source: str, ext: str, error: type[Exception]
) -> None:
    """Breaks if a source is overwritten, or a JPEG lands under ``.png``."""
    with pytest.raises(error):
        final_name(GsUri.parse(destination), parse_source(source), ext)


@pytest.mark.parametrize("text", ["gs://raw/a b.png", UUID, "https://host/a.png", "https://[::1]:8443/a.png"])
def test_what_holds_no_secret_is_shown_and_recorded_as_it_is(text: str) -> None:
    """Breaks if a person cannot find the source again from a log, or a record from its source."""
    source = parse_source(text)
    assert source.shown == source.canonical == source.recorded == text
