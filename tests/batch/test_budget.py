"""How much may still be bought: the cap holds over any prices, also across a crash at any point."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.budget import EXPECTED, Budget, Fact
from airflow_provider_clarity.exceptions import ClarityBudgetError

FIXTURE = Path(__file__).parent / "fixtures" / "budget_1.json"

COSTS = st.none() | st.integers(0, 50_000)
FACTS = st.lists(st.tuples(st.sampled_from(["picture", "failed", "lost", "adopted"]), COSTS), max_size=30)
BUDGETS = st.builds(
    Budget,
    cap=st.none() | st.integers(0, 10**7),
    expected=st.integers(1, 50_000),
    spent=st.integers(0, 10**7),
    dearest=st.integers(0, 10**5),
    priced=st.integers(0, 10),
    unknown=st.integers(0, 20),
)
IN_FLIGHT = st.integers(0, 100)


class TestTheRule:
    def test_without_a_cap_there_is_always_room(self) -> None:
        """Nothing is tried out where nothing is limited."""
        assert Budget().room(1_000_000) == sys.maxsize
        assert not Budget().over

    @given(BUDGETS, IN_FLIGHT)
    def test_it_is_the_rule_of_the_design(self, budget: Budget, in_flight: int) -> None:
        """The n-th of a submit is allowed exactly where ``spent + (unknown + in flight + n) x r <= cap``."""
        room = budget.room(in_flight)
        if budget.cap is None:
            return
        assert budget.reserve == max(budget.expected, (budget.dearest * 5 + 3) // 4)
        reserved = budget.unknown + in_flight
        trial = budget.priced < 5
        for n in (room, room + 1):
            fits = budget.spent + (reserved + n) * budget.reserve <= budget.cap
            tried = trial and in_flight + n > 4
            assert (n <= room) == (n == 0 or (fits and not tried))

    def test_the_reserve_is_what_is_expected_until_something_dearer_is_seen(self) -> None:
        """1.25 times the dearest, rounded up."""
        assert Budget().reserve == EXPECTED == 3_800
        assert Budget(dearest=3_040).reserve == 3_800
        assert Budget(dearest=3_041).reserve == 3_802
        assert Budget(expected=10, dearest=9).reserve == 12

    def test_four_are_in_flight_until_five_costs_are_known(self) -> None:
        """A wrong expectation costs four images, not a window full."""
        young = Budget(cap=10**9, priced=4)
        assert [young.room(n) for n in (0, 3, 4, 5)] == [4, 1, 0, 0]
        assert replace(young, priced=5).room(4) > 1000

    def test_the_last_image_fits_exactly(self) -> None:
        """A cap of exactly what is reserved is enough."""
        assert Budget(cap=3_800).room(0) == 1
        assert not Budget(cap=3_800).over
        assert Budget(cap=3_799).over
        assert Budget(cap=3_799).room(0) == 0
        assert Budget(cap=7_600, spent=3_800, priced=5).room(0) == 1
        assert Budget(cap=7_600, unknown=1, priced=5).room(0) == 1
        assert Budget(cap=7_600, unknown=2, priced=5).room(0) == 0

    @given(BUDGETS, IN_FLIGHT)
    def test_over_is_over(self, budget: Budget, in_flight: int) -> None:
        """Where nothing more can be bought, what those in flight cost makes no difference."""
        assert budget.over == (budget.room(0) == 0)
        if budget.over:
            assert budget.room(in_flight) == 0
            assert budget.noted("failed").over
            assert budget.noted("picture", 0).over
        assert budget.counted == budget.spent + budget.unknown * budget.reserve


class TestWhatIsNoted:
    def test_each_fact_counts_as_it_should(self) -> None:
        """What we pay is spent; what somebody else pays is only a price; what nobody knows stays reserved."""
        none = Budget(cap=10**6)
        assert none.noted("picture", 1_300) == replace(none, spent=1_300, dearest=1_300, priced=1)
        assert none.noted("picture") == replace(none, unknown=1)
        assert none.noted("picture", 0) == replace(none, priced=1)
        assert none.noted("lost") == replace(none, unknown=1)
        assert none.noted("lost", 900) == replace(none, spent=900, dearest=900, priced=1)
        assert none.noted("failed") == none
        assert none.noted("failed", 700) == replace(none, spent=700, dearest=700)
        assert none.noted("adopted", 5_000) == replace(none, dearest=5_000, priced=1)
        assert none.noted("adopted") == none
        assert replace(none, unknown=2, spent=7).noted("found") == replace(none, unknown=1, spent=7)

    def test_what_cannot_be_is_an_error(self) -> None:
        """A defect in the account must not pass for money."""
        for cost in (-1, True):
            with pytest.raises(ValueError, match="is no cost"):
                Budget().noted("picture", cost)
        with pytest.raises(ValueError, match="negative"):
            Budget().noted("found")
        for wrong in ({"expected": 0}, {"spent": -1}, {"dearest": -1}, {"priced": -1}, {"unknown": -1}):
            with pytest.raises(ValueError, match="negative amounts, or a reserve of nothing"):
                Budget(**wrong)
        assert Budget(expected=1).reserve == 1

    @given(BUDGETS, FACTS, st.randoms(use_true_random=False))
    def test_the_order_does_not_matter(
        self, budget: Budget, facts: list[tuple[Fact, int | None]], shuffler: random.Random
    ) -> None:
        """So a replay of segments gives the account that the runner had."""
        shuffled = facts[:]
        shuffler.shuffle(shuffled)
        assert budget.replayed(facts) == budget.replayed(shuffled)

    def test_a_replay_notes_every_fact(self) -> None:
        """Each with its own cost, and upon what was known before."""
        facts: list[tuple[Fact, int | None]] = [("picture", 1_300), ("failed", 700), ("lost", None), ("adopted", 4_000)]
        noted = Budget(spent=5).noted("picture", 1_300).noted("failed", 700).noted("lost").noted("adopted", 4_000)
        assert Budget(spent=5).replayed(facts) == noted
        assert noted == Budget(spent=2_005, dearest=4_000, priced=2, unknown=1)

    @given(BUDGETS, FACTS)
    def test_what_is_reserved_stays_reserved(self, budget: Budget, facts: list[tuple[Fact, int | None]]) -> None:
        """The reserve never falls, nor what is counted."""
        after = budget.replayed(facts)
        assert after.reserve >= budget.reserve
        assert after.counted >= budget.counted

    @given(BUDGETS, FACTS, FACTS)
    def test_two_ledgers_of_one_budget_are_one_account(
        self, budget: Budget, first: list[tuple[Fact, int | None]], second: list[tuple[Fact, int | None]]
    ) -> None:
        """A clear, or another source, begins a new ledger; the cap is over all of them."""
        empty = Budget(budget.cap, budget.expected)
        assert budget.replayed(first).together(empty.replayed(second)) == budget.replayed(first + second)


class TestStored:
    @given(BUDGETS, st.none() | st.integers(0, 10**7), st.integers(1, 50_000))
    def test_it_comes_back_to_the_micro_dollar(self, budget: Budget, cap: int | None, expected: int) -> None:
        """After a crash, under the cap and the expectation of now."""
        stored = json.loads(json.dumps(budget.to_json()))
        assert Budget.from_json(stored, cap=cap, expected=expected) == replace(budget, cap=cap, expected=expected)

    def test_the_form_of_this_release_loads_for_ever(self) -> None:
        """Also with keys that a later one adds."""
        stored = json.loads(FIXTURE.read_text())
        loaded = Budget.from_json(stored, cap=None)
        assert loaded == Budget(None, EXPECTED, spent=1_234_567, dearest=3_800, priced=321, unknown=2)
        assert Budget.from_json(stored | {"new": [1]}, cap=None) == loaded
        assert loaded.to_json() == stored

    @pytest.mark.parametrize(
        "change",
        [{"v": None}, {"v": "1"}, {"v": 0}, {"spent": -1}, {"spent": None}, {"dearest": 1.5}, {"priced": True},
         {"unknown": "2"}],
    )  # fmt: skip
    def test_what_is_damaged_spends_nothing(self, change: dict[str, object]) -> None:
        """Who cannot read what was spent must not guess it."""
        stored = json.loads(FIXTURE.read_text()) | change
        with pytest.raises(ClarityBudgetError, match=r"cannot be read: it is damaged\. Nothing was sent") as refused:
            Budget.from_json(stored, cap=10**9)
        assert not refused.value.retryable
        with pytest.raises(ClarityBudgetError, match=r"cannot be read: it is damaged\. Nothing"):
            Budget.from_json([stored], cap=10**9)

    def test_a_newer_version_spends_nothing(self) -> None:
        """It may count what this one does not know of."""
        with pytest.raises(ClarityBudgetError) as refused:
            Budget.from_json({"v": 2}, cap=10**9)
        assert refused.value.message == (
            "The stored account of what this run has spent cannot be read: a newer version of this package wrote it "
            "(v 2). Nothing was sent, since it cannot be told what is left. Upgrade this package where a newer one "
            "wrote it; else start a new DAG run, whose account begins at nothing and which adopts what was bought."
        )


@dataclass(slots=True)
class Trace:
    """A run over made-up prices that may crash at any point; ``journal`` and ``intents`` are all that survives.

    ``prices`` are true ones, of everything that we bought. ``exposed`` is what could cost more than was reserved: the
    images in flight at the last submit, and those whose cost nobody ever learned, each with what was reserved for it.
    """

    dice: random.Random
    budget: Budget
    typical: float
    spread: float
    left: int
    journal: list[str] = field(default_factory=list)
    intents: dict[int, tuple[int, int]] = field(default_factory=dict)
    prices: int = 0
    silent: list[tuple[int, int]] = field(default_factory=list)
    exposed: list[tuple[int, int]] = field(default_factory=list)
    crashes: int = 0

    def run(self) -> None:
        number = 0
        while True:
            for _ in range(self.dice.randint(1, 6)):
                if self.left and self.budget.room(len(self.intents)) > 0:
                    number += 1
                    self._submit(number)
            if not self.intents:
                if not self.left or self.budget.room(0) == 0:
                    return
                continue
            for _ in range(self.dice.randint(1, 4)):
                if self.intents:
                    self._settle(self.dice.choice(list(self.intents)))
            if self.dice.random() < 0.05:
                self._crash()

    def _submit(self, number: int) -> None:
        cap, r = self.budget.cap, self.budget.reserve
        assert cap is not None
        assert self.budget.counted <= cap, "something was submitted after the cap was exceeded"
        self.left -= 1
        price = int(self.typical * self.dice.lognormvariate(0, self.spread)) + 1
        if self.dice.random() < 0.02:
            price = int(price * self.dice.paretovariate(0.7))
        self.intents[number] = (price, r)
        self.exposed = [*self.intents.values(), *self.silent]

    def _settle(self, number: int) -> None:
        price, r = self.intents.pop(number)
        what = self.dice.choices(
            ("picture", "failed", "billed", "lost", "mute", "adopted", "refused"), (80, 5, 3, 3, 3, 3, 3)
        )
        match what[0]:
            case "picture" | "billed":
                self.prices += price
                self._note("picture" if what[0] == "picture" else "failed", price)
            case "failed":
                self._note("failed", None)
            case "lost" | "mute":
                self.prices += price
                self.silent.append((price, r))
                self._note("lost" if what[0] == "lost" else "picture", None)
            case "adopted":
                self._note("adopted", price)
            case _:
                self.left += 1

    def _note(self, fact: Fact, cost: int | None) -> None:
        self.journal.append(json.dumps([fact, cost]))
        self.budget = self.budget.noted(fact, cost)
        if self.dice.random() < 0.1:  # a checkpoint
            self.journal = [json.dumps(["account", self.budget.to_json()])]

    def _crash(self) -> None:
        self.crashes += 1
        fresh = Budget(self.budget.cap, self.budget.expected)
        for line in self.journal:
            what, value = json.loads(line)
            if what == "account":
                fresh = Budget.from_json(value, cap=fresh.cap, expected=fresh.expected)
            else:
                fresh = fresh.noted(what, value)
        assert fresh == self.budget, "the account was not rebuilt to the micro-dollar"
        self.budget = fresh


@pytest.mark.parametrize("seed", range(10))
def test_the_cap_holds_over_a_thousand_price_traces(seed: int) -> None:
    """Caps from a cent to ten dollars, heavy tails, crashes: the overshoot is what was promised, and mostly nothing."""
    dice = random.Random(seed)  # noqa: S311 - the same every time
    overshot = crashed = used = 0
    for _ in range(100):
        cap = int(10_000 * 1000 ** dice.random())
        typical = cap / dice.uniform(5, 400)
        expected = max(1, int(typical * dice.uniform(0.1, 3)))
        trace = Trace(dice, Budget(cap, expected), typical, dice.uniform(0, 1.5), left=dice.randint(1, 500))
        trace.run()
        over = max(0, trace.prices - cap)
        assert over <= sum(max(0, price - r) for price, r in trace.exposed)
        overshot += over > 0
        crashed += trace.crashes
        used += trace.prices > cap / 2
    assert overshot > 0, "no price was ever dear enough: the promise was not tested"
    assert overshot < 50
    assert crashed > 50
    assert used > 30


@given(st.integers(5_000, 10**6), st.integers(1, 3_800), st.integers(0, 2**32))
def test_no_overshoot_where_no_price_exceeds_the_reserve(cap: int, price: int, seed: int) -> None:
    """The usual case: the expected cost is what a picture costs at most."""
    dice = random.Random(seed)  # noqa: S311 - the same every time
    trace = Trace(dice, Budget(cap, 3_800), price / 2, 0, left=50)
    trace.dice.paretovariate = lambda alpha: 1.0  # type: ignore[method-assign]  # noqa: ARG005 - no tail at all
    trace.run()
    assert trace.prices <= cap
