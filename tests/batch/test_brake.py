"""Whether anything more is bought where paid pictures do not land: a property over any order of ends."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.brake import IN_A_ROW, Brake
from airflow_provider_clarity.batch.record import Attempt, Failure

WHOSE = ("dag/today/task", 1)
DELIVERY = Failure(kind="delivery", message="It never landed.")
OTHER = Failure(kind="safety", message="It was refused.")


def attempt(*, sent: bool = True, run_key: str = WHOSE[0], round_: int = WHOSE[1]) -> Attempt:
    """An attempt."""
    return Attempt(
        n=1,
        task_uuid=UUID(int=1),
        staging="gs://b/s.jpg",
        run_key=run_key,
        round=round_,
        submit_timeout=60.0,
        sent_at=1.0 if sent else None,
    )


ENDS = st.sampled_from(
    [
        ("failed", DELIVERY, attempt()),
        ("failed", DELIVERY, attempt()),
        ("failed", DELIVERY, attempt()),
        ("failed", OTHER, attempt()),
        ("failed", DELIVERY, attempt(run_key="dag/yesterday/task")),
        ("failed", DELIVERY, attempt(round_=0)),
        ("failed", DELIVERY, attempt(sent=False)),
        ("failed", DELIVERY, attempt().model_copy(update={"outcome": "undelivered"})),
        ("failed", DELIVERY, attempt().model_copy(update={"outcome": "superseded"})),
        ("failed", DELIVERY, None),
        ("done", None, None),
        ("delivered", None, attempt()),
    ]
)


@given(st.lists(ENDS, max_size=60))
def test_it_is_pulled_by_so_many_in_a_row_and_by_nothing_else(ends: list[tuple[str, Failure, Attempt]]) -> None:
    """What is free, another's or of another kind neither counts nor interrupts; one that lands does."""
    brake, row = Brake(), 0
    for outcome, failure, last in ends:
        brake = brake.after(outcome, failure, last, WHOSE)
        if row < IN_A_ROW:
            ours = last is not None and last == attempt()
            row = 0 if outcome == "delivered" else row + (ours and failure is DELIVERY)
        assert (brake.in_vain, brake.pulled) == (row, row >= IN_A_ROW)


@pytest.mark.parametrize("outcome", ["delivered", "recovered"])
def test_a_picture_that_lands_opens_the_way(outcome: str) -> None:
    """Fetched or uploaded."""
    assert Brake(IN_A_ROW - 1).after(outcome, None, None, WHOSE) == Brake()


@pytest.mark.parametrize(("stored", "in_vain"), [(3, 3), (None, 0), ("3", 0), (True, 0), (-1, 0), ({}, 0)])
def test_a_count_that_cannot_be_read_is_none(stored: object, in_vain: int) -> None:
    """It is advice: what an older or a newer version wrote there is no error."""
    assert Brake.from_json(stored) == Brake(in_vain)


def test_it_stays_pulled() -> None:
    """What was in flight and lands all the same does not buy the rest of a plan."""
    assert Brake(IN_A_ROW).after("delivered", None, attempt(), WHOSE).pulled
