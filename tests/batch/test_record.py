"""The task record: attempts only grow, an outcome stays, and every version that was released loads."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.record import Attempt, AttemptOutcome, Failure, RunEnd, TaskRecord, may_take_over

FIXTURES = Path(__file__).parent / "fixtures"


def attempt(n: int = 1, **changes: object) -> Attempt:
    """An attempt."""
    known = {"n": n, "task_uuid": UUID(int=n), "staging": f"gs://b/s-{n}.jpg", "run_key": "run", "submit_timeout": 60.0}
    return Attempt.model_validate(known | changes)


def record(*attempts: Attempt) -> TaskRecord:
    """A record of these attempts."""
    return TaskRecord(
        identity="i",
        content_key="c",
        source="gs://a/cat.png",
        destination="gs://b/cat.jpg",
        parameters={"model": "runware:500@1"},
        owner="me",
        owner_since=100.0,
        attempts=attempts,
    )


def test_an_attempt_begins_only_after_the_outcome_of_the_last() -> None:
    """Two open attempts may be two purchases."""
    with pytest.raises(ValueError, match="still open"):
        record(attempt(1)).begun(attempt(2))
    assert len(record(attempt(1, outcome="failed")).begun(attempt(2)).attempts) == 2


@pytest.mark.parametrize("n", [1, 3])
def test_attempts_have_no_gap(n: int) -> None:
    """A gap, or a second first, would be a UUID that nobody looks up."""
    with pytest.raises(ValueError, match="cannot follow"):
        record(attempt(1, outcome="failed")).begun(attempt(n))


def test_an_outcome_stays_but_for_a_better_one() -> None:
    """A late failure never hides a delivered picture; a picture that turned up ends a lost attempt well."""
    delivered = record(attempt()).ended(1, "delivered", 5.0, cost_microusd=1300)
    assert delivered.ended(1, "failed", 9.0, failure=Failure(kind="provider", message="late")) == delivered
    assert delivered.ended(1, "lost", 9.0, failure=Failure(kind="lost", message="late")) == delivered
    lost = record(attempt()).ended(1, "lost", 5.0)
    found = lost.ended(1, "recovered", 9.0, cost_microusd=1300).last
    assert found is not None
    assert (found.outcome, found.cost_microusd, found.failure) == ("recovered", 1300, None)


def test_a_known_cost_is_not_forgotten() -> None:
    """The second delivery of a picture costs nothing and knows nothing of its price."""
    again = record(attempt()).ended(1, "delivered", 5.0, cost_microusd=1300).ended(1, "recovered", 9.0).last
    assert again is not None
    assert again.cost_microusd == 1300


def test_only_the_only_post_can_be_taken_back() -> None:
    """A refusal of the second POST says nothing of the first, which may have been accepted."""
    once = record(attempt(sent_at=1.0, last_sent_at=1.0))
    taken_back = once.refused(1).last
    assert taken_back is not None
    assert taken_back.sent_at is None
    twice = record(attempt(sent_at=1.0, last_sent_at=2.0))
    assert twice.refused(1) == twice
    known = once.acknowledged(1, 3.0)
    assert known.refused(1) == known


def test_a_lost_attempt_opens_again_when_it_is_seen() -> None:
    """And only a lost one."""
    lost = record(attempt()).ended(1, "lost", 5.0, failure=Failure(kind="lost", message="?"))
    opened = lost.reopened(1).last
    assert opened is not None
    assert (opened.outcome, opened.failure) == (None, None)
    done = record(attempt()).ended(1, "delivered", 5.0)
    assert done.reopened(1) == done


class TestTurnedAway:
    """One run's POST is answered with a failure, and the service takes another run's POST of the same task."""

    FAILURE = Failure(kind="provider", message="It failed.", retryable=True)

    def test_what_the_service_has_taken_is_not_ended_by_it(self) -> None:
        """Else the image is bought again while its picture is made."""
        taken = record(attempt(sent_at=1.0, last_sent_at=1.0, acknowledged_at=2.0))
        assert taken.ended(1, "failed", 3.0, failure=self.FAILURE) == taken

    def test_it_is_open_again_when_the_service_knows_it(self) -> None:
        """As long as nobody has bought another."""
        away = record(attempt(sent_at=1.0, last_sent_at=1.0)).ended(1, "failed", 3.0, failure=self.FAILURE)
        known = away.acknowledged(1, 4.0).attempt(1)
        assert (known.outcome, known.failure, known.ended_at, known.acknowledged_at) == (None, None, None, 4.0)
        followed = record(*away.attempts, attempt(2))
        assert followed.acknowledged(1, 4.0) == followed

    @pytest.mark.parametrize("outcome", ["failed", "lost"])
    def test_what_became_of_the_other_post_counts(self, outcome: AttemptOutcome) -> None:
        """Else what it cost is in nobody's sum, and what was lost is bought again without a question."""
        away = record(attempt(sent_at=1.0, last_sent_at=1.0)).ended(1, "failed", 3.0, failure=self.FAILURE)
        known = away.ended(1, outcome, 5.0, acknowledged_at=4.0, cost_microusd=1300).attempt(1)
        assert (known.outcome, known.acknowledged_at, known.cost_microusd) == (outcome, 4.0, 1300)

    def test_a_failure_that_a_look_up_told_stays(self) -> None:
        """The service knew the task: there is nothing else to be learned."""
        failed = record(attempt()).ended(1, "failed", 3.0, acknowledged_at=2.0, failure=self.FAILURE)
        assert failed.ended(1, "lost", 5.0, acknowledged_at=2.0) == failed
        assert failed.acknowledged(1, 6.0) == failed


def test_a_change_touches_the_attempt_it_names_and_no_other() -> None:
    """What was seen of the first attempt must never be written down for the second, which another run began since."""
    two = record(attempt(1, outcome="failed"), attempt(2, sent_at=1.0, last_sent_at=1.0))
    failure = Failure(kind="provider", message="of the first")
    assert two.ended(1, "failed", 9.0, failure=failure) == two
    assert two.acknowledged(1, 9.0).attempt(2) == two.attempt(2)
    assert two.refused(1) == two
    assert two.ended(1, "recovered", 9.0).attempt(2) == two.attempt(2)
    lost = record(attempt(1, outcome="lost"), attempt(2))
    assert lost.reopened(1) == lost


def test_who_pays_is_decided_by_the_first_acknowledgement() -> None:
    """A later look that finds the task known says nothing of whether it was before our first POST."""
    adopted = record(attempt()).acknowledged(1, 5.0, adopted=True)
    assert adopted.attempt(1).adopted
    assert adopted.acknowledged(1, 6.0).attempt(1).adopted
    ours = record(attempt()).acknowledged(1, 5.0)
    assert not ours.attempt(1).adopted
    assert ours.acknowledged(1, 6.0, adopted=True) == ours


def test_an_ended_attempt_is_not_sent_again() -> None:
    """Its UUID is used up."""
    with pytest.raises(ValueError, match="has ended"):
        record(attempt(outcome="failed")).sent_again(1, 1.0, submit_timeout=60.0, endpoint_expires_at=None)
    with pytest.raises(ValueError, match="no attempt"):
        record().acknowledged(1, 1.0)


def test_the_first_post_keeps_its_time() -> None:
    """The window in which a UUID may be sent again counts from the first POST."""
    sent = record(attempt()).sent_again(1, 10.0, submit_timeout=30.0, endpoint_expires_at=99.0)
    again = sent.sent_again(1, 20.0, submit_timeout=30.0, endpoint_expires_at=109.0).last
    assert again is not None
    assert (again.sent_at, again.last_sent_at, again.endpoint_expires_at) == (10.0, 20.0, 109.0)


@given(
    sent=st.none() | st.floats(100, 200),
    acknowledged=st.booleans(),
    ended=st.booleans(),
    now=st.floats(0, 500),
    lease=st.floats(0, 60),
)
def test_nobody_takes_over_while_a_post_may_be_on_its_way(
    *, sent: float | None, acknowledged: bool, ended: bool, now: float, lease: float
) -> None:
    """Else the old owner's POST and the new one's would race."""
    one = attempt(
        sent_at=sent,
        last_sent_at=sent,
        acknowledged_at=sent if acknowledged else None,
        outcome="failed" if ended else None,
    )
    since = may_take_over(record(one), now, lease)
    if ended:
        assert since == now
    elif sent is None:
        assert since == 100.0 + lease
    elif acknowledged:
        assert since == float("inf")
    else:
        assert since == sent + lease + 60.0
    assert may_take_over(record(), now, lease) == 100.0 + lease


def test_rounds_count_their_own_purchases() -> None:
    """max_attempts is a number a round, over all tries, and not over other runs."""
    made = record(
        attempt(1, outcome="failed"),
        attempt(2, outcome="failed", round=1),
        attempt(3, outcome="failed", run_key="other", round=1),
        attempt(4, round=1),
    )
    assert (made.attempts_in("run", 0), made.attempts_in("run", 1), made.attempts_in("other", 1)) == (1, 2, 1)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("task_record_*.json")), ids=lambda path: path.stem)
def test_every_released_record_loads_and_keeps_what_it_does_not_know(path: Path) -> None:
    """Workers of two versions write the same record: what the newer one added must survive the older one."""
    stored = json.loads(path.read_text())
    loaded = TaskRecord.model_validate(stored)
    written = json.loads(loaded.acknowledged(1, 1.0).model_dump_json())
    assert stored.items() <= {**written, "attempts": stored["attempts"], "runs": stored["runs"]}.items()
    assert all(end.items() <= written["runs"][name].items() for name, end in stored["runs"].items())
    assert (
        stored["attempts"][0].items()
        <= {**written["attempts"][0], "acknowledged_at": stored["attempts"][0]["acknowledged_at"]}.items()
    )


def test_the_end_of_a_run_is_kept_by_run() -> None:
    """A retry repeats the end of its own run, not of another."""
    one = RunEnd(round=0, max_tries=1, outcome="delivered", ended_at=1.0, result={"uri": "gs://b/cat.jpg"})
    two = RunEnd(round=0, max_tries=1, outcome="done", ended_at=2.0)
    both = record(attempt()).run_ended("a", one).run_ended("b", two)
    assert both.runs == {"a": one, "b": two}


def test_who_owns_it_is_changed_with_its_time() -> None:
    """The lease of a new owner counts from when it became one; that of the old one does not begin anew."""
    mine = record()
    assert mine.owned("me", 999.0) == mine
    theirs = mine.owned("you", 999.0)
    assert (theirs.owner, theirs.owner_since) == ("you", 999.0)
    assert theirs.attempts == mine.attempts


def test_a_renewed_claim_is_as_old_as_its_renewal() -> None:
    """A POST that has not left yet leaves later; the first of two keeps its time."""
    once = record(attempt(1, outcome="failed"), attempt(2, sent_at=5.0, last_sent_at=5.0)).renewed(2, 9.0)
    assert (once.attempt(2).sent_at, once.attempt(2).last_sent_at) == (9.0, 9.0)
    assert once.attempt(1) == attempt(1, outcome="failed")
    twice = record(attempt(sent_at=5.0, last_sent_at=7.0)).renewed(1, 9.0)
    assert (twice.attempt(1).sent_at, twice.attempt(1).last_sent_at) == (5.0, 9.0)
    with pytest.raises(ValueError, match=r"^attempt 1 has ended: failed$"):
        record(attempt(outcome="failed")).renewed(1, 9.0)


def test_each_change_writes_all_that_it_is_about() -> None:
    """And nothing else: every field of the attempt is compared."""
    sent = record(attempt()).sent_again(1, 10.0, submit_timeout=30.0, endpoint_expires_at=99.0)
    assert sent == record(attempt(sent_at=10.0, last_sent_at=10.0, submit_timeout=30.0, endpoint_expires_at=99.0))
    at_zero = record(attempt(sent_at=0.0)).sent_again(1, 10.0, submit_timeout=30.0, endpoint_expires_at=None)
    assert at_zero == record(attempt(sent_at=0.0, last_sent_at=10.0, submit_timeout=30.0))
    assert sent.refused(1) == record(attempt(submit_timeout=30.0, endpoint_expires_at=99.0))
    known = sent.acknowledged(1, 11.0)
    assert known.attempt(1) == sent.attempt(1).model_copy(update={"acknowledged_at": 11.0})
    assert known.acknowledged(1, 12.0) == known
    failure = Failure(kind="delivery", message="kept")
    ended = known.ended(1, "undelivered", 12.0, failure=failure, cost_microusd=0, kept="gs://b/kept.jpg")
    changed = {"outcome": "undelivered", "ended_at": 12.0, "failure": failure, "cost_microusd": 0}
    assert ended.attempt(1) == known.attempt(1).model_copy(update={**changed, "kept": "gs://b/kept.jpg"})
    assert ended.ended(1, "delivered", 13.0).attempt(1).cost_microusd == 0
    assert ended.refused(1) == ended
    lost = known.ended(1, "lost", 12.0, failure=failure, cost_microusd=7)
    assert lost.reopened(1).attempt(1) == known.attempt(1).model_copy(update={"cost_microusd": 7})


def test_who_was_known_before_our_first_post_stays_so() -> None:
    """Its cost is somebody else's, whatever is heard later."""
    assert record(attempt()).acknowledged(1, 5.0, adopted=True).attempt(1).adopted
    assert not record(attempt()).acknowledged(1, 5.0).attempt(1).adopted
    assert record(attempt(adopted=True)).acknowledged(1, 5.0).attempt(1).adopted


def test_what_ends_and_was_never_sent_is_somebody_elses() -> None:
    """It was bought under the same UUID, and they pay it; what was sent stays as it was known."""
    sent = attempt(sent_at=1.0, last_sent_at=1.0)
    assert record(attempt()).ended(1, "delivered", 5.0).attempt(1).adopted
    assert not record(sent).ended(1, "delivered", 5.0).attempt(1).adopted
    assert record(sent.model_copy(update={"adopted": True})).ended(1, "delivered", 5.0).attempt(1).adopted


def test_the_last_attempt_counts() -> None:
    """And a new record is of this version."""
    assert record(attempt(1, outcome="failed"), attempt(2)).last == attempt(2)
    assert record().last is None
    assert record().v == 1


def test_a_change_in_the_middle_keeps_what_is_around_it() -> None:
    """Neither an earlier nor a later attempt is lost."""
    ended = [attempt(n, outcome="failed") for n in (1, 2, 3)]
    changed = record(*ended).ended(2, "recovered", 9.0)
    assert changed.attempts == (ended[0], changed.attempt(2), ended[2])
    assert changed.attempt(2).outcome == "recovered"


def test_what_cannot_be_is_said() -> None:
    """With the numbers: it is read in the log of somebody who has a damaged record."""
    with pytest.raises(ValueError, match=r"^attempt 3 cannot follow attempt 1$"):
        record(attempt(outcome="failed")).begun(attempt(3))
    with pytest.raises(ValueError, match=r"^attempt 2 cannot follow attempt 0$"):
        record().begun(attempt(2))
    assert record().begun(attempt(1)).attempts == (attempt(1),)
    with pytest.raises(ValueError, match=r"^attempt 1 is still open: buying again might pay twice$"):
        record(attempt()).begun(attempt(2))
    for n in (0, 2):
        with pytest.raises(ValueError, match=rf"^the record has no attempt {n}$"):
            record(attempt()).attempt(n)
    with pytest.raises(ValueError, match="attempts are counted from 1 without a gap"):
        record(attempt(2))
    with pytest.raises(ValueError, match="attempts are counted from 1 without a gap"):
        record(attempt(1), attempt(1))
