"""The stored form: what is written reads back equal, released versions load, a newer one is not guessed at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from journal_runs import RUNS, UNTIMED, segments_of

from airflow_provider_clarity.batch.journal.lines import decode, decode_header, encode
from airflow_provider_clarity.batch.journal.state import RunState, replayed, restored
from airflow_provider_clarity.exceptions import ClarityLostError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "journal_1"


@UNTIMED
@given(run=RUNS)
def test_what_is_written_reads_back_equal(run: Any) -> None:
    """A successor knows what its predecessor knew, to the last bit of a time."""
    for segment in segments_of(run, checkpoints=lambda _sequence: True):
        data = encode(segment)
        assert decode(data, "gs://b/s") == segment
        assert decode_header(data[:-1], "gs://b/s") == segment.header
        assert all(json.loads(line) for line in data.decode().split("\n")[:-1])


def test_every_released_segment_loads() -> None:
    """A run that a worker of an older version began is gone on with by a newer one."""
    state = RunState()
    paths = sorted(FIXTURES.glob("*.jsonl"))
    assert len(paths) == 3
    for path in paths:
        segment = decode(path.read_bytes(), path.name)
        state = replayed(state, segment)
        if segment.kept is not None:
            assert restored(segment) == state
    assert state.released
    assert state.counts == {"delivered": 1, "done": 2, "failed.safety": 1}
    assert [item.position for item in state.open.values()] == [3]
    item = next(iter(state.open.values()))
    assert item.record.attempts[0].model_extra == {"from_a_later_version": 7}
    assert (state.totals.spent_microusd, state.totals.in_flight, state.totals.purchases) == (2600, 1, 3)
    assert state.learned == {"window": {"v": 1, "size": 4}}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"v":1', '"v":2', 1),
        lambda text: text.replace('"v":1', '"w":1', 1),
        lambda text: text.replace('"v":1', '"v":"1"', 1),
        lambda text: text.replace('"seq":1', '"seq":0', 1),
        lambda text: text[:-20],
        lambda text: text.replace('"kind":"state"', '"kind":"mood"'),
        lambda text: "[]\n" + text,
        lambda _text: "7\n",
        lambda text: "\n" + text,
        lambda _text: "",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_not_guessed_at(change: Any) -> None:
    """Who cannot read what was bought buys nothing."""
    text = encode(segments_of([], checkpoints=lambda _sequence: True)[0]).decode()
    with pytest.raises(ClarityLostError, match=r"gs://b/s.*cannot be read.*Nothing was sent") as raised:
        decode(change(text).encode(), "gs://b/s")
    assert not raised.value.retryable


def test_bytes_that_are_no_text_are_damage() -> None:
    """A truncated or foreign object must not end the try with a traceback."""
    with pytest.raises(ClarityLostError):
        decode(b"\xff\xfe{}", "gs://b/s")


def test_a_kind_of_line_that_is_not_known_is_passed_over() -> None:
    """A newer version may add one under the same version, if nobody is worse off for not reading it."""
    data = encode(segments_of([("work", [])])[1])
    segment = decode(data + b'{"kind":"weather","sun":true}\n', "gs://b/s")
    assert segment.lines == ()
