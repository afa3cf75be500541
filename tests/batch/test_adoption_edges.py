"""The moments at which a decision turns, to the second: found by changing the code and seeing which test noticed.

Where ``test_adoption.py`` says what is promised, this says from when on: a second to the other side is another answer.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_adoption import FAILED, FINAL, GAVE_UP, NOW, RULES, SENT, ask, attempt, look, view

from airflow_provider_clarity.batch import adoption, messages
from airflow_provider_clarity.batch.adoption import Look, View
from airflow_provider_clarity.batch.record import Failure

KEPT = Failure(kind="delivery", message="kept")
STALE = Look("silent", NOW - 3)
"""An answer from before the last look at staging."""


def missing(since: float, at: float) -> dict[str, object]:
    """The picture's address answered that it knows nothing, first and last at these times."""
    return {"missing_since": since, "missing_at": at}


def test_the_numbers_are_those_of_the_design() -> None:
    """A change of any of them is a change of what is promised (docs/design.md, "Timeouts")."""
    assert adoption.Rules() == adoption.Rules(
        max_attempts=3,
        on_lost="fail",
        resubmit_window=86_400,
        resubmit_after=1,
        look_is_fresh=5,
        storage_is_fresh=60,
        item_timeout=900,
        silence_confirmed=30,
        upload_grace=30,
        fetch_grace=30,
        lease=20,
    )


class TestBeforeAPurchase:
    def test_what_is_done_is_done_even_where_something_is_on_its_way(self) -> None:
        """Its picture lies at its final name."""
        assert ask(view(verdict="done")) == adoption.Finish("done")

    def test_an_intent_that_never_left_is_not_on_its_way(self) -> None:
        """Nothing was paid: the occupied name counts."""
        assert ask(view(verdict="stale", attempt=attempt(last_sent_at=None))) == adoption.Finish("stale")

    def test_the_pace_ends_at_its_second(self) -> None:
        """For a first purchase, a next one, and one that is sent again."""
        for held in (view(attempt=None), view(attempt=attempt(outcome="failed", failure=FAILED))):
            n = 1 if held.attempt is None else 2
            assert ask(replace(held, send_at=NOW)) == adoption.Buy(n)
            assert ask(replace(held, send_at=NOW + 1)) == adoption.Wait(NOW + 1)
        unsent = view(attempt=attempt(sent_at=None, last_sent_at=None))
        assert ask(replace(unsent, send_at=NOW, may_claim_at=NOW)) == adoption.SendAgain()
        assert ask(replace(unsent, send_at=NOW + 1, may_claim_at=NOW + 2)) == adoption.Wait(NOW + 2)
        assert ask(replace(unsent, send_at=NOW + 3, may_claim_at=NOW + 2)) == adoption.Wait(NOW + 3)


class TestAPictureInStaging:
    def test_the_cost_is_asked_for_once_of_each(self) -> None:
        """An answer at the very moment of the look counts; so does one of the archive."""
        ready = view(staged="ready", staged_at=NOW - 2)
        at_once = replace(ready, response=look("success", at=NOW - 2))
        assert ask(at_once) == adoption.AskDetails()
        assert ask(replace(at_once, response=look("success", at=NOW - 2.1))) == adoption.AskResponse()
        assert ask(replace(at_once, details=look("success", at=NOW - 2))) == adoption.Promote()
        assert ask(replace(at_once, details=look("success", at=NOW - 2.1))) == adoption.AskDetails()
        old_but_priced = replace(ready, response=look("success", at=NOW - 9, priced=True))
        assert ask(old_but_priced) == adoption.Promote()

    def test_what_was_never_sent_cost_nothing(self) -> None:
        """So nobody is asked what."""
        assert ask(view(staged="ready", attempt=attempt(last_sent_at=None))) == adoption.Promote()


class TestASuccess:
    def test_a_look_of_the_same_second_counts(self) -> None:
        """At staging after the success, at the destination after staging."""
        done = view(response=look("success", at=NOW), succeeded_at=NOW, staged_at=NOW, verdict_at=NOW)
        assert ask(done) == adoption.Wait(NOW + 0.5)
        assert ask(replace(done, staged_at=NOW - 0.1)) == adoption.LookAtStaging()
        assert ask(replace(done, verdict_at=NOW - 0.1)) == adoption.LookAtDestination()
        assert ask(replace(done, succeeded_at=None, response=look("success", at=NOW + 1))) == adoption.LookAtStaging()

    def test_staging_is_looked_at_less_and_less_often(self) -> None:
        """Half as long again as the success is known, half a second at least, never beyond the grace."""

        def again(since: float, staged_at: float) -> adoption.Action:
            """Ask of an empty staging."""
            return ask(view(response=look("success"), succeeded_at=since, staged_at=staged_at, verdict_at=NOW))

        assert again(NOW - 0.4, NOW - 0.2) == adoption.Wait(NOW + 0.3)
        assert again(NOW - 8, NOW) == adoption.Wait(NOW + 4)
        assert again(NOW - 9, NOW - 3) == adoption.LookAtStaging()
        assert again(NOW - 9, NOW - 2.875) == adoption.Wait(NOW + 0.1875)
        assert again(NOW - 29.5, NOW) == adoption.Wait(NOW + 0.5)

    def test_the_grace_ends_with_a_last_look(self) -> None:
        """At its very end; a picture is fetched only after it."""
        over = view(response=look("success", image_url=True), succeeded_at=NOW - 30, staged_at=NOW - 0.1)
        assert ask(over) == adoption.LookAtStaging()
        assert ask(replace(over, staged_at=NOW)) == adoption.Recover()
        assert ask(replace(over, staged_at=NOW, staged="broken")) == adoption.Recover()

    def test_where_no_upload_was_asked_for_the_picture_is_fetched_at_once(self) -> None:
        """There is no grace to be waited for."""
        worker = attempt(endpoint_expires_at=None)
        done = view(attempt=worker, response=look("success", at=NOW, image_url=True), succeeded_at=NOW, staged_at=NOW)
        assert ask(done) == adoption.Recover()

    def test_the_archive_is_asked_once_for_the_address(self) -> None:
        """An answer of the same second is one; the next look asks anew."""
        done = view(response=look("success", at=NOW), succeeded_at=NOW - 40, staged_at=NOW)
        assert ask(replace(done, details=look("success", at=NOW, image_url=True))) == adoption.Recover()
        assert ask(replace(done, details=look("success", at=NOW - 0.1, image_url=True))) == adoption.AskDetails()
        nowhere = replace(done, details=look("success", at=NOW))
        assert ask(nowhere) == adoption.End("failed", messages.NEVER_LANDED)
        refused = replace(nowhere, staged="broken", refused="cut")
        assert ask(refused) == adoption.End("failed", messages.refused_picture(attempt(), "cut"))

    def test_an_address_that_knows_nothing_is_asked_again_after_half_its_time(self) -> None:
        """Half a second at least, and not beyond the grace, wherever the address comes from."""
        gone = view(response=look("success", image_url=True), succeeded_at=NOW - 40, staged_at=NOW)
        archived = replace(gone, response=look("success", at=NOW), details=look("success", at=NOW, image_url=True))
        silent = replace(gone, response=look("silent", at=NOW), details=look("success", at=NOW, image_url=True))
        gave_up = replace(gone, response=look("failed", at=NOW, failure=GAVE_UP, image_url=True))
        gave_up_archived = replace(
            gone, response=look("failed", at=NOW, failure=GAVE_UP), details=look("success", at=NOW, image_url=True)
        )
        archived_failure = replace(
            gone, response=look("silent", at=NOW), details=look("failed", at=NOW, failure=GAVE_UP, image_url=True)
        )
        after = replace(gone, attempt=attempt(outcome="delivered"), response=look("silent", image_url=True))
        after_archived = replace(
            gone, attempt=attempt(outcome="delivered"), response=look("silent", at=NOW), details=archived.details
        )
        for seen in (gone, archived, silent, gave_up, gave_up_archived, archived_failure, after, after_archived):
            assert ask(seen) == adoption.Recover()
            assert ask(replace(seen, **missing(NOW, NOW))) == adoption.Wait(NOW + 0.5)  # type: ignore[arg-type]
            assert ask(replace(seen, **missing(NOW - 8, NOW))) == adoption.Wait(NOW + 4)  # type: ignore[arg-type]
            assert ask(replace(seen, **missing(NOW - 9, NOW - 3))) == adoption.Recover()  # type: ignore[arg-type]
            late = replace(seen, **missing(NOW - RULES.fetch_grace + 1, NOW))  # type: ignore[arg-type]
            assert ask(late) == adoption.Wait(NOW + 1)
            over = replace(seen, **missing(NOW - RULES.fetch_grace, NOW))  # type: ignore[arg-type]
            assert not isinstance(ask(over), adoption.Recover | adoption.Wait)
            assert not isinstance(ask(replace(seen, unfetched=True)), adoption.Recover | adoption.Wait)

    def test_staging_is_looked_at_once_more_before_a_picture_is_given_up(self) -> None:
        """After the last time that its address knew nothing."""
        over = view(
            response=look("success", image_url=True), succeeded_at=NOW - 70, staged_at=NOW - 1, verdict_at=NOW,
            **missing(NOW - RULES.fetch_grace - 1, NOW - 1),
        )  # fmt: skip
        assert ask(over) == adoption.End("failed", messages.NEVER_LANDED)
        assert ask(replace(over, staged_at=NOW - 1.1)) == adoption.LookAtStaging()
        refused = replace(over, staged="broken", refused="too small")
        assert ask(refused) == adoption.End("failed", messages.refused_picture(attempt(), "too small"))
        never_there = replace(over, missing_since=None, missing_at=0.0, unfetched=True)
        assert ask(never_there) == adoption.End("failed", messages.NEVER_LANDED)


class TestAFailure:
    def test_staging_is_looked_at_after_it_was_reported(self) -> None:
        """A look of the same second counts."""
        failed = view(response=look("failed", at=NOW, failure=FAILED), staged_at=NOW)
        assert ask(failed) == adoption.End("failed", FAILED)
        assert ask(replace(failed, staged_at=NOW - 0.1)) == adoption.LookAtStaging()
        assert ask(replace(failed, response=look("failed", at=NOW))) == adoption.End("failed", messages.UNNAMED)

    @pytest.mark.parametrize("failure", [GAVE_UP, KEPT])
    def test_a_picture_may_exist_after_some(self, failure: Failure) -> None:
        """The service gave up on the task or on its upload: the archive is asked once."""
        failed = view(response=look("failed", at=NOW, failure=failure), staged_at=NOW)
        assert ask(failed) == adoption.AskDetails()
        assert ask(replace(failed, details=look("silent", at=NOW - 0.1))) == adoption.AskDetails()
        assert ask(replace(failed, details=look("silent", at=NOW))) == adoption.End("failed", failure)
        assert ask(replace(failed, unfetched=True)) == adoption.End("failed", failure)

    def test_none_exists_after_others(self) -> None:
        """Nobody is asked for what was never made."""
        made_none = view(response=look("failed", at=NOW, failure=FINAL, image_url=True), staged_at=NOW)
        assert ask(made_none) == adoption.End("failed", FINAL)


class TestAfterAnOutcome:
    def ended(self, **changes: object) -> View:
        """A view of an attempt that has an outcome, and whose picture cannot be had any more."""
        return view(response=look("silent", at=NOW), details=look("silent", at=NOW), attempt=attempt(**changes))

    def test_the_archive_is_asked_once(self) -> None:
        """An answer of the same second is one."""
        gone = self.ended(outcome="delivered")
        assert ask(gone) == adoption.Buy(2)
        assert ask(gone, rules=replace(RULES, max_attempts=1)) == adoption.Finish("failed", messages.GONE)
        assert ask(replace(gone, details=look("silent", at=NOW - 0.1))) == adoption.AskDetails()
        assert ask(replace(gone, response=None)) == adoption.AskResponse()
        assert not isinstance(ask(replace(gone, response=None, unfetched=True)), adoption.AskResponse)

    @pytest.mark.parametrize(("failure", "asks"), [(None, True), (GAVE_UP, True), (KEPT, True), (FINAL, False)])
    def test_a_failure_is_asked_about_where_a_picture_may_exist(self, failure: Failure | None, *, asks: bool) -> None:
        """Not where the service said itself that it made none."""
        failed = replace(self.ended(outcome="failed", failure=failure), response=None)
        assert isinstance(ask(failed), adoption.AskResponse) == asks

    def test_what_decides_about_another_purchase_is_told_whole(self) -> None:
        """Whose it was, in which round, how many there were, and whether a person asked."""
        failed = self.ended(outcome="failed", failure=FINAL)
        assert ask(failed) == adoption.Finish("failed", FINAL)
        assert ask(replace(failed, round_number=1, in_round=0)) == adoption.Buy(2)
        assert ask(replace(failed, round_number=1, in_round=3)) == adoption.Finish("failed", FINAL)
        assert ask(replace(failed, run_key="other", in_round=0)) == adoption.Buy(2)
        assert ask(replace(failed, run_key="other", in_round=0, followed=True)) == adoption.Finish("failed", FINAL)
        assert ask(failed, rules=replace(RULES, max_attempts=1)) == adoption.Finish("failed", FINAL)
        lost = self.ended(outcome="lost", failure=messages.lost(attempt()))
        assert ask(lost) == adoption.Finish("failed", messages.lost(attempt()))
        assert ask(lost, rules=replace(RULES, on_lost="buy_again")) == adoption.Buy(2)
        theirs = replace(lost, run_key="other", in_round=0)
        assert isinstance(ask(theirs), adoption.Finish)
        assert ask(replace(theirs, asked=True)) == adoption.Buy(2)


class TestSilence:
    def silent(self, **changes: object) -> View:
        """A view of a task of which the service knows nothing, and both were asked just now."""
        known = {"response": look("silent", at=NOW), "details": look("silent", at=NOW), "staged_at": NOW}
        return view(**(known | changes))

    def test_all_was_looked_at_in_the_right_order(self) -> None:
        """Staging and destination after the POST and not too long ago; the service after them, and just now."""
        sent = attempt(sent_at=NOW - 70, last_sent_at=NOW - 70)
        fresh = self.silent(attempt=sent, staged_at=NOW - 60, verdict_at=NOW - 60)
        assert ask(fresh) == adoption.SendAgain()
        assert ask(replace(fresh, staged_at=NOW - 60.1)) == adoption.LookAtStaging()
        assert ask(replace(fresh, verdict_at=NOW - 60.1)) == adoption.LookAtDestination()
        since_post = self.silent(staged_at=SENT, verdict_at=SENT)
        assert ask(since_post) == adoption.SendAgain()
        assert ask(replace(since_post, staged_at=SENT - 0.1)) == adoption.LookAtStaging()
        assert ask(replace(since_post, verdict_at=SENT - 0.1)) == adoption.LookAtDestination()
        asked_last = replace(since_post, response=look("silent", at=NOW - 5))
        assert ask(asked_last) == adoption.SendAgain()
        assert ask(replace(asked_last, response=look("silent", at=NOW - 5.1))) == adoption.AskResponse()
        assert ask(replace(asked_last, staged_at=NOW - 5)) == adoption.SendAgain()
        assert ask(replace(asked_last, staged_at=NOW - 4.9)) == adoption.AskResponse()
        assert ask(replace(asked_last, verdict_at=NOW - 5)) == adoption.SendAgain()
        assert ask(replace(asked_last, verdict_at=NOW - 4.9)) == adoption.AskResponse()

    def test_it_is_not_sent_before_its_time(self) -> None:
        """A second after the POST, at its pace, and when the claim is free, unless it is ours already."""
        just = self.silent(attempt=attempt(sent_at=NOW - 1, last_sent_at=NOW - 1))
        assert ask(just) == adoption.SendAgain()
        early = replace(just, attempt=attempt(sent_at=NOW - 0.9, last_sent_at=NOW - 0.9), look_at=NOW + 9)
        assert ask(early) == adoption.Wait(NOW - 0.9 + 1)
        assert ask(replace(early, look_at=NOW + 0.05)) == adoption.Wait(NOW + 0.05)
        assert ask(replace(early, look_at=NOW)) == adoption.AskResponse()
        paced = replace(just, send_at=NOW + 3, look_at=NOW + 9)
        assert ask(paced) == adoption.Wait(NOW + 3)
        assert ask(replace(just, send_at=NOW)) == adoption.SendAgain()
        held = replace(just, may_claim_at=NOW + 3, look_at=NOW + 9)
        assert ask(held) == adoption.Wait(NOW + 3)
        assert ask(replace(held, claimed=True)) == adoption.SendAgain()

    def test_the_window_ends_at_its_second(self) -> None:
        """24 hours after the first POST, whenever the last was."""
        day = RULES.resubmit_window
        late = self.silent(attempt=attempt(sent_at=NOW - day + 1), look_at=NOW + 5)
        assert ask(late) == adoption.SendAgain()
        assert ask(replace(late, attempt=attempt(sent_at=NOW - day))) == adoption.Wait(NOW + 5)
        assert ask(replace(late, heard_at=NOW)) == adoption.Wait(NOW + 5)
        assert ask(replace(late, attempt=attempt(acknowledged_at=NOW))) == adoption.Wait(NOW + 5)

    def known(self, **changes: object) -> View:
        """A view of a task that was acknowledged, and of which the service says nothing any more."""
        acknowledged = attempt(sent_at=NOW - 5000, last_sent_at=NOW - 5000, acknowledged_at=NOW - 900)
        silent = self.silent(attempt=acknowledged, silent_since=NOW - 30)
        return replace(silent, **changes)  # type: ignore[arg-type]

    def test_lost_is_said_at_the_end_of_the_silence(self) -> None:
        """900 s after the last news, of which this try heard 30 s, and after a last look everywhere."""
        over = self.known()
        assert isinstance(ask(over), adoption.End)
        assert ask(replace(over, response=look("silent", at=NOW - 0.1))) == adoption.AskResponse()
        assert ask(replace(over, details=look("silent", at=NOW - 0.1))) == adoption.AskDetails()
        assert ask(replace(over, verdict_at=NOW - 0.1)) == adoption.LookAtDestination()
        assert ask(replace(over, staged_at=NOW - 0.1)) == adoption.LookAtStaging()

    @pytest.mark.parametrize(
        "changes",
        [
            {"silent_since": NOW - 29},
            {"silent_since": None, "response": Look("silent", NOW - 29), "staged_at": NOW - 29},
            {"heard_at": NOW - 899},
            {"attempt": attempt(sent_at=SENT, last_sent_at=NOW - 5000, acknowledged_at=NOW - 899)},
            {"attempt": attempt(sent_at=SENT, last_sent_at=NOW - 899, acknowledged_at=NOW - 5000)},
        ],
    )
    def test_a_second_before_it_is_not(self, changes: dict[str, object]) -> None:
        """Whatever the last news was. Until then it is asked when a look is due."""
        early = self.known(**changes)
        assert ask(replace(early, look_at=NOW + 5)) == adoption.Wait(NOW + 1)
        assert ask(replace(early, look_at=NOW + 0.5)) == adoption.Wait(NOW + 0.5)
        assert ask(replace(early, look_at=NOW)) == adoption.AskResponse()

    def test_an_archived_end_counts_as_of_its_own_time(self) -> None:
        """Not as of the silent answer before it."""
        success = self.silent(details=look("success", at=NOW), staged_at=NOW - 0.1)
        assert ask(success) == adoption.LookAtStaging()
        failed = self.silent(details=look("failed", at=NOW, failure=FAILED), staged_at=NOW - 0.1)
        assert ask(failed) == adoption.LookAtStaging()
        assert ask(replace(failed, staged_at=NOW)) == adoption.End("failed", FAILED)
