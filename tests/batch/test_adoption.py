"""What is done next for one image, above all: when something is bought, and when not.

The properties drive ``next_action`` over arbitrary views; the examples name the ways through it that users live.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch import adoption
from airflow_provider_clarity.batch.adoption import Look, Rules, View, next_action
from airflow_provider_clarity.batch.policy import may_buy_again
from airflow_provider_clarity.batch.record import Attempt, Failure

NOW = 1_000_000.0
RULES = Rules()
RUN = "dag/run/task"
SENT = NOW - 10
FAILED = Failure(kind="provider", message="no", retryable=True)
FINAL = Failure(kind="safety", message="no")
GAVE_UP = Failure(kind="timeout", message="no", retryable=True)


def attempt(**changes: object) -> Attempt:
    """An attempt of this run, sent ten seconds ago, of which nothing is known."""
    known: dict[str, object] = {
        "n": 1,
        "task_uuid": UUID("3f0c1c1e-5c1d-4c1c-9c1c-1c1c1c1c1c1c"),
        "staging": "gs://b/_clarity/staging/x-1.jpg",
        "run_key": RUN,
        "submit_timeout": 60.0,
        "sent_at": SENT,
        "last_sent_at": SENT,
        "endpoint_expires_at": SENT + 604_800,
    }
    return Attempt.model_validate(known | changes)


def look(status: adoption.LookStatus, **changes: object) -> Look:
    """An answer of just now."""
    return replace(Look(status, NOW - 1), **changes)  # type: ignore[arg-type]


def view(**changes: object) -> View:
    """A view of an image that is to be bought and was sent once; nothing lies in staging."""
    start = View(RUN, verdict="buy", verdict_at=NOW, staged="empty", staged_at=NOW - 1, attempt=attempt(), in_round=1)
    return replace(start, **changes)  # type: ignore[arg-type]


def ask(changed: View, now: float = NOW, rules: Rules = RULES) -> adoption.Action:
    """Ask for the next action."""
    return next_action(changed, now, rules)


class TestBeforeAnythingIsPaid:
    def test_the_destination_is_looked_at_first(self) -> None:
        """Else what is done would be bought again."""
        assert ask(View(RUN)) == adoption.LookAtDestination()

    @pytest.mark.parametrize(
        ("verdict", "outcome"), [("done", "done"), ("stale", "stale"), ("foreign", "foreign"), ("error", "exists")]
    )
    def test_an_occupied_destination_ends_it(self, verdict: str, outcome: str) -> None:
        """Else a picture would be bought that has no place, or is there."""
        assert ask(view(verdict=verdict, attempt=None)) == adoption.Finish(outcome)  # type: ignore[arg-type]
        ended = attempt(outcome="delivered")
        assert ask(view(verdict=verdict, attempt=ended)) == adoption.Finish(outcome)  # type: ignore[arg-type]

    @pytest.mark.parametrize("verdict", ["stale", "foreign", "error"])
    def test_what_is_on_its_way_is_seen_to_its_end(self, verdict: str) -> None:
        """It is paid: whatever has come to lie at its name meanwhile, the picture is waited for and kept."""
        assert ask(view(verdict=verdict)) == adoption.AskResponse()
        assert ask(view(verdict=verdict, staged="ready", response=look("success", priced=True))) == adoption.Promote()
        silent = view(verdict=verdict, response=look("silent"), details=look("silent"), look_at=NOW + 1)
        assert ask(silent) == adoption.Wait(NOW + 1)

    def test_what_nobody_bought_is_bought(self) -> None:
        """The main way."""
        assert ask(View(RUN, verdict="buy")) == adoption.Buy(1)

    def test_a_slow_pace_is_kept(self) -> None:
        """Else a 429 would be answered by the next POST."""
        assert ask(View(RUN, verdict="buy", send_at=NOW + 3)) == adoption.Wait(NOW + 3)


class TestAPictureInStaging:
    def test_it_is_promoted_once_its_cost_was_asked_for(self) -> None:
        """The final object says for ever what it cost; it cannot be asked later."""
        here = view(staged="ready", staged_at=NOW - 1)
        assert ask(here) == adoption.AskResponse()
        assert ask(replace(here, response=look("success"))) == adoption.AskDetails()
        assert ask(replace(here, response=look("success", priced=True))) == adoption.Promote()
        assert ask(replace(here, response=look("silent"), details=look("silent"))) == adoption.Promote()

    def test_an_answer_from_before_the_picture_was_there_is_no_answer(self) -> None:
        """While it was silent about the task it said nothing of its cost; now it may."""
        assert ask(view(staged="ready", response=look("silent", at=NOW - 3))) == adoption.AskResponse()

    def test_a_service_that_does_not_answer_does_not_hold_it_up(self) -> None:
        """A cost is worth a question, not a picture."""
        assert ask(view(staged="ready", asked_in_vain=True)) == adoption.Promote()

    def test_a_known_cost_is_not_asked_for_again(self) -> None:
        """A record that knows the cost spares the look-up."""
        assert ask(view(staged="ready", attempt=attempt(cost_microusd=1300))) == adoption.Promote()


class TestAnOpenAttempt:
    def test_staging_is_looked_at_before_the_service_is_asked(self) -> None:
        """The picture itself is the best answer."""
        assert ask(view(staged=None)) == adoption.LookAtStaging()

    def test_the_service_is_asked_when_a_look_is_due(self) -> None:
        """Else a task would be polled without pause, or never."""
        assert ask(view(look_at=NOW + 1)) == adoption.Wait(NOW + 1)
        assert ask(view(look_at=NOW)) == adoption.AskResponse()
        running = view(response=look("processing"), look_at=NOW + 2)
        assert ask(running) == adoption.Wait(NOW + 2)
        assert ask(running, NOW + 2) == adoption.AskResponse()

    def test_a_success_looks_into_staging_again(self) -> None:
        """The upload may have come since the last look."""
        assert ask(view(response=look("success"), succeeded_at=NOW - 0.5)) == adoption.LookAtStaging()

    def test_an_upload_that_is_late_is_waited_for(self) -> None:
        """Success may come before the PUT; fetching at once would race with it."""
        late = view(response=look("success", image_url=True), succeeded_at=NOW - 2, staged_at=NOW)
        assert ask(late) == adoption.Wait(NOW + 1)
        assert ask(late, NOW + 1) == adoption.LookAtStaging()

    def test_an_upload_that_never_came_is_fetched(self) -> None:
        """A paid picture is never lost because its upload was refused."""
        refused = view(response=look("success", image_url=True), succeeded_at=NOW - 40, staged_at=NOW - 1)
        assert ask(refused) == adoption.Recover()
        assert ask(replace(refused, response=look("success"))) == adoption.AskDetails()
        assert (
            ask(replace(refused, response=look("success"), details=look("success", image_url=True)))
            == adoption.Recover()
        )

    def test_another_run_may_have_promoted_it(self) -> None:
        """Staging is empty after a promotion too: fetching the picture again would be for nothing."""
        empty = view(response=look("success", image_url=True), succeeded_at=NOW - 2, staged_at=NOW, verdict_at=NOW - 1)
        assert ask(empty) == adoption.LookAtDestination()

    def test_staging_is_looked_at_once_more_at_the_end_of_the_grace(self) -> None:
        """An upload in the last second of the grace still counts."""
        over = view(response=look("success", image_url=True), succeeded_at=NOW - 30, staged_at=NOW - 5)
        assert ask(over) == adoption.LookAtStaging()

    def test_an_upload_that_was_never_asked_for_is_not_waited_for(self) -> None:
        """Else every picture that the worker fetches would lie with the service for another half minute."""
        own = attempt(endpoint_expires_at=None)
        seen = view(attempt=own, response=look("success", image_url=True), succeeded_at=NOW - 1, staged_at=NOW)
        assert ask(seen) == adoption.Recover()

    def test_a_broken_upload_is_fetched_without_grace(self) -> None:
        """A cut file does not mend itself."""
        cut = view(response=look("success", image_url=True), succeeded_at=NOW - 2, staged="broken", staged_at=NOW)
        assert ask(cut) == adoption.Recover()

    def test_an_address_that_knows_nothing_yet_is_asked_again_for_a_while(self) -> None:
        """The service may report success before its address serves the picture; one 404 must not need a person."""
        own = attempt(endpoint_expires_at=None)
        seen = view(attempt=own, response=look("success", image_url=True), succeeded_at=NOW - 20, staged_at=NOW)
        seen = replace(seen, missing_since=NOW - 20, missing_at=NOW - 9)
        assert ask(replace(seen, missing_at=NOW - 1)) == adoption.Wait(NOW + 8.5)
        assert ask(seen) == adoption.Recover()
        given_up = replace(seen, missing_since=NOW - 31, missing_at=NOW)
        assert ask(replace(given_up, staged_at=NOW - 1)) == adoption.LookAtStaging()
        ended = ask(given_up)
        assert isinstance(ended, adoption.End)
        assert (ended.outcome, ended.failure.kind) == ("failed", "delivery")

    @pytest.mark.parametrize("details", [None, Look("silent", NOW)])
    def test_a_picture_that_cannot_be_had_ends_as_delivery(self, details: Look | None) -> None:
        """It was paid, so it is never bought again by itself, and a person is told."""
        gone = view(response=look("success"), succeeded_at=NOW - 40, staged_at=NOW - 1, details=details)
        gone = gone if details else replace(gone, unfetched=True)
        ended = ask(gone)
        assert isinstance(ended, adoption.End)
        assert (ended.outcome, ended.failure.kind, ended.failure.retryable) == ("failed", "delivery", False)

    def test_a_failure_that_the_service_reports_ends_the_attempt(self) -> None:
        """Only then may another follow."""
        assert ask(view(response=look("failed", failure=FAILED))) == adoption.End("failed", FAILED)
        assert ask(view(response=look("failed", failure=FAILED), staged_at=NOW - 2)) == adoption.LookAtStaging()
        unnamed = ask(view(response=look("failed")))
        assert isinstance(unnamed, adoption.End)
        assert unnamed.failure.kind == "provider"

    def test_a_timeout_may_have_left_a_picture(self) -> None:
        """A task that the service gave up on may have been uploaded all the same; buying again would pay twice."""
        gave_up = view(response=look("failed", failure=GAVE_UP), staged_at=NOW - 2)
        assert ask(gave_up) == adoption.LookAtStaging()
        seen = replace(gave_up, staged_at=NOW)
        assert ask(seen) == adoption.AskDetails()
        assert ask(replace(seen, details=look("success", image_url=True))) == adoption.Recover()
        assert ask(replace(seen, details=look("silent"))) == adoption.End("failed", GAVE_UP)
        assert ask(replace(seen, response=look("failed", failure=GAVE_UP, image_url=True))) == adoption.Recover()
        assert ask(replace(seen, unfetched=True)) == adoption.End("failed", GAVE_UP)


class TestSilence:
    """The service says nothing of a task. It may be running, forgotten, or never have arrived."""

    def test_the_archive_is_asked_before_a_second_post(self) -> None:
        """After one it may show the rejection of that one only."""
        assert ask(view(response=look("silent"))) == adoption.AskDetails()

    def test_the_same_task_is_sent_again_when_all_was_looked_at(self) -> None:
        """Else a submit that never arrived would be lost."""
        looked = view(response=look("silent", at=NOW), details=look("silent"))
        assert ask(looked) == adoption.SendAgain()

    def test_the_service_is_asked_last(self) -> None:
        """Slow looks into storage must not age the answer that the POST rests on, nor spin for a fresh one."""
        before = view(response=look("silent"), details=look("silent"))
        assert ask(before) == adoption.AskResponse()

    def test_a_refused_second_post_is_the_last(self) -> None:
        """It says nothing of the first, which may be on its way; sending on would say nothing new."""
        over = view(response=look("silent", at=NOW), details=look("silent"), no_resend=True, look_at=NOW + 1)
        assert ask(replace(over, staged_at=NOW)) == adoption.Wait(NOW + 1)

    def test_an_archived_result_counts(self) -> None:
        """Else it would be sent, and perhaps bought, again."""
        archived = view(response=look("silent"), details=look("success", image_url=True), succeeded_at=NOW - 0.5)
        assert ask(archived) == adoption.LookAtStaging()
        assert ask(replace(archived, details=look("failed", failure=FAILED))) == adoption.End("failed", FAILED)

    def test_it_is_not_sent_within_a_second(self) -> None:
        """The service may not have noted the first yet."""
        fresh = view(
            attempt=attempt(sent_at=NOW - 0.4, last_sent_at=NOW - 0.4),
            response=look("silent"),
            details=look("silent"),
            look_at=NOW + 9,
        )
        assert ask(fresh) == adoption.Wait(NOW + 0.6)

    def test_an_old_look_is_taken_again(self) -> None:
        """What nobody saw five seconds ago may be there now."""
        old = view(response=Look("silent", NOW - 6), details=look("silent"))
        assert ask(old) == adoption.AskResponse()

    def test_the_destination_is_looked_at_again(self) -> None:
        """The task may have been delivered by another run since."""
        unseen = view(response=look("silent"), details=look("silent"), verdict_at=SENT - 1)
        assert ask(unseen) == adoption.LookAtDestination()

    def test_staging_is_looked_at_after_every_silent_answer(self) -> None:
        """What the service has forgotten may have been uploaded before it did."""
        known = attempt(acknowledged_at=SENT)
        unseen = view(attempt=known, response=look("silent"), details=look("silent"), staged_at=NOW - 2)
        assert ask(unseen) == adoption.LookAtStaging()
        unknown = view(response=look("silent"), details=look("silent"), staged_at=SENT - 1)
        assert ask(unknown) == adoption.LookAtStaging()

    def test_a_follower_waits_for_the_owner(self) -> None:
        """Else two runners would send the same task."""
        following = view(response=look("silent"), details=look("silent"), may_claim_at=NOW + 70, look_at=NOW + 5)
        assert ask(following) == adoption.Wait(NOW + 5)
        assert ask(following, NOW + 5) == adoption.AskResponse()

    def test_what_was_acknowledged_is_never_sent_again(self) -> None:
        """It was bought; silence does not undo that."""
        known = view(attempt=attempt(acknowledged_at=SENT), response=look("silent"), look_at=NOW + 5)
        assert ask(known) == adoption.Wait(NOW + 5)
        assert ask(known, NOW + 5) == adoption.AskResponse()

    def test_long_silence_is_lost_after_a_last_look_into_the_archive(self) -> None:
        """Never a silent second purchase."""
        late = SENT + RULES.item_timeout
        silent = view(
            attempt=attempt(acknowledged_at=SENT),
            response=Look("silent", late),
            silent_since=late - RULES.silence_confirmed,
            staged_at=late,
            verdict_at=late,
        )
        assert ask(silent, late) == adoption.AskDetails()
        ended = ask(replace(silent, details=Look("silent", late)), late)
        assert isinstance(ended, adoption.End)
        assert ended.outcome == "lost"
        assert "was accepted" in ended.failure.message
        assert str(attempt().task_uuid) in ended.failure.message

    def test_what_was_perhaps_never_sent_is_lost_after_the_window(self) -> None:
        """A crash between record and POST that is found a day later is intended to be lost."""
        old = attempt(sent_at=NOW - RULES.resubmit_window, last_sent_at=NOW - RULES.resubmit_window)
        silent = view(
            attempt=old,
            response=look("silent", at=NOW),
            silent_since=NOW - RULES.silence_confirmed,
            details=Look("silent", NOW),
            staged_at=NOW,
        )
        ended = ask(silent)
        assert isinstance(ended, adoption.End)
        assert "perhaps never sent" in ended.failure.message

    def test_one_silent_answer_is_no_long_silence(self) -> None:
        """A look-up that is answered with nothing once, long after the submit, says nothing."""
        late = SENT + RULES.item_timeout + 100
        once = view(
            attempt=attempt(acknowledged_at=SENT),
            response=Look("silent", late),
            silent_since=late,
            staged_at=late,
            look_at=late + 5,
        )
        assert ask(once, late) == adoption.Wait(late + 5)
        heard = replace(once, heard_at=late - 1, silent_since=late - RULES.silence_confirmed)
        assert ask(heard, late) == adoption.Wait(late + 5)


class TestAfterAnOutcome:
    def test_a_retryable_failure_is_bought_again_up_to_max_attempts(self) -> None:
        """The user's number of purchases."""
        failed = view(attempt=attempt(outcome="failed", failure=FAILED))
        assert ask(failed) == adoption.Buy(2)
        assert ask(replace(failed, send_at=NOW + 1)) == adoption.Wait(NOW + 1)
        assert ask(replace(failed, in_round=3)) == adoption.Finish("failed", FAILED)

    def test_a_final_failure_is_final_in_its_round(self) -> None:
        """Sending what was refused again would be refused again."""
        assert ask(view(attempt=attempt(outcome="failed", failure=FINAL))) == adoption.Finish("failed", FINAL)

    @pytest.mark.parametrize(
        "changes", [{"round_number": 1, "in_round": 0}, {"run_key": "dag/other/task", "in_round": 0}]
    )
    def test_a_new_round_takes_up_what_failed(self, changes: dict[str, object]) -> None:
        """A clear, or another run, is a person's or the schedule's wish to try again."""
        assert ask(view(attempt=attempt(outcome="failed", failure=FINAL), **changes)) == adoption.Buy(2)

    def test_a_delivered_picture_that_is_gone_is_fetched_if_the_service_has_it(self) -> None:
        """It costs nothing; buying does."""
        gone = view(attempt=attempt(outcome="delivered", run_key="dag/first/task"), in_round=0)
        assert ask(gone) == adoption.AskResponse()
        assert ask(replace(gone, response=look("success", image_url=True))) == adoption.Recover()
        assert ask(replace(gone, response=look("silent"))) == adoption.AskDetails()
        archived = replace(gone, response=look("silent"), details=look("success", image_url=True))
        assert ask(archived) == adoption.Recover()
        assert ask(replace(archived, details=look("silent"))) == adoption.Buy(2)
        assert ask(replace(archived, unfetched=True)) == adoption.Buy(2)

    def test_a_lost_purchase_is_bought_again_only_when_a_person_asked(self) -> None:
        """Silence and schedules never pay twice."""
        lost = view(
            attempt=attempt(outcome="lost", failure=Failure(kind="lost", message="?")),
            response=look("silent"),
            details=look("silent"),
        )
        other_run = replace(lost, run_key="dag/next/task", in_round=0)
        assert isinstance(ask(lost), adoption.Finish)
        assert isinstance(ask(other_run), adoption.Finish)
        assert ask(replace(lost, round_number=1, in_round=0)) == adoption.Buy(2)
        assert ask(lost, rules=replace(RULES, on_lost="buy_again")) == adoption.Buy(2)

    def test_an_end_without_a_reason_still_says_something(self) -> None:
        """A delivered picture that is gone, in a round that may buy no more."""
        gone = view(attempt=attempt(outcome="delivered"), in_round=3, response=look("silent"), details=look("silent"))
        ended = ask(gone)
        assert isinstance(ended, adoption.Finish)
        assert ended.failure is not None
        assert "gone" in ended.failure.message


class TestARefusedPost:
    def test_it_is_sent_again_under_the_same_uuid(self) -> None:
        """It was certainly not accepted, so nothing is spent by it."""
        refused = view(attempt=attempt(sent_at=None, last_sent_at=None))
        assert ask(refused) == adoption.SendAgain()
        assert ask(replace(refused, send_at=NOW + 2)) == adoption.Wait(NOW + 2)
        assert ask(replace(refused, may_claim_at=NOW + 9)) == adoption.Wait(NOW + 9)


LOOKS = st.builds(
    Look,
    st.sampled_from(["processing", "success", "failed", "silent"]),
    st.floats(NOW - 2000, NOW),
    image_url=st.booleans(),
    priced=st.booleans(),
    failure=st.none() | st.sampled_from([FAILED, FINAL, GAVE_UP]),
)
TIMES = st.none() | st.floats(NOW - 200_000, NOW)
OUTCOMES = st.none() | st.sampled_from(["delivered", "recovered", "superseded", "undelivered", "failed", "lost"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Any attempt that the record can hold."""
    sent = draw(TIMES)
    last = None if sent is None else draw(st.floats(sent, NOW))
    outcome = draw(OUTCOMES)
    return attempt(
        n=draw(st.integers(1, 4)),
        run_key=draw(st.sampled_from([RUN, "other"])),
        round=draw(st.integers(0, 2)),
        sent_at=sent,
        last_sent_at=last,
        acknowledged_at=draw(TIMES) if sent is not None else None,
        outcome=outcome,
        failure=draw(st.sampled_from([FAILED, FINAL, GAVE_UP])) if outcome == "failed" else None,
        cost_microusd=draw(st.none() | st.integers(0, 9000)),
    )


VIEWS = st.builds(
    View,
    run_key=st.just(RUN),
    round_number=st.integers(0, 2),
    verdict_at=st.floats(NOW - 2000, NOW),
    verdict=st.none() | st.sampled_from(["buy", "buy", "buy", "done", "stale", "foreign", "error"]),
    staged=st.none() | st.sampled_from(["empty", "ready", "broken"]),
    staged_at=st.floats(NOW - 2000, NOW),
    attempt=st.none() | attempts(),
    asked_in_vain=st.booleans(),
    heard_at=TIMES,
    silent_since=TIMES,
    followed=st.booleans(),
    no_resend=st.booleans(),
    in_round=st.integers(0, 4),
    claimed=st.booleans(),
    may_claim_at=st.sampled_from([0.0, NOW + 30, float("inf")]),
    response=st.none() | LOOKS,
    details=st.none() | LOOKS,
    succeeded_at=TIMES,
    look_at=st.floats(NOW - 10, NOW + 10),
    send_at=st.floats(NOW - 10, NOW + 10),
    unfetched=st.booleans(),
    missing_since=TIMES,
    missing_at=st.floats(NOW - 2000, NOW),
)
RULE_SETS = st.builds(Rules, max_attempts=st.integers(1, 3), on_lost=st.sampled_from(["fail", "buy_again"]))


@given(st.floats(0, 60), st.lists(st.floats(0, 20), min_size=60, max_size=60))
def test_an_address_that_knows_nothing_for_good_is_not_asked_for_ever(began: float, late: list[float]) -> None:
    """Breaks if a picture that is gone holds a worker, or is asked for so often that it is a load."""
    rules, now, asked = RULES, NOW + began, 0
    seen = view(attempt=attempt(endpoint_expires_at=None), response=look("success", image_url=True))
    seen = replace(seen, succeeded_at=now, staged_at=now, verdict_at=now)
    for delay in late:
        action = next_action(seen, now, rules)
        if isinstance(action, adoption.End):
            break
        if isinstance(action, adoption.Wait):
            now = action.until + delay
        elif isinstance(action, adoption.Recover):
            asked += 1
            since = now if seen.missing_since is None else seen.missing_since
            seen = replace(seen, missing_since=since, missing_at=now)
        else:
            assert isinstance(action, adoption.LookAtStaging | adoption.LookAtDestination)
            seen = replace(seen, staged_at=now, verdict_at=now)
    else:
        raise AssertionError("no end")
    assert 2 <= asked <= 14
    assert seen.missing_since is not None
    assert now >= seen.missing_since + rules.fetch_grace


@given(VIEWS, RULE_SETS)
def test_a_purchase_begins_only_where_nothing_open_or_ready_is_known(seen: View, rules: Rules) -> None:
    """The heart of *never pay twice*: every purchase has an ended predecessor, or none, and a reason."""
    action = next_action(seen, NOW, rules)
    if not isinstance(action, adoption.Buy):
        return
    assert seen.verdict == "buy"
    assert seen.send_at <= NOW
    last = seen.attempt
    if last is None:
        assert action.n == 1
        return
    assert seen.staged in ("empty", "broken")
    assert last.outcome is not None
    assert action.n == last.n + 1
    assert may_buy_again(
        last,
        run_key=RUN,
        round_number=seen.round_number,
        in_round=seen.in_round,
        max_attempts=rules.max_attempts,
        on_lost=rules.on_lost,
        followed=seen.followed,
    )


@given(VIEWS, RULE_SETS)
def test_a_second_post_leaves_only_after_every_look(seen: View, rules: Rules) -> None:
    """A task is sent again only unacknowledged, within the window, after fresh looks at service and staging."""
    action = next_action(seen, NOW, rules)
    if not isinstance(action, adoption.SendAgain):
        return
    assert seen.verdict == "buy"
    last = seen.attempt
    assert last is not None
    assert last.outcome is None
    assert seen.staged in ("empty", "broken")
    if last.last_sent_at is None or last.sent_at is None:
        return
    assert last.acknowledged_at is None
    assert NOW - last.sent_at < rules.resubmit_window
    assert NOW - last.last_sent_at >= rules.resubmit_after
    assert seen.response is not None
    assert seen.response.status == "silent"
    assert NOW - seen.response.at <= rules.look_is_fresh
    assert not seen.no_resend
    assert seen.heard_at is None
    assert seen.details is not None
    assert seen.details.status not in ("success", "failed")
    assert last.last_sent_at <= seen.staged_at <= seen.response.at
    assert last.last_sent_at <= seen.verdict_at <= seen.response.at
    assert seen.claimed or seen.may_claim_at <= NOW


@given(VIEWS, RULE_SETS)
def test_every_wait_ends_in_the_future(seen: View, rules: Rules) -> None:
    """A wait that is over would spin the engine."""
    action = next_action(seen, NOW, rules)
    if isinstance(action, adoption.Wait):
        assert action.until > NOW


@given(VIEWS, RULE_SETS)
def test_lost_is_said_only_after_the_whole_silence(seen: View, rules: Rules) -> None:
    """Who says lost too early makes a person buy twice."""
    action = next_action(seen, NOW, rules)
    if isinstance(action, adoption.End) and action.outcome == "lost":
        assert seen.attempt is not None
        assert seen.attempt.last_sent_at is not None
        news = (seen.attempt.last_sent_at, seen.attempt.acknowledged_at or 0.0, seen.heard_at or 0.0)
        assert NOW - max(news) >= rules.item_timeout
        assert NOW - (seen.silent_since or NOW) >= rules.silence_confirmed
        assert seen.response is not None
        assert seen.staged_at >= seen.response.at
        assert seen.verdict_at >= seen.response.at
        assert seen.details is not None
