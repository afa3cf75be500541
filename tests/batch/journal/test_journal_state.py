"""What a run knows: the same however its segments were cut and from wherever they are replayed; a row ends once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fakes import attempt, end, failure, identity_of, intent, record
from journal_runs import RUNS, UNTIMED, attempts, lines, segments_of

from airflow_provider_clarity.batch.journal.lines import Header, Learned, News, Planned, Segment, decode, encode
from airflow_provider_clarity.batch.journal.ranges import Ranges
from airflow_provider_clarity.batch.journal.state import (
    RunState,
    applied,
    begun,
    refusal,
    replayed,
    restored,
)
from airflow_provider_clarity.batch.journal.totals import Totals, totals_of


def replay(segments: Any, state: RunState | None = None) -> RunState:
    state = state or RunState()
    for segment in segments:
        state = replayed(state, segment)
    return state


def opened(*found: Any) -> RunState:
    """The state of a runner that wrote some lines."""
    return applied(RunState(epoch=1, runner="r1", sequence=1), found)


@UNTIMED
@given(run=RUNS, at=st.integers(0, 20))
def test_replay_from_a_checkpoint_is_replay_from_the_start(run: Any, at: int) -> None:
    """Else what a successor knows, and buys, depends on how far back it read."""
    plain = segments_of(run)
    sequence = 1 + at % len(plain)
    made = segments_of(run, checkpoints=lambda number: number == sequence)
    stored = [decode(encode(segment), "gs://b/s") for segment in made]
    whole = replay(stored)
    assert replay(stored[sequence:], restored(stored[sequence - 1])) == whole
    assert replace(whole, checkpoint=0) == replace(replay(plain), checkpoint=0)


@UNTIMED
@given(found=st.lists(lines(), max_size=12), cuts=st.sets(st.integers(0, 12)))
def test_however_lines_are_split_they_give_the_same(found: Any, cuts: set[int]) -> None:
    """Else the pace at which segments are written would change what is known."""
    at_once = replay(segments_of([("work", found)]))
    edges = [0, *sorted(cut for cut in cuts if cut <= len(found)), len(found)]
    parts = [("work", found[first:upto]) for first, upto in pairwise(edges)]
    split = replay(segments_of(parts))
    same = {"sequence": 0, "at": 0.0}
    assert replace(split, **same) == replace(at_once, **same)


@UNTIMED
@given(run=RUNS)
def test_a_row_ends_once_and_is_not_open_then(run: Any) -> None:
    """Each row is in exactly one of: over, open, not begun; and each that is over is counted once."""
    state = replay(segments_of(run))
    assert len({item.position for item in state.open.values()}) == len(state.open)
    ends = [line for _, found in run for line in found if line.kind == "end"]
    assert {line.position for line in ends} <= {n for n in range(8) if n in state.ended}


@UNTIMED
@given(run=RUNS, line=lines())
def test_what_is_refused_changes_nothing(run: Any, line: Any) -> None:
    """And what is not refused does something, or is the same again."""
    state = replay(segments_of(run))
    after = applied(state, [line])
    if refusal(state, line) is not None:
        assert after == state
    elif line.kind == "end":
        assert line.position in after.ended
        assert sum(after.counts.values()) == sum(state.counts.values()) + 1
    elif line.kind == "intent":
        assert after.open[line.record.identity].record == line.record


def test_the_first_end_stays() -> None:
    """A zombie's late word must not turn a delivered picture into a failed one."""
    state = opened(end(3), end(3, "failed", failure=failure()))
    assert state.counts == {"delivered": 1}
    assert refusal(state, end(3)) == "position 3 is over"
    assert refusal(state, intent(3)) == "position 3 is over"


def test_failures_and_what_was_not_sent_are_counted_by_their_reason() -> None:
    """A summary that says only "failed" helps nobody."""
    state = opened(end(0, "failed", failure=failure("safety")), end(1, "failed"), end(2, "not_submitted", why="budget"))
    state = applied(state, [end(3, "not_submitted")])
    assert state.counts == {
        "failed.safety": 1, "failed.provider": 1, "not_submitted.budget": 1, "not_submitted.stopped": 1,
    }  # fmt: skip


def test_an_intent_is_of_one_image_at_one_position() -> None:
    """Two rows that share a final name never get here; if they do, the second is not taken for the first."""
    state = opened(intent(1))
    other = intent(1).model_copy(update={"record": record(2)})
    elsewhere = intent(1).model_copy(update={"position": 2})
    for line in (other, elsewhere):
        assert refusal(state, line) is not None
        assert applied(state, [line]) == state
    nothing = intent(4).model_copy(update={"record": record(4).model_copy(update={"attempts": ()})})
    assert refusal(state, nothing) == "an intent names an attempt"


def test_news_changes_the_attempts_it_names() -> None:
    """And of no image that is not open."""
    two = (attempt(1, outcome="failed"), attempt(1, 2))
    state = opened(intent(1, *two))
    told = applied(
        state, [News(identity=identity_of(1), attempts=(attempt(1, 2, acknowledged_at=5.0),), recorded=True)]
    )
    item = told.open[identity_of(1)]
    assert item.record.attempts == (two[0], attempt(1, 2, acknowledged_at=5.0))
    assert item.recorded
    assert refusal(state, News(identity=identity_of(2))) is not None
    gap = applied(state, [News(identity=identity_of(1), attempts=(attempt(1, 4),))])
    assert gap.open[identity_of(1)].record.attempts == two


def test_parts_of_the_plan_follow_each_other() -> None:
    """A part that is told twice, after a crash, counts once; none comes after the last."""
    first = Planned(number=1, first=0, rows=5, settled=((0, 2), (4, 5)), counts={"done": 2, "stale": 1})
    state = opened(first)
    assert (state.planned, state.part, state.complete, state.ended.spans) == (5, 1, False, ((0, 2), (4, 5)))
    assert state.counts == {"done": 2, "stale": 1}
    assert applied(state, [first]) == state
    assert refusal(state, Planned(number=2, first=4, rows=1)) is not None
    state = applied(state, [Planned(number=2, first=5, rows=1, last=True, passed_over={"no picture": 2})])
    assert (state.planned, state.complete, state.passed_over) == (6, True, {"no picture": 2})
    assert refusal(state, Planned(number=3, first=6, rows=1)) is not None


def test_what_was_learned_is_kept_by_name() -> None:
    """The window of the last try is where the next begins."""
    state = opened(Learned(name="window", value={"size": 4}), Learned(name="median", value=3.5))
    assert state.learned == {"window": {"size": 4}, "median": 3.5}
    state = applied(state, [Learned(name="window", value={"size": 5}), Learned(name="median")])
    assert state.learned == {"window": {"size": 5}}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seq": 9}, "sequence"),
        ({"epoch": 3}, "epoch"),
        ({"runner": "zombie"}, "runner"),
        ({"kind": "takeover"}, "a takeover in its own epoch"),
        ({"kind": "takeover", "epoch": 4}, "an epoch is left out"),
    ],
)
def test_a_segment_that_does_not_follow_is_no_part_of_the_run(changes: dict[str, Any], why: str) -> None:
    """Two runners whose segments mix would each know half."""
    state = RunState(sequence=7, checkpoint=1, epoch=2, runner="r2")
    good = Header(kind="work", runner="r2", epoch=2, seq=8, at=1.0, checkpoint=1)
    assert begun(state, good).sequence == 8
    with pytest.raises(ValueError, match="does not follow"):
        begun(state, good.model_copy(update=changes))
    with pytest.raises(ValueError, match="does not follow"):
        begun(replace(state, released=True), good)
    assert why


def test_a_segment_without_a_state_is_no_checkpoint() -> None:
    """Reading one as a checkpoint would forget everything before it."""
    with pytest.raises(ValueError, match="no checkpoint"):
        restored(Segment(Header(kind="work", runner="r", epoch=1, seq=2, at=1.0, checkpoint=1)))


def test_an_unacknowledged_attempt_of_a_killed_runner_is_held_until_its_post_cannot_arrive() -> None:
    """Else the killed runner's POST and ours are on their way at once."""
    segments = segments_of([("work", [intent(1), intent(2, attempt(2, acknowledged_at=1001.0))]), ("takeover", [])])
    killed = replay(segments)
    assert killed.may_touch_at(identity_of(1), 1010.0, lease=20.0) == 1000.0 + 20.0 + 60.0
    assert killed.may_touch_at(identity_of(2), 1010.0, lease=20.0) == float("inf")
    ours = applied(killed, [intent(1)])
    assert ours.may_touch_at(identity_of(1), 1010.0, lease=20.0) == 0.0


def test_what_was_released_may_be_touched_at_once_but_not_what_a_runner_before_left() -> None:
    """A release vouches for the runner that wrote it and for nobody else."""
    run = [("work", [intent(1)]), ("takeover", []), ("work", [intent(2)]), ("released", []), ("takeover", [])]
    state = replay(segments_of(run))
    assert state.epoch == 3
    assert state.may_touch_at(identity_of(2), 1010.0, lease=20.0) == 0.0
    assert state.may_touch_at(identity_of(1), 1010.0, lease=20.0) == 1080.0


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12), st.integers(0, 40))
def test_ranges_are_sets(spans: list[tuple[int, int]], upto: int) -> None:
    """Positions that are over, counted and asked for, against the set that they are."""
    known = {number for first, end in spans for number in range(first, end)}
    ranges = Ranges.of(spans)
    assert {number for number in range(40) if number in ranges} == known
    assert len(ranges) == len(known)
    assert list(ranges.missing(upto)) == [number for number in range(upto) if number not in known]
    assert all(first < end for first, end in ranges.spans)
    assert all(one[1] < two[0] for one, two in pairwise(ranges.spans))


@UNTIMED
@given(st.data())
def test_totals_count_every_attempt_that_may_have_cost_something(data: Any) -> None:
    """Each attempt of ours is priced, unknown, in flight, adopted, failed for nothing, or was never sent."""
    one = data.draw(attempts(1))
    total = totals_of([one])
    if one.adopted:
        assert (total.spent_microusd, total.unknown, total.in_flight, total.purchases) == (0, 0, 0, 0)
        return
    assert total.spent_microusd == (one.cost_microusd or 0 if one.outcome else 0)
    if one.outcome is None:
        assert (total.in_flight, total.unknown) == (int(one.sent_at is not None), 0)
    else:
        assert total.in_flight == 0
        assert total.unknown == int(one.cost_microusd is None and one.outcome != "failed")
        assert total.priced == int(one.cost_microusd is not None and one.outcome != "failed")
    assert total.closed().unknown == total.unknown + total.in_flight
    assert total + Totals() == total


@UNTIMED
@given(st.data())
def test_the_order_of_attempts_does_not_change_what_they_come_to(data: Any) -> None:
    """Sums and a maximum: to the micro-dollar."""
    several = [data.draw(attempts(n)) for n in range(4)]
    shuffled = data.draw(st.permutations(several))
    assert totals_of(several) == totals_of(shuffled) == sum((totals_of([one]) for one in several), Totals())


def test_what_somebody_else_bought_is_not_in_our_sum() -> None:
    """A cost belongs to the run that recorded the intent first; else one picture is billed to two caps."""
    bought = attempt(1, outcome="delivered", acknowledged_at=1.0, cost_microusd=1300)
    adopted = opened(intent(1, bought), end(1, adopted=True))
    assert (adopted.totals.spent_microusd, adopted.totals.purchases, adopted.adopted) == (0, 0, 1)
    assert adopted.totals.dearest_microusd == 1300
    others = opened(intent(1, bought, first=False), end(1)).totals
    assert (others.spent_microusd, others.purchases) == (0, 0)
    ours = opened(intent(1, bought), end(1)).totals
    assert (ours.spent_microusd, ours.purchases) == (1300, 1)
    assert opened(end(2, adopted=True)).totals == Totals()
    assert opened(end(2, "failed", adopted=True)).adopted == 0


def test_an_image_that_ends_in_flight_stays_reserved() -> None:
    """Its purchase may have been made; nobody will ever know."""
    assert opened(intent(1), end(1, "failed")).totals.unknown == 1
