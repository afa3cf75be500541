"""What the final object's metadata proves."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.storage.provenance import Claim, Provenance, fitted

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
NAMED = WORDS.filter(bool)
NUMBERS = st.none() | st.integers(0, 2**63 - 1)
PROVENANCES = st.builds(
    Provenance,
    content_key=NAMED,
    identity=NAMED,
    task_uuid=st.none() | st.uuids(),
    source=NAMED,
    source_generation=NUMBERS,
    run_key=WORDS,
    attempt=NUMBERS,
    cost_microusd=NUMBERS,
    factor=st.none() | NAMED,
    pixels=st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
    note=WORDS,
)
MINE = Provenance(
    content_key="c" * 64,
    identity="i" * 64,
    task_uuid=UUID("0b5f9d3a-6f0f-4a43-8a4c-5f6a1c4bd111"),
    source="gs://raw/cat.png",
    source_generation=17,
    run_key="dag/run/task",
    attempt=1,
    cost_microusd=1300,
    factor="2",
    pixels=(800, 600),
)


def test_the_keys_are_these() -> None:
    """Breaks if a release renames a key: all that was bought before would be bought again."""
    assert MINE.to_metadata() == {
        "clarity-v": "1",
        "clarity-content-key": "c" * 64,
        "clarity-identity": "i" * 64,
        "clarity-task-uuid": "0b5f9d3a-6f0f-4a43-8a4c-5f6a1c4bd111",
        "clarity-source": "gs://raw/cat.png",
        "clarity-source-generation": "17",
        "clarity-run-key": "dag/run/task",
        "clarity-attempt": "1",
        "clarity-cost-microusd": "1300",
        "clarity-factor": "2",
        "clarity-pixels": "800x600",
    }


@given(PROVENANCES, st.dictionaries(WORDS, WORDS, max_size=3))
def test_what_is_written_is_read(provenance: Provenance, others: dict[str, str]) -> None:
    """Breaks if a picture that is done is not known as done, whatever else is in its metadata."""
    foreign = {key: value for key, value in others.items() if not key.lower().startswith("clarity-")}
    assert Provenance.from_metadata(foreign | provenance.to_metadata()) == provenance


@given(st.dictionaries(st.sampled_from(sorted(MINE.to_metadata())) | WORDS, st.text(max_size=40), max_size=12))
def test_any_metadata_is_read(metadata: dict[str, str]) -> None:
    """Breaks if somebody's metadata on an object stops a run."""
    Provenance.from_metadata(metadata)
    Provenance.from_metadata(MINE.to_metadata() | metadata)


METADATA = st.dictionaries(st.sampled_from(sorted(MINE.to_metadata())), st.sampled_from(["", "1", "x", "x" * 3000]))


@given(METADATA, st.booleans(), st.sampled_from(["x", "x" * 3000, "x" * 3001]))
def test_a_claim_says_what_the_provenance_says(metadata: dict[str, str], capitals: bool, other: str) -> None:  # noqa: FBT001
    """Breaks if a backfill, which reads claims, takes another picture for done than the engine does."""
    metadata = {key.upper() if capitals else key: value for key, value in (MINE.to_metadata() | metadata).items()}
    claim, proven = Claim.from_metadata(metadata), Provenance.from_metadata(metadata)
    assert (claim is None) == (proven is None)
    if claim is not None and proven is not None:
        assert (claim.content_key, claim.cost) == (proven.content_key, proven.cost_microusd)
        for text in (other, "gs://raw/cat.png", "dag/run/task", ""):
            assert claim.has_source(text) == proven.has_source(text)
            assert claim.was_bought_by(text) == proven.was_bought_by(text)
    assert Claim.from_metadata({"camera": "x"}) is None


@pytest.mark.parametrize("missing", ["v", "content-key", "identity", "source"])
def test_without_what_identifies_it_an_object_is_not_ours(missing: str) -> None:
    """Breaks if somebody else's object passes as a finished picture."""
    metadata = MINE.to_metadata()
    del metadata[f"clarity-{missing}"]
    assert Provenance.from_metadata(metadata) is None
    assert Provenance.from_metadata(None) is None


def test_another_version_and_damaged_details_still_count_as_ours() -> None:
    """Breaks if an upgrade, or a downgrade, buys everything again."""
    metadata = MINE.to_metadata() | {
        "clarity-v": "99",
        "clarity-cost-microusd": "lots",
        "clarity-attempt": "٣",
        "clarity-source-generation": "9" * 5000,
        "clarity-task-uuid": "none",
        "clarity-pixels": "800x",
        "clarity-new": "x",
    }
    expected = replace(MINE, cost_microusd=None, attempt=None, source_generation=None, task_uuid=None, pixels=None)
    assert Provenance.from_metadata(metadata) == expected


@given(st.text(min_size=1), st.integers(1, 3000), st.text(max_size=2000))
def test_metadata_never_exceeds_what_an_object_may_have(text: str, times: int, note: str) -> None:
    """Breaks if a long source name makes the promotion of a paid picture fail."""
    long = text * times
    provenance = replace(MINE, content_key=long, identity=long, source=long, run_key=long, factor=long, note=note * 5)
    metadata = provenance.to_metadata()
    assert sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) < 8 * 1024 - 1200


@given(st.text(max_size=300), st.text(max_size=300), st.integers(100, 300))
def test_cut_texts_stay_apart_and_are_cut_once(one: str, other: str, limit: int) -> None:
    """Breaks if two long sources are taken for the same, or a stored one no longer equals itself."""
    assert len(fitted(one, limit).encode()) <= limit
    assert fitted(fitted(one, limit), limit) == fitted(one, limit)
    same = one.encode("utf-8", "replace") == other.encode("utf-8", "replace")
    assert (fitted(one, limit) == fitted(other, limit)) == same


@given(st.sampled_from(["x", "é", "x" * 1000, "🐈" * 1000]), st.sampled_from(["", "1"]))
def test_a_stored_source_and_run_are_known_again(text: str, end: str) -> None:
    """Breaks if a source too long for metadata counts as not ours, and its picture cannot be delivered."""
    stored = Provenance.from_metadata(replace(MINE, source=text * 3 + end, run_key=text * 3 + end).to_metadata())
    assert stored is not None
    assert stored.has_source(text * 3 + end)
    assert stored.was_bought_by(text * 3 + end)
    assert not stored.has_source(text * 3 + "2")
    assert not stored.was_bought_by(text * 3 + "2")


def test_nobody_is_nobody() -> None:
    """Breaks if two pictures without a run key pass as bought by the same run."""
    assert not replace(MINE, run_key="").was_bought_by("")
