"""What a batch's source and destination mean, and what is refused before anything is listed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.grammar import (
    GlobSource,
    ListSource,
    ManifestSource,
    PrefixSource,
    parse_batch_destination,
    parse_batch_source,
    refuse_overlap,
    warning_for,
    within,
)
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.uris import GsUri

SECRET = "https://cdn.example.com/a.jpg?X-Goog-Signature=s3cret"
UUID = "52f41967-7b2e-4c2c-9f0c-3d1a9f7c0e11"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gs://raw/day/", PrefixSource(GsUri("raw", "day/"))),
        ("gs://raw/", PrefixSource(GsUri("raw", ""))),
        ("gs://raw/[old]/", PrefixSource(GsUri("raw", "[old]/"))),
        ("gs://raw/day/*.png", GlobSource(GsUri("raw", "day/"), "day/*.png")),
        ("gs://raw/*", GlobSource(GsUri("raw", ""), "*")),
        ("gs://raw/a/b-?[0-9].jpg", GlobSource(GsUri("raw", "a/"), "a/b-?[0-9].jpg")),
        ("gs://raw/{2023,2024}/*.jpg", GlobSource(GsUri("raw", ""), "{2023,2024}/*.jpg")),
        ("gs://raw/2024-*/x/day.jsonl", GlobSource(GsUri("raw", ""), "2024-*/x/day.jsonl")),
        ("gs://raw/day.jsonl", ManifestSource(GsUri("raw", "day.jsonl"))),
        (["gs://raw/a.jpg", UUID, SECRET], ListSource(("gs://raw/a.jpg", UUID, SECRET))),
        ([], ListSource(())),
    ],
)
def test_a_source_has_four_forms(text: str | list[str], expected: object) -> None:
    """Breaks if a rendered template is taken for another kind of source, and other images are bought."""
    assert parse_batch_source(text) == expected


@pytest.mark.parametrize(
    "text", ["gs://raw/day", "gs://raw", "gs://raw/a.jpg", SECRET, "s3://raw/day/", "/data/day/", ""]
)
def test_anything_else_names_the_four_forms_and_no_secret(text: str) -> None:
    """Breaks if a prefix without its slash is quietly an empty one, or a signature reaches the log."""
    with pytest.raises(ClarityInputError, match=r"ends in '/'.*a glob.*a manifest.*a list") as refused:
        parse_batch_source(text)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("entry", ["gs://raw/day/", "s3://raw/a.jpg", "", "file.jpg"])
def test_a_list_says_which_entry_is_no_image(entry: str) -> None:
    """Breaks if one bad entry among thousands must be searched for."""
    with pytest.raises(ClarityInputError, match="Entry 1 of the source list"):
        parse_batch_source(["gs://raw/a.jpg", entry])


def test_what_is_no_list_of_texts_is_refused() -> None:
    """Breaks if rows of another task's XCom are taken for URIs."""
    for wrong in ([1], [{"source": "gs://raw/a.jpg"}], {"gs://raw/a.jpg": 1}, None):
        with pytest.raises(ClarityInputError, match="neither a text nor a list"):
            parse_batch_source(wrong)  # type: ignore[arg-type]


def test_a_list_hides_its_entries() -> None:
    """Breaks if a presigned URL reaches a traceback."""
    assert "s3cret" not in repr(parse_batch_source([SECRET]))


@pytest.mark.parametrize(
    ("source", "destination", "how"),
    [
        ("gs://raw/day/", "gs://raw/day/", "is the source prefix"),
        ("gs://raw/day/", "gs://raw/day/out/", "lies in the source prefix"),
        ("gs://raw/day/", "gs://raw/", "holds the source prefix"),
        ("gs://raw/", "gs://raw/out/", "lies in the source prefix"),
        ("gs://raw/day/*.png", "gs://raw/day/out/", "lies in the source prefix"),
    ],
)
def test_pictures_never_become_sources(source: str, destination: str, how: str) -> None:
    """Breaks if tomorrow's run upscales, and pays for, what today's run made."""
    with pytest.raises(ClarityInputError, match=how):
        refuse_overlap(parse_batch_source(source), GsUri.parse(destination))


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("gs://raw/day/", "gs://print/day/"),
        ("gs://raw/day/", "gs://raw/day-print/"),
        ("gs://raw/day/*.png", "gs://raw/print/"),
        ("gs://raw/day.jsonl", "gs://raw/"),
    ],
)
def test_prefixes_apart_are_fine(source: str, destination: str) -> None:
    """Breaks if two folders whose names begin alike are taken for one."""
    refuse_overlap(parse_batch_source(source), GsUri.parse(destination), workspaces=[GsUri("print", "_clarity/")])


def test_the_workspace_is_no_destination() -> None:
    """Breaks if delivered pictures lie where a lifecycle rule deletes them."""
    with pytest.raises(ClarityInputError, match="lies in the workspace"):
        refuse_overlap(
            parse_batch_source("gs://raw/a/"),
            GsUri("print", "_clarity/out/"),
            workspaces=[GsUri("tmp", ""), GsUri("print", "_clarity/")],
        )


def test_a_destination_is_a_prefix() -> None:
    """Breaks if thousands of pictures get one name."""
    assert parse_batch_destination("gs://print/day/") == GsUri("print", "day/")
    assert parse_batch_destination("gs://print/") == GsUri("print", "")
    for text in ("gs://print/day", "gs://print"):
        with pytest.raises(ClarityInputError, match="Let it end in '/'"):
            parse_batch_destination(text)


def test_a_prefix_with_wildcards_is_warned_about() -> None:
    """Breaks if ``gs://raw/2024-*/`` finds nothing, and nobody says why."""
    assert "**" in (warning_for(parse_batch_source("gs://raw/2024-*/")) or "")
    for fine in ("gs://raw/2024/", "gs://raw/2024-*/**", "gs://raw/a.jsonl"):
        assert warning_for(parse_batch_source(fine)) is None


def test_a_shard_narrows_its_own_kind_of_source() -> None:
    """Breaks if a shard of another source is taken as it stands, and images are left out or bought twice."""
    prefix, manifest = parse_batch_source("gs://raw/a/"), parse_batch_source("gs://raw/a.jsonl")
    glob, named = parse_batch_source("gs://raw/*"), parse_batch_source([UUID])
    assert within(prefix, {"v": 1, "start": "a/b"}) == PrefixSource(GsUri("raw", "a/"), "a/b", None)
    assert within(glob, {"v": 1, "start": None, "end": "x"}) == GlobSource(GsUri("raw", ""), "*", None, "x")
    shard = {"v": 1, "start": None, "end": 10, "generation": 7, "to_do": 3}
    assert within(manifest, shard) == ManifestSource(GsUri("raw", "a.jsonl"), 0, 10, 7)
    assert within(named, {"v": 1, "start": 1, "end": 2}) == ListSource((UUID,), 1, 2)
    for source, start in ((prefix, 1), (manifest, "a"), (named, True)):
        with pytest.raises(ClarityInputError, match="not one of this source"):
            within(source, {"v": 1, "start": start})
    with pytest.raises(ClarityInputError, match="version"):
        within(prefix, {"v": 2, "start": None})


@settings(deadline=None)
@given(st.text(max_size=60))
def test_nothing_raises_but_our_own_error(text: str) -> None:
    """Breaks if a strange text leaves as an exception nobody knows."""
    try:
        parse_batch_source(f"gs://raw/{text}")
    except ClarityInputError:
        return
