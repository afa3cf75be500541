"""What may be deleted: never the last of its kind, never what is unsettled, lost or not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.journal.closing import Summary
from airflow_provider_clarity.batch.record import Attempt, AttemptOutcome, TaskRecord
from airflow_provider_clarity.ledger.judging import (
    LEDGERS_ARE_KEPT,
    identity_and_attempt,
    judge_staging,
    ledger_may_go,
)
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import StoredObject
from airflow_provider_clarity.storage.uris import GsUri

IDENTITY = "a" * 64
OTHER = "b" * 64
OUTCOMES = (None, *get_args(AttemptOutcome))


def staged(identity: str = IDENTITY, n: int = 1) -> StoredObject:
    return StoredObject(GsUri("print", f"_clarity/staging/{identity}-{n}.jpg"), 7, 100)


def record(*outcomes: Any, identity: str = IDENTITY) -> TaskRecord:
    attempts = tuple(
        Attempt(
            n=n, task_uuid=task_uuid(identity, n), staging=str(staged(identity, n).uri), run_key="run",
            submit_timeout=60.0, outcome=outcome,
        )
        for n, outcome in enumerate(outcomes, 1)
    )  # fmt: skip
    return TaskRecord(
        identity=identity, content_key="c", source="gs://raw/a.png", destination="gs://print/a.jpg", parameters={},
        owner="o", owner_since=1.0, attempts=attempts,
    )  # fmt: skip


def final(identity: str = IDENTITY) -> Provenance:
    return Provenance("c", identity, None, "gs://raw/a.png")


@settings(deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=3),
    n=st.integers(1, 4),
    known=st.sampled_from([None, IDENTITY, OTHER]),
    there=st.sampled_from([None, IDENTITY, OTHER]),
    open_=st.sets(st.sampled_from([IDENTITY, OTHER])),
)
def test_only_the_staging_of_a_settled_attempt_of_a_delivered_image_may_go(
    outcomes: list[Any], n: int, known: str | None, there: str | None, open_: set[str]
) -> None:
    """The one place that says so; everything else is a name for why it stays."""
    stored = record(*outcomes, identity=known) if known is not None else None
    proven = final(there) if there is not None else None
    judged = judge_staging(staged(n=n), stored, proven, open_)
    outcome = outcomes[n - 1] if known == IDENTITY and n <= len(outcomes) else "no such attempt"
    may_go = (
        outcome in ("delivered", "recovered", "failed") and there == IDENTITY and IDENTITY not in open_
    )  # fmt: skip
    assert (judged == "settled") == may_go
    if IDENTITY in open_:
        assert judged == "in flight"
    elif outcome == "no such attempt":
        assert judged == "unknown"
    elif outcome is None:
        assert judged == "in flight"
    elif outcome == "lost":
        assert judged == "lost"
    elif not may_go:
        assert judged == "needed"


def test_a_picture_in_another_place_than_was_recorded_is_not_known() -> None:
    """A record says where an attempt was sent to; a file of the same name elsewhere is somebody's."""
    elsewhere = replace(staged(), uri=GsUri("print", f"other/staging/{IDENTITY}-1.jpg"))
    assert judge_staging(elsewhere, record("delivered"), final(), ()) == "unknown"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (f"_clarity/staging/{IDENTITY}-12.jpg", (IDENTITY, 12)),
        ("_clarity/staging/", ("", 0)),
        ("_clarity/staging/notes.txt", ("", 0)),
        ("_clarity/staging/-1.jpg", ("", 0)),
        ("_clarity/staging/a-².jpg", ("", 0)),
    ],
)
def test_a_name_in_staging_is_read(name: str, read: tuple[str, int]) -> None:
    """And one that is not ours leads to no record."""
    assert identity_and_attempt(name) == read


@given(
    over=st.booleans(),
    in_flight=st.integers(0, 2),
    ended=st.floats(0, 2 * LEDGERS_ARE_KEPT),
    written=st.floats(0, 2 * LEDGERS_ARE_KEPT),
)
def test_only_a_ledger_that_is_over_for_long_may_go(
    *, over: bool, in_flight: int, ended: float, written: float
) -> None:
    """What is not over says what is in flight; what is over may be asked for by a retry."""
    now = 2 * LEDGERS_ARE_KEPT
    summary = Summary(max_tries=1, ended_at=ended, planned=0, counts={}) if over else None
    may = ledger_may_go(summary, in_flight=in_flight, written_at=written, now=now)
    assert may == (over and not in_flight and max(ended, written) < now - LEDGERS_ARE_KEPT)
