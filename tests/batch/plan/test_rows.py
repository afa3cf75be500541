"""The line of every JSONL that the package reads or writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.rows import Row, RowError, read_row, read_rows, write_row
from airflow_provider_clarity.exceptions import ClarityInputError

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
rows = st.builds(
    lambda extra, **known: Row(**known, **extra),
    extra=st.dictionaries(texts.filter(lambda key: key not in Row.model_fields and not key.startswith("_")), values),
    source=st.text(min_size=1, max_size=9),
    generation=st.none() | st.integers(0, 2**62),
    destination=st.none() | texts,
    upscale_factor=st.none() | st.floats(1, 16),
    output_format=st.none() | texts,
    output_quality=st.none() | st.integers(),
    settings=st.none() | st.dictionaries(texts, values, max_size=2),
    attempt=st.none() | st.integers(0, 9),
    outcome=st.none() | texts,
    error=st.none() | st.builds(RowError, kind=texts, code=st.none() | texts, message=texts),
    cost_usd=st.none() | st.floats(0, 1),
    width=st.none() | st.integers(1, 9),
)


@settings(deadline=None)
@given(rows)
def test_what_is_written_is_read(row: Row) -> None:
    """Breaks if the dead letter is no valid source, or a key that somebody added is lost on its way."""
    line = write_row(row)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert read_row(line.encode(), "line 1") == row


def test_unknown_keys_are_carried() -> None:
    """Breaks if the caller's own key of an image does not come back in the result."""
    row = read_row('{"source": "gs://raw/a.jpg", "sku": {"id": [1, null]}}', "line 1")
    assert row is not None
    assert row.extra == {"sku": {"id": [1, None]}}
    assert json.loads(write_row(row)) == {"v": 1, "source": "gs://raw/a.jpg", "sku": {"id": [1, None]}}


def test_a_null_in_settings_stays() -> None:
    """Breaks if a row that takes a setting of the operator's away no longer does once it was in a dead letter."""
    row = read_row('{"source": "gs://raw/a.jpg", "settings": {"strength": null}}', "line 1")
    assert row is not None
    assert row.own_parameters == {"settings": {"strength": None}}
    assert json.loads(write_row(row))["settings"] == {"strength": None}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Line 3 of x is not JSON"),
        ('{"source": "a", "cost_usd": NaN}', "not JSON"),
        ('["gs://raw/a.jpg"]', "no JSON object"),
        ("{}", "source: Field required"),
        ('{"source": ""}', "source: "),
        ('{"source": "a", "attempt": -1}', "attempt: "),
        ('{"source": "a", "upscale_factor": "2"}', "upscale_factor: "),
        ('{"source": "a", "error": {"message": 1}}', r"error\.kind: Field required; error\.message"),
        ('{"source": "a", "v": 2}', "version 2, which a newer release"),
        ('{"source": "a", "v": "1"}', "v: "),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_and_its_values_are_not(line: str, why: str) -> None:
    """Breaks if a bad row among a million must be searched for, or a newer version's row is bought by chance."""
    with pytest.raises(ClarityInputError, match=why):
        list(read_rows(['{"source": "a"}', "", line], "x"))


def test_no_message_holds_a_value() -> None:
    """Breaks if a presigned URL in a row reaches the log."""
    for line in ('{"source": "https://a/b?sig=s3cret", "width": "s3cret"}', '{"source": ["s3cret"]}', '"s3cret"'):
        with pytest.raises(ClarityInputError) as refused:
            read_row(line, "line 1")
        assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(Row(source="https://a/b?sig=s3cret"))


def test_a_generation_may_be_a_text_of_digits() -> None:
    """Breaks if a manifest made from Cloud Storage's own JSON is refused."""
    row = read_row('{"source": "gs://raw/a.jpg", "generation": "1700000000000001"}', "line 1")
    assert row is not None
    assert row.generation == 1700000000000001


def test_half_a_surrogate_pair_can_be_written() -> None:
    """Breaks if one strange text makes the whole manifest unwritable."""
    row = read_row(r'{"source": "a", "note": "\ud800 é"}', "line 1")
    assert row is not None
    assert read_row(write_row(row).encode(), "line 1") == row


def test_who_asks_for_another_purchase() -> None:
    """Breaks if rows that were never submitted count as asked for, or lost ones are never bought again."""
    asked = [outcome for outcome in ("failed", "lost", "not_submitted", "delivered", None)
             if Row(source="a", outcome=outcome).asked]  # fmt: skip
    assert asked == ["failed", "lost"]


def test_rows_of_each_release_load() -> None:
    """Breaks if a dead letter of an older release cannot be given as a source any more."""
    with (FIXTURES / "rows_1.jsonl").open("rb") as lines:
        found = list(read_rows(lines))
    assert [(row.source, row.outcome, row.attempt, row.asked) for row in found] == [
        ("gs://raw/a.jpg", "delivered", 1, False),
        ("gs://raw/b.jpg", "failed", 3, True),
        ("gs://raw/c.jpg", "not_submitted", 0, False),
        ("https://cdn.example.com/d.jpg", None, None, False),
    ]
    assert found[1].error == RowError(kind="lost", code="timeout", message="Nobody knows.")
    assert (found[3].extra, found[3].own_parameters) == (
        {"sku": "d-1"},
        {"upscale_factor": 2.0, "output_format": "PNG", "output_quality": 90, "settings": {"strength": 0.3}},
    )
