"""How a run over many images ends: every image in one outcome, and Airflow told green or why not."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.counts import Counts, by_number
from airflow_provider_clarity.batch.outcomes import (
    Interrupted,
    OnBudget,
    Tolerated,
    Verdict,
    error_of,
    parse_tolerated,
    returned,
    verdict,
)
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import (
    ERRORS,
    ClarityBudgetError,
    ClarityPlanError,
    ClarityRateLimitError,
    ClarityValidationError,
    Kind,
)

SOME = st.integers(0, 10**6)
KINDS = st.dictionaries(st.sampled_from(get_args(Kind)), SOME, max_size=14)
WHYS = st.dictionaries(st.sampled_from(["budget", "deadline", "stopped"]), SOME)
REASONS = st.dictionaries(
    st.sampled_from(["folder", "empty", "not_an_image", "upscaled", "workspace", "name_too_long"]), SOME
)
NO_KEY = Failure(kind="auth", message="The key was refused.", code="invalidApiKey")
DEAD = "gs://b/_clarity/runs/x/dead_letter.jsonl"


@st.composite
def whole_counts(draw: st.DrawFn) -> Counts:
    """Counts that come out."""
    counts = Counts(
        0, draw(SOME), draw(SOME), draw(SOME), draw(SOME), draw(SOME), draw(KINDS), draw(WHYS), 0, draw(REASONS)
    )
    return replace(counts, planned=counts.settled, adopted=draw(st.integers(0, counts.delivered + counts.recovered)))


def counted(**changes: object) -> Counts:
    """A hundred images that were delivered, and what is changed of it."""
    counts = replace(Counts(delivered=100), **changes)  # type: ignore[arg-type]
    return counts if "planned" in changes else replace(counts, planned=counts.settled)


class TestCounts:
    @given(whole_counts())
    def test_every_image_has_one_outcome(self, counts: Counts) -> None:
        """The sum is the plan, and one image more or less is found."""
        assert counts.checked(whole=True) == counts.checked(whole=False) == counts
        assert counts.pending == 0
        assert counts.due == counts.planned - counts.done - counts.stale - counts.foreign
        assert counts.failures == sum(counts.failed.values())
        more = replace(counts, planned=counts.planned + 1)
        assert more.checked(whole=False).pending == 1
        with pytest.raises(ClarityPlanError):
            more.checked(whole=True)
        fewer = replace(counts, planned=counts.planned - 1)
        for whole in (True, False):
            with pytest.raises(ClarityPlanError):
                fewer.checked(whole=whole)

    def test_a_sum_that_does_not_come_out_is_told(self) -> None:
        """What was counted, what is safe, what to do."""
        with pytest.raises(ClarityPlanError) as found:
            counted(planned=107, failed={"lost": 2, "provider": 4}, adopted=3).checked(whole=True)
        assert found.value.message == (
            "107 image(s) were planned and 106 are accounted for (100 delivered, 6 failed (provider 4, lost 2); 3 "
            "adopted). Nothing more was sent, what is paid is recorded and what is delivered is safe. This is a defect "
            "of this package: please report it, with the ledger."
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"delivered": -1}, {"recovered": -1}, {"done": -1}, {"stale": -1}, {"foreign": -1}, {"adopted": -1},
            {"adopted": 101},
            {"failed": {"provider": -1}}, {"not_submitted": {"budget": -1}}, {"passed_over": {"empty": -1}},
            {"planned": -100, "delivered": -100},
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_told(self, wrong: dict[str, object]) -> None:
        """A negative number may hide a missing image."""
        with pytest.raises(ClarityPlanError):
            counted(**wrong).checked(whole=True)
        assert counted(adopted=100).checked(whole=True).adopted == 100
        assert Counts().checked(whole=True) == Counts()

    @given(whole_counts())
    def test_a_ledgers_counts_are_read(self, counts: Counts) -> None:
        """As the journal keeps them, each outcome under its key."""
        single = {name: getattr(counts, name) for name in ("delivered", "recovered", "done", "stale", "foreign")}
        ended = single | {f"failed.{kind}": number for kind, number in counts.failed.items()}
        ended |= {f"not_submitted.{why}": number for why, number in counts.not_submitted.items()}
        found = Counts.read(ended, planned=counts.planned, adopted=counts.adopted, passed_over=counts.passed_over)
        assert found == counts
        assert Counts.read({}, planned=3) == Counts(3)

    @pytest.mark.parametrize(
        "key", ["vanished", "failed", "failed.", "failed.oddly", "not_submitted.why", "delivered.x"]
    )
    def test_an_outcome_that_is_not_known_is_told(self, key: str) -> None:
        """It must not be counted as something else, nor left out."""
        with pytest.raises(ClarityPlanError) as refused:
            Counts.read({key: 7}, planned=7)
        assert refused.value.message == (
            f"The ledger counts 7 image(s) as {key!r}, an outcome that this version does not know. Nothing more was "
            "sent, and what is paid is recorded. Upgrade this package, then clear the task."
        )

    def test_they_are_said_in_a_line(self) -> None:
        """What is nought is left out, what is most comes first."""
        assert Counts().text() == "nothing"
        assert Counts(not_submitted={"budget": 0}).text() == "nothing"
        counts = Counts(9, 1, 2, 3, 4, 5, {"lost": 1, "auth": 1}, {"budget": 2, "stopped": 3})
        assert counts.text() == (
            "1 delivered, 2 recovered, 3 done, 4 stale, 5 foreign, 2 failed (auth 1, lost 1), "
            "5 not submitted (stopped 3, budget 2)"
        )
        assert by_number({"a": 1, "b": 0, "c": 2}) == "c 2, a 1"

    def test_each_outcome_is_in_the_sum(self) -> None:
        """Once."""
        counts = Counts(
            1_000, 1, 20, 3, 40, 5, {"lost": 60, "auth": 7}, {"budget": 80, "stopped": 9}, 2, {"empty": 500}
        )
        assert (counts.settled, counts.pending, counts.failures, counts.due) == (225, 775, 67, 952)


class TestTolerated:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (0, Tolerated(0)),
            (3, Tolerated(3)),
            ("3", Tolerated(3)),
            (" 12 ", Tolerated(12)),
            ("5%", Tolerated(None, Fraction(5))),
            ("0.5 %", Tolerated(None, Fraction(1, 2))),
            ("0%", Tolerated(None, Fraction(0))),
            ("100%", Tolerated(None, Fraction(100))),
        ],
    )
    def test_a_number_or_a_share(self, written: object, read: Tolerated) -> None:
        """As a user or a template writes it."""
        assert parse_tolerated(written) == read

    @pytest.mark.parametrize(
        "written",
        [Decimal(3), -1, "-1", 0.05, "0.05", 5.0, True, None, "", "%", "5%%", "101%", "100.1%", "1.0000001%",
         "five", "1e2", [], "\u0665%"],
    )  # fmt: skip
    def test_anything_else_is_refused(self, written: object) -> None:
        """0.05 may be meant as 5 % or as no image at all. It says what to write."""
        with pytest.raises(ClarityValidationError) as refused:
            parse_tolerated(written)
        assert refused.value.message == (
            f"tolerated_failures is neither a number of images nor a share: {written!r}. Nothing was sent and nothing "
            'was paid. Write 3 for three images, or "5%" for five in a hundred.'
        )

    @given(whole_counts(), st.integers(0, 100), st.integers(0, 10**6))
    def test_it_allows_what_it_says(self, counts: Counts, percent: int, images: int) -> None:
        """The share is of what there was something to do for, and exact."""
        assert Tolerated(images).allows(counts) == (counts.failures <= images)
        share = Tolerated(None, Fraction(percent)).allows(counts)
        assert share == (counts.due == 0 or Fraction(counts.failures, counts.due) <= Fraction(percent, 100))

    def test_five_of_a_hundred_are_five_percent(self) -> None:
        """And what was done, stale or foreign does not dilute it."""
        five = counted(delivered=95, failed={"safety": 5})
        assert parse_tolerated("5%").allows(five)
        assert parse_tolerated(5).allows(five)
        assert not parse_tolerated(4).allows(five)
        assert not parse_tolerated("5%").allows(counted(delivered=94, failed={"safety": 5}))
        assert not parse_tolerated("5%").allows(
            counted(delivered=94, failed={"safety": 5}, done=100, stale=9, foreign=9)
        )
        assert parse_tolerated("0%").allows(counted())
        assert Tolerated() == parse_tolerated(0)


def judged(counts: Counts, tolerated: object = 0, **given_: object) -> Verdict:
    """Judge."""
    return verdict(counts, tolerated=parse_tolerated(tolerated), dead_letter=DEAD, **given_)  # type: ignore[arg-type]


class TestVerdict:
    def test_all_is_well(self) -> None:
        """Delivered, recovered or done: green, and over."""
        assert judged(counted(recovered=3, done=7)) == Verdict(final=True)
        assert judged(Counts()) == Verdict(final=True)

    @pytest.mark.parametrize(
        ("why", "said"), [("deadline", "The time allowed for this try"), ("stopped", "This try was stop")]
    )
    def test_an_interruption_fails_and_goes_on(self, why: Interrupted, said: str) -> None:
        """Whatever is tolerated: a retry goes on in the same round."""
        for left in ({"planned": 112}, {"planned": 112, "not_submitted": {why: 5}}, {"not_submitted": {why: 12}}):
            found = judged(counted(**left), "100%", interrupted=why, on_budget="stop")
            assert found.failure is not None
            assert (found.final, found.failure.kind, found.failure.retryable) == (False, "deadline", True)
            assert found.failure.message.startswith(f"{said}")
            assert " with 12 of 112 images still to be settled (100 delivered" in found.failure.message
            assert found.failure.message.endswith("A retry or a clear goes on from here.")
        assert judged(counted(), interrupted=why) == Verdict(final=True)  # it came when all was over

    def test_what_was_not_submitted_in_time_is_not_green(self) -> None:
        """Also where nobody says that the run was interrupted."""
        stopped, late = (judged(counted(not_submitted={why: 1})).failure for why in ("stopped", "deadline"))
        assert stopped is not None
        assert stopped.message.startswith("This try was stopped")
        assert late is not None
        assert late.message.startswith("The time allowed")

    def test_a_refused_key_stops_it_at_once(self) -> None:
        """Not to be retried, and not over: a clear goes on when the key is mended."""
        found = judged(
            counted(planned=130, not_submitted={"stopped": 20}), "100%", halted=NO_KEY, interrupted="stopped"
        )
        assert found.failure is not None
        assert (found.final, found.failure.kind, found.failure.code) == (False, "auth", "invalidApiKey")
        assert not found.failure.retryable
        assert found.failure.message == (
            "The key was refused. The run was stopped at once, with 30 of 130 images still to be settled (100 "
            "delivered, 20 not submitted (stopped 20) so far). What is in flight stays paid and is not bought again. "
            "Clear the task when that is mended: it goes on from here."
        )
        passing = NO_KEY.model_copy(update={"retryable": True})
        again = judged(counted(planned=130), halted=passing).failure
        assert again is not None
        assert not again.retryable
        assert judged(counted(), halted=NO_KEY) == Verdict(final=True)  # nothing was left to be stopped

    def test_too_many_failures_fail_for_good(self) -> None:
        """All is settled: a retry would only repeat it."""
        found = judged(counted(delivered=90, failed={"safety": 4, "provider": 6}), "5%")
        assert found.failure is not None
        assert (found.final, found.failure.kind, found.failure.retryable) == (True, "provider", False)
        assert found.failure.message == (
            "10 of 100 images failed (provider 6, safety 4), more than are tolerated; in all 90 delivered, 10 failed "
            f"(provider 6, safety 4). What is delivered is safe, and a retry buys nothing again. See {DEAD}, then "
            "clear the task, or raise tolerated_failures."
        )

    @pytest.mark.parametrize(
        ("failed", "kind"),
        [
            ({"rate": 1, "lost": 1, "safety": 1}, "lost"),
            ({"rate": 1, "provider": 1}, "provider"),
            ({"validation": 2, "delivery": 2, "lost": 1}, "delivery"),
            ({"plan": 1}, "plan"),
            ({"timeout": 1, "input": 0}, "timeout"),
        ],
    )
    def test_the_error_is_of_the_commonest_kind(self, failed: dict[str, int], kind: str) -> None:
        """Of several as common the gravest: what may have been paid for nothing comes first."""
        found = judged(counted(failed=failed)).failure
        assert found is not None
        assert found.kind == kind

    def test_tolerated_failures_are_a_warning(self) -> None:
        """Green, and a person is told where they are."""
        found = judged(counted(delivered=95, failed={"safety": 5}), "5%")
        assert (found.final, found.failure, len(found.warnings)) == (True, None, 1)
        assert found.warnings[0] == (
            "5 of 100 images failed (safety 5), which is tolerated. What is delivered is safe. See "
            f"{DEAD}, which may be the source of another run."
        )

    @pytest.mark.parametrize("on_budget", ["fail", "stop"])
    def test_an_exhausted_budget(self, on_budget: OnBudget) -> None:
        """An error, or green with a warning where the user wants it so."""
        budget = Budget(25_000_000, 3_800, spent=24_990_000, priced=9, unknown=1)
        found = judged(counted(not_submitted={"budget": 8}), on_budget=on_budget, budget=budget)
        told = (
            "8 image(s) were not submitted, since the next might have exceeded max_cost_usd: $24.9938 of $25.0000 are "
            f"spent or reserved. What is paid is delivered or recorded. See {DEAD}, then clear the task with a higher "
            "max_cost_usd to go on, which buys nothing twice."
        )
        assert found.final
        if on_budget == "stop":
            assert (found.failure, found.warnings) == (None, (told,))
        else:
            assert found.failure == Failure(kind="budget", message=told)
        for unknown in (None, Budget()):
            bare = judged(counted(not_submitted={"budget": 8}), on_budget="stop", budget=unknown)
            assert "exceeded max_cost_usd. What" in bare.warnings[0]

    def test_an_exhausted_budget_fails_unless_the_user_said_otherwise(self) -> None:
        """Green is what somebody chose."""
        found = verdict(counted(not_submitted={"budget": 1}), tolerated=Tolerated(0)).failure
        assert found is not None
        assert found.kind == "budget"

    def test_what_was_left_is_a_warning(self) -> None:
        """Stale and foreign are no failures, and name what to do."""
        found = judged(counted(stale=2, foreign=3))
        assert found.failure is None
        assert found.warnings[0].startswith("2 image(s) were made from another generation")
        assert 'if_exists="update"' in found.warnings[0]
        assert found.warnings[1].startswith("3 final name(s) are taken")
        assert 'if_exists="overwrite"' in found.warnings[1]

    def test_without_a_dead_letter_it_is_called_so(self) -> None:
        """The message must not say None."""
        found = verdict(counted(failed={"lost": 1}), tolerated=Tolerated(0))
        assert found.failure is not None
        assert "See the dead letter, then" in found.failure.message

    @given(
        whole_counts(),
        st.integers(-3, 10),
        st.sampled_from(["0", "5%", "100%", "1000000"]),
        st.sampled_from(get_args(OnBudget)),
        st.none() | st.just(NO_KEY),
        st.sampled_from([None, *get_args(Interrupted)]),
    )
    def test_it_is_never_green_by_mistake(
        self,
        counts: Counts,
        missing: int,
        tolerated: str,
        on_budget: OnBudget,
        halted: Failure | None,
        interrupted: Interrupted | None,
    ) -> None:
        """Whatever happened: counts that do not come out raise, and what is left undone is neither green nor over."""
        counts = replace(counts, planned=counts.planned + missing)
        cut = halted is not None or interrupted is not None
        given_ = {"on_budget": on_budget, "halted": halted, "interrupted": interrupted}
        if missing < 0 or (missing > 0 and not cut):
            with pytest.raises(ClarityPlanError):
                judged(counts, tolerated, **given_)
            return
        found = judged(counts, tolerated, **given_)
        left = counts.pending + counts.not_submitted.get("deadline", 0) + counts.not_submitted.get("stopped", 0)
        assert found.final == (left == 0)
        green = left == 0 and parse_tolerated(tolerated).allows(counts)
        green = green and not (counts.not_submitted.get("budget") and on_budget == "fail")
        assert (found.failure is None) == green
        if found.failure is not None:
            assert not found.warnings
            assert found.failure.retryable == (left > 0 and halted is None)
            assert found.failure.message.count(". ") >= 2  # what happened, what is safe, what to do

    @given(st.sampled_from(get_args(Kind)), st.booleans())
    def test_the_error_is_as_retryable_as_the_verdict(self, kind: Kind, retryable: bool) -> None:  # noqa: FBT001
        """Also of a class that is usually retryable: all is settled."""
        error = error_of(Failure(kind=kind, message="m", code="c", retryable=retryable))
        assert type(error) is ERRORS[kind]
        assert (error.message, error.code, error.retryable) == ("m", "c", retryable)
        assert ClarityRateLimitError.usually_retryable != ClarityBudgetError.usually_retryable


URIS = st.integers(0, 1_245).map(lambda size: "gs://" + "é" * (size % 500) + "x" * (size - 2 * (size % 500)))
LONGEST = "gs://" + "x" * 1_245  # a bucket of 222 characters, a name of 1,024 bytes


class TestReturned:
    def test_it_is_what_the_operator_returns(self) -> None:
        """Each key, with what is nought left out of the maps."""
        counts = Counts(117, 90, 5, 6, 2, 1, {"lost": 1, "provider": 0}, {"budget": 12}, 4, {"folder": 3})
        found = returned(
            counts, run="gs://b/r/", purchases=95, spent=123_456, unknown=2, seconds=12.345, manifest="gs://b/r/m",
            dead_letter=None,
        )  # fmt: skip
        assert found == {
            "v": 1, "run": "gs://b/r/", "planned": 117, "delivered": 90, "recovered": 5, "done": 6, "stale": 2,
            "foreign": 1, "failed": {"lost": 1}, "not_submitted": {"budget": 12}, "adopted": 4,
            "passed_over": {"folder": 3}, "purchases": 95, "cost_usd": 0.123456, "cost_unknown": 2, "seconds": 12.3,
            "manifest": "gs://b/r/m", "dead_letter": None,
        }  # fmt: skip

    def test_two_kilobytes_are_not_too_many(self) -> None:
        """A byte more is."""

        def of(size: int) -> dict[str, object]:
            """Return it with a run of so many characters."""
            return returned(
                counted(), run="r" * size, purchases=1, spent=1, unknown=0, seconds=1.0, manifest="m", dead_letter=None
            )

        fits = 2048 - len(json.dumps(of(0)))
        assert len(json.dumps(of(fits))) == 2048
        assert of(fits + 1)["run"] is None

    @given(whole_counts(), URIS, URIS, st.none() | URIS | st.just(LONGEST), st.integers(0, 10**13), st.floats(0, 1e7))
    def test_it_is_two_kilobytes_at_most(
        self, counts: Counts, run: str, manifest: str, dead_letter: str | None, spent: int, seconds: float
    ) -> None:
        """An XCom is a row in Airflow's database. What is left out can be told from what is left."""
        big = replace(
            counts,
            failed={kind: 10**6 + n for n, kind in enumerate(get_args(Kind))},
            passed_over=dict.fromkeys(
                ("folder", "empty", "not_an_image", "upscaled", "workspace", "name_too_long"), 10**9
            ),
        )
        for some, at, listed, dead in (
            (counts, run, manifest, dead_letter),
            (big, run, manifest, dead_letter),
            (big, LONGEST, LONGEST, None),
            (big, LONGEST, LONGEST, LONGEST),
        ):
            found = returned(
                some, run=at, purchases=10**6, spent=spent, unknown=7, seconds=seconds, manifest=listed,
                dead_letter=dead,
            )  # fmt: skip
            size = len(json.dumps(found, ensure_ascii=False).encode())
            assert size <= 2048
            assert found["dead_letter"] == dead
            assert found["manifest"] == listed or (found["manifest"] is found["run"] is None and dead)
            if found["run"] is None:
                all_of_it = found | {"run": at, "manifest": listed, "passed_over": dict(some.passed_over)}
                assert len(json.dumps(all_of_it, ensure_ascii=False).encode()) > 2048
            assert sum(found["passed_over"].values()) == sum(some.passed_over.values())
