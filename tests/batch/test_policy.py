"""What an occupied name means, and what a later try of a round may do."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.policy import (
    IfExists,
    Occupant,
    OnLost,
    Round,
    Verdict,
    judge_destination,
    may_buy_again,
    round_of,
)
from airflow_provider_clarity.batch.record import Attempt, AttemptOutcome, Failure, RunEnd

NOT_OURS = Occupant()
SAME = Occupant("key", "other run")
OURS_NOW = Occupant("key", "this run")
OTHER = Occupant("other key", "other run")


@pytest.mark.parametrize(
    ("occupant", "skip", "update", "overwrite", "fail"),
    [
        (None, "buy", "buy", "buy", "buy"),
        (SAME, "done", "done", "buy", "error"),
        (OURS_NOW, "done", "done", "done", "done"),
        (OTHER, "stale", "buy", "buy", "error"),
        (NOT_OURS, "foreign", "foreign", "buy", "error"),
    ],
)
def test_the_table_of_if_exists(
    occupant: Occupant | None, skip: Verdict, update: Verdict, overwrite: Verdict, fail: Verdict
) -> None:
    """The table of the design, cell by cell: a wrong cell pays twice or overwrites what is not ours."""
    wanted: dict[IfExists, Verdict] = {"skip": skip, "update": update, "overwrite": overwrite, "fail": fail}
    for if_exists, verdict in wanted.items():
        assert judge_destination(occupant, content_key="key", if_exists=if_exists, run_key="this run") == verdict


def end(round_number: int = 0, max_tries: int = 3) -> RunEnd:
    """A round that ended."""
    return RunEnd(round=round_number, max_tries=max_tries, outcome="failed", ended_at=1.0)


@given(st.integers(0, 5), st.integers(0, 20), st.integers(0, 20))
def test_only_a_clear_opens_the_next_round(number: int, then: int, now: int) -> None:
    """Automatic retries of an ended round repeat it; a clear raises max_tries and begins anew."""
    ended = end(number, then)
    assert round_of(ended, now) == (Round(number + 1) if now > then else Round(number, ended))


@pytest.mark.parametrize(
    ("then", "now", "opens"), [(5.0, 5.0, False), (5.0, 6.0, True), (None, 6.0, False), (5.0, None, False)]
)
def test_another_run_under_the_old_id_opens_the_next_round(
    then: float | None, now: float | None, *, opens: bool
) -> None:
    """A DAG run that was deleted and comes back has the old max_tries: only when it began tells the two apart."""
    ended = end(2).model_copy(update={"run_started": then})
    assert round_of(ended, 3, now) == (Round(3, unasked=True) if opens else Round(2, ended))


def test_the_first_round_is_number_zero() -> None:
    """Nothing ended, so nothing is repeated."""
    assert round_of(None, 3) == Round(0)


def attempt(outcome: AttemptOutcome, *, round_number: int = 0, run_key: str = "run", retryable: bool = True) -> Attempt:
    """An ended attempt."""
    return Attempt(
        n=1,
        task_uuid=UUID(int=0),
        staging="gs://b/s",
        run_key=run_key,
        round=round_number,
        submit_timeout=60,
        outcome=outcome,
        failure=Failure(kind="provider", message="", retryable=retryable) if outcome == "failed" else None,
    )


def allowed(
    last: Attempt,
    *,
    in_round: int = 1,
    round_number: int = 0,
    on_lost: OnLost = "fail",
    followed: bool = False,
    asked: bool = False,
    unasked: bool = False,
) -> bool:
    """Ask for this run, three purchases a round."""
    return may_buy_again(
        last,
        run_key="run",
        round_number=round_number,
        in_round=in_round,
        max_attempts=3,
        on_lost=on_lost,
        followed=followed,
        asked=asked,
        unasked=unasked,
    )


@pytest.mark.parametrize("outcome", ["lost", "failed"])
def test_a_run_that_came_back_asks_for_nothing(outcome: AttemptOutcome) -> None:
    """A database that was made anew gives its runs other times: nobody looked at what may have been paid."""
    delivery = Failure(kind="delivery", message="It never landed.")
    last = attempt(outcome).model_copy(update={"failure": delivery if outcome == "failed" else None})
    assert allowed(last, round_number=1, in_round=0)
    assert not allowed(last, round_number=1, in_round=0, unasked=True)
    assert allowed(last, round_number=1, in_round=0, unasked=True, asked=True)
    assert allowed(attempt("failed"), round_number=1, in_round=0, unasked=True)


def test_failures_are_bought_again_only_where_that_can_help() -> None:
    """A retryable failure within the number of attempts; any failure in the next round."""
    assert allowed(attempt("failed"))
    assert not allowed(attempt("failed"), in_round=3)
    assert not allowed(attempt("failed", retryable=False))
    assert allowed(attempt("failed", retryable=False), round_number=1, in_round=0)
    assert allowed(attempt("failed", retryable=False, run_key="other"), in_round=0)


def test_lost_is_bought_again_only_when_a_person_asked() -> None:
    """By a clear, or by on_lost; not by another run, and not by a retry."""
    assert not allowed(attempt("lost"))
    assert not allowed(attempt("lost", run_key="other"), in_round=0)
    assert allowed(attempt("lost"), round_number=1, in_round=0)
    assert not allowed(attempt("lost", round_number=1), round_number=1)
    assert allowed(attempt("lost"), on_lost="buy_again")
    assert not allowed(attempt("lost"), on_lost="buy_again", in_round=3)


@pytest.mark.parametrize("outcome", ["delivered", "recovered", "superseded", "undelivered"])
def test_a_picture_that_is_gone_may_be_bought_again(outcome: AttemptOutcome) -> None:
    """Its output was deleted, and the service does not have it any more."""
    assert allowed(attempt(outcome), round_number=1, in_round=0)
    assert not allowed(attempt(outcome), in_round=3)


def test_what_was_paid_and_never_landed_is_bought_again_by_a_clear_only() -> None:
    """Else every day's run would pay for the same refused picture anew."""
    kept = attempt("failed", run_key="yesterday")
    assert kept.failure is not None
    kept = kept.model_copy(update={"failure": kept.failure.model_copy(update={"kind": "delivery"})})
    assert not allowed(kept, in_round=0)
    assert allowed(kept, in_round=0, round_number=1)


def test_nobody_followed_or_asked_unless_it_is_said() -> None:
    """Else a failure of another run would be ours, or a lost picture bought again unasked."""

    def bought(last: Attempt) -> bool:
        """Ask as a run that has made nothing."""
        return may_buy_again(last, run_key="run", round_number=0, in_round=0, max_attempts=3, on_lost="fail")

    assert bought(attempt("failed", run_key="other", retryable=False))
    assert not bought(attempt("lost", run_key="other"))


def test_who_followed_an_attempt_shares_its_end() -> None:
    """Four runs that wait for one purchase must not each buy another when it is refused for good."""
    assert not allowed(attempt("failed", run_key="other", retryable=False), in_round=0, followed=True)
    assert allowed(attempt("failed", run_key="other"), in_round=1, followed=True)
    assert not allowed(attempt("failed", run_key="other"), in_round=3, followed=True)


def test_the_row_of_a_dead_letter_asks_like_a_clear() -> None:
    """For what another run lost or could not land; once, since what this run bought in answer is its own."""
    assert allowed(attempt("lost", run_key="yesterday"), in_round=0, asked=True)
    assert not allowed(attempt("lost"), in_round=1, asked=True)
    assert not allowed(attempt("lost", run_key="yesterday"), in_round=3, asked=True)
