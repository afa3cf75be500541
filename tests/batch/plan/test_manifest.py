"""The lines of a manifest, however they fall on the chunks they are read in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import PARAMETERS, Shelf

from airflow_provider_clarity.batch.plan.grammar import ManifestSource
from airflow_provider_clarity.batch.plan.manifest import read_lines
from airflow_provider_clarity.batch.plan.named import read_entries
from airflow_provider_clarity.batch.plan.wanted import Overrides, over
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.uris import GsUri

URI = GsUri("raw", "day.jsonl")


@settings(deadline=None)
@given(
    lines=st.lists(st.text(alphabet="aé\r", max_size=5), max_size=8),
    ends=st.booleans(),
    chunk=st.integers(1, 9),
    skip=st.integers(0, 8),
    stop=st.none() | st.integers(0, 60),
)
def test_lines_are_what_lies_between_the_newlines(
    lines: list[str],
    ends: bool,  # noqa: FBT001
    chunk: int,
    skip: int,
    stop: int | None,
) -> None:
    """Breaks if a row at the border of two reads is lost or cut, or cannot be found again by its place."""
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    data = text.encode()
    shelf = Shelf()
    generation = shelf.put(URI, data).generation
    found = list(read_lines(shelf, URI, generation, chunk=chunk))  # type: ignore[arg-type]
    expected = data.split(b"\n")
    assert [line.text for line in found] == (expected if expected[-1] else expected[:-1])
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(data[line.start : line.after - 1] == line.text for line in found)
    if skip < len(found):
        one = found[skip]
        rest = read_lines(shelf, URI, generation, start=one.start, number=one.number, chunk=chunk)  # type: ignore[arg-type]
        assert list(rest) == found[skip:]
    bounded = read_lines(shelf, URI, generation, end=stop, chunk=chunk)  # type: ignore[arg-type]
    assert list(bounded) == [line for line in found if stop is None or line.start < stop]


def test_a_manifest_that_goes_while_it_is_read_is_an_error() -> None:
    """Breaks if half a manifest passes for the whole."""
    shelf = Shelf()
    generation = shelf.put(URI, b"1\n2\n3\n").generation
    lines = read_lines(shelf, URI, generation, chunk=2)  # type: ignore[arg-type]
    assert next(lines).text == b"1"
    shelf.put(URI, b"4\n5\n6\n")
    with pytest.raises(ClarityInputError, match="was replaced or deleted"):
        list(lines)


def test_a_file_without_lines_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if a picture that is called .jsonl is read to its end."""
    monkeypatch.setattr("airflow_provider_clarity.batch.plan.manifest.LONGEST_LINE", 100)
    shelf = Shelf()
    generation = shelf.put(URI, b"x" * 1000).generation
    with pytest.raises(ClarityInputError, match=r"Line 1 of gs://raw/day.jsonl has more than"):
        list(read_lines(shelf, URI, generation, chunk=50))  # type: ignore[arg-type]
    assert shelf.reads < 5


def test_a_manifest_is_read_at_a_generation_or_not_at_all() -> None:
    """Breaks if a caller forgets which generation a plan was made from."""
    with pytest.raises(ValueError, match="at a generation"):
        next(read_entries(Shelf(), ManifestSource(URI), None))  # type: ignore[arg-type]


def test_what_rows_say_is_remembered_within_bounds() -> None:
    """Breaks if a million rows that all differ are all kept."""
    overrides = Overrides(PARAMETERS)
    for seed in range(1500):
        own = {"settings": {"seed": seed}}
        parameters, canonical = overrides.of(own)
        assert parameters == over(PARAMETERS, own)
        assert canonical["settings"] == {"seed": seed}
    assert len(overrides._known) <= 1000
    assert overrides.of({}) == (PARAMETERS, PARAMETERS.canonical())
