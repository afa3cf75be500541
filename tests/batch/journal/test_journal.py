"""One runner and its ledger: what is appended is durable, what is uncertain is settled first, a lease has an end."""

from __future__ import annotations

from typing import Any

import pytest
from journal_fakes import ROOT, MemoryStore, NoAnswerError, Ticking, end, identity_of, intent

from airflow_provider_clarity.batch.journal.journal import CHECKPOINT_EVERY, Journal
from airflow_provider_clarity.batch.journal.lines import Learned, decode
from airflow_provider_clarity.batch.journal.segments import (
    find_segments,
    read_header,
    read_segments,
    read_state,
    segment_uri,
)
from airflow_provider_clarity.exceptions import ClarityFencedError, ClarityLostError
from airflow_provider_clarity.storage.uris import GsUri


def journal(store: MemoryStore, runner: str = "one", clock: Ticking | None = None, **how: Any) -> Journal:
    clock = clock or Ticking()
    return Journal(store, ROOT, runner, clock=clock, monotonic=clock, **how)


def opened(store: MemoryStore, runner: str = "one", clock: Ticking | None = None, **how: Any) -> Journal:
    made = journal(store, runner, clock, **how)
    made.open()
    return made


def stored(store: MemoryStore) -> Any:
    return read_state(store, ROOT, find_segments(store, ROOT))


def test_a_new_ledger_begins_with_a_takeover() -> None:
    """Epoch 1, sequence 1, and a checkpoint: a successor never has to read further back than that."""
    store = MemoryStore()
    state = opened(store).state
    assert (state.sequence, state.epoch, state.checkpoint, state.runner) == (1, 1, 1, "one")
    assert list(store.objects) == [segment_uri(ROOT, 1)]


def test_what_is_appended_is_known_to_a_successor() -> None:
    """The buffered lines of the last submit and the intents of the next one go together."""
    store = MemoryStore()
    one = opened(store)
    one.append([intent(1), intent(2)])
    one.buffer(end(1))
    one.append([intent(3)])
    assert len(store.objects) == 3
    two = opened(store, "two")
    assert two.state.counts == {"delivered": 1}
    assert {item.position for item in two.state.open.values()} == {2, 3}
    assert (two.state.sequence, two.state.epoch) == (4, 2)


def test_a_fenced_runner_appends_nothing_ever_again() -> None:
    """Not even once the one that took over is gone."""
    store = MemoryStore()
    one = opened(store)
    two = opened(store, "two")
    with pytest.raises(ClarityFencedError, match="Another try has taken over"):
        one.append([intent(1)])
    two.release()
    for call in (one.append, one.confirm, one.release, lambda: one.buffer(end(1)), one.open):
        with pytest.raises(ClarityFencedError):
            call()
    assert not one.fresh()
    assert len(store.objects) == 3
    assert stored(store).open == {}


def test_nothing_is_written_before_it_is_open() -> None:
    """A runner that never took over knows nothing of what is in flight."""
    one = journal(MemoryStore())
    with pytest.raises(ClarityFencedError, match="does not hold"):
        one.append()
    assert not one.fresh()


@pytest.mark.parametrize("fate", ["lost", "never", "late"])
def test_a_write_of_unknown_fate_is_settled_before_another(fate: str) -> None:
    """Else its late arrival would be taken for a foreign segment, or its intents would be known to nobody."""
    store = MemoryStore()
    one = opened(store)
    one.append([Learned(name="a", value=1)])
    store.fate = lambda _uri: fate
    with pytest.raises(NoAnswerError):
        one.append([intent(1)])
    assert identity_of(1) not in one.state.open
    store.fate = lambda _uri: "ok"
    one.buffer(end(5))
    one.append([intent(2)])
    while store.late:
        store.deliver_late(0)
    assert {item.position for item in one.state.open.values()} == {1, 2}
    assert stored(store) == one.state


def test_a_repeat_by_the_library_is_no_takeover() -> None:
    """It repeats a request whose reply was lost, and the repeat meets the first one's success."""
    store = MemoryStore(fate=lambda _uri: "repeated")
    one = opened(store)
    one.append([intent(1)])
    assert stored(store) == one.state
    assert one.state.sequence == 2


def test_another_process_of_the_same_name_is_foreign() -> None:
    """A fork that goes on under its parent's name has other lines."""
    store = MemoryStore()
    one, two = opened(store), journal(store)
    two._state, two._over, two._opened = one.state, None, True
    one.append([intent(1)])
    with pytest.raises(ClarityFencedError):
        two.append([intent(2)])


def test_a_conflict_with_nothing_is_found_out_later() -> None:
    """A segment that somebody deleted between the two requests says nothing of who wrote it."""
    store = MemoryStore(fate=lambda uri: "repeated" if uri == segment_uri(ROOT, 2) else "ok")
    one = opened(store)

    def vanish(kind: str, uri: GsUri) -> None:
        if kind == "stat":
            store.objects.pop(uri, None)

    store.before = vanish
    with pytest.raises(NoAnswerError.__mro__[1], match="changed by somebody else"):
        one.append([intent(1)])
    store.before = lambda _kind, _uri: None
    store.fate = lambda _uri: "ok"
    one.append()
    assert identity_of(1) in one.state.open


def test_a_lease_counts_from_before_the_write() -> None:
    """A write that took long leaves less time for the POST: the successor counts from when it was decided."""
    store, clock = MemoryStore(), Ticking()
    one = opened(store, clock=clock)
    assert one.fresh()
    store.before = lambda kind, _uri: setattr(clock, "now", clock.now + 15) if kind == "create" else None
    one.append([intent(1)])
    store.before = lambda _kind, _uri: None
    clock.now += 4.9
    assert one.fresh()
    clock.now += 0.2
    assert not one.fresh()
    one.confirm()
    assert one.fresh()


def test_a_segment_that_was_settled_late_begins_no_lease() -> None:
    """Its intents are as old as the first attempt to write them."""
    store, clock = MemoryStore(), Ticking()
    one = opened(store, clock=clock)
    store.fate = lambda _uri: "lost"
    with pytest.raises(NoAnswerError):
        one.append([intent(1)])
    clock.now += 30
    with pytest.raises(NoAnswerError):
        one.append([intent(2)])
    store.fate = lambda _uri: "ok"
    assert not one.fresh()


def test_confirm_finds_a_takeover_and_a_deletion() -> None:
    """Who slept longer than the lease learns what happened meanwhile before it sends anything."""
    store = MemoryStore()
    one = opened(store)
    opened(store, "two")
    with pytest.raises(ClarityFencedError, match="Another try"):
        one.confirm()
    other = MemoryStore()
    alone = opened(other)
    alone.append()
    other.objects.clear()
    with pytest.raises(ClarityFencedError, match="were deleted"):
        alone.confirm()
    with pytest.raises(ClarityFencedError, match="were deleted"):
        alone.append()
    assert not other.objects


def test_buffered_lines_are_known_at_once_and_due_after_a_second() -> None:
    """The caller paces the segments; nothing waits for the next submit for ever."""
    clock = Ticking()
    one = opened(MemoryStore(), clock=clock)
    assert not one.due(clock.now + 100)
    one.buffer(end(1))
    assert one.state.counts == {"delivered": 1}
    assert not one.due(clock.now + 0.9)
    assert one.due(clock.now + 1.0)
    clock.now += 0.5
    one.buffer(end(2))
    assert one.due(clock.now + 0.5)
    one.append()
    assert not one.due(clock.now + 100)


def test_a_line_that_contradicts_what_is_known_is_a_bug_of_the_writer() -> None:
    """Nothing of it is kept, and nothing is written."""
    store = MemoryStore()
    one = opened(store)
    one.buffer(end(1))
    with pytest.raises(ValueError, match="end: position 1 is over"):
        one.buffer(end(2), end(1))
    with pytest.raises(ValueError, match="intent: position 1 is over"):
        one.append([intent(1)])
    assert one.state.counts == {"delivered": 1}
    assert len(store.objects) == 1


def test_lines_that_come_during_a_write_are_in_the_next_segment() -> None:
    """Neither lost nor told twice."""
    store = MemoryStore()
    one = opened(store)
    one.buffer(end(1))
    store.before = lambda kind, _uri: one.buffer(end(len(store.requests))) if kind == "create" else None
    one.append([intent(3)])
    store.before = lambda _kind, _uri: None
    assert len(one.state.ended) == 2
    assert len(stored(store).ended) == 1
    one.append()
    assert stored(store) == one.state


def test_a_checkpoint_comes_every_so_often_and_with_a_release() -> None:
    """Replay never grows: a successor reads one header, and from its checkpoint on."""
    store = MemoryStore()
    one = opened(store)
    for number in range(CHECKPOINT_EVERY + 5):
        one.append([intent(number)])
    found = find_segments(store, ROOT)
    assert read_header(store, ROOT, found, CHECKPOINT_EVERY - 1).checkpoint == 1
    assert read_header(store, ROOT, found, found.head).checkpoint == CHECKPOINT_EVERY
    store.requests.clear()
    assert stored(store) == one.state
    assert store.requests.count("read") == 1 + (found.head - CHECKPOINT_EVERY + 1)
    one.release()
    assert read_header(store, ROOT, find_segments(store, ROOT), found.head + 1).kind == "released"
    assert stored(store).checkpoint == found.head + 1


def test_after_a_release_a_successor_need_not_wait() -> None:
    """And the one that released it writes nothing more."""
    store, clock = MemoryStore(), Ticking()
    one = opened(store, clock=clock)
    one.append([intent(1)])
    one.release()
    one.release()
    with pytest.raises(ClarityFencedError, match="has released"):
        one.append()
    with pytest.raises(ClarityFencedError, match="has released"):
        one.buffer(end(1))
    two = opened(store, "two", clock)
    assert two.may_touch_at(identity_of(1)) == 0.0
    three = opened(store, "three", clock)
    assert three.may_touch_at(identity_of(1)) == 0.0
    three.append([intent(1)])
    assert opened(store, "four", clock).may_touch_at(identity_of(1)) == 1000.0 + 20.0 + 60.0


def test_a_release_whose_reply_was_lost_is_settled() -> None:
    """It is tried again until it is known to have arrived."""
    store = MemoryStore()
    one = opened(store)
    store.fate = lambda _uri: "lost"
    with pytest.raises(NoAnswerError):
        one.release()
    store.fate = lambda _uri: "ok"
    one.release()
    assert stored(store).released
    assert len(store.objects) == 2


def test_after_a_release_of_unknown_fate_nothing_else_is_written() -> None:
    """If it arrived, a successor takes it that nothing of ours is on its way."""
    store = MemoryStore()
    one = opened(store)
    store.fate = lambda _uri: "lost"
    with pytest.raises(NoAnswerError):
        one.release()
    store.fate = lambda _uri: "ok"
    with pytest.raises(ClarityFencedError, match="has released"):
        one.append([intent(1)])
    assert stored(store).open == {}


def test_others_that_take_over_as_fast_as_we_do_are_left_alone() -> None:
    """Nobody tries for ever."""
    store = MemoryStore()
    numbers = iter(range(1000))

    def rival(kind: str, _uri: GsUri) -> None:
        if kind == "create":
            store.before = lambda _kind, _uri: None
            opened(store, f"rival {next(numbers)}")
            store.before = rival

    store.before = rival
    with pytest.raises(ClarityFencedError, match="taken over by others 20 times") as raised:
        opened(store)
    assert raised.value.retryable


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_missing_segment_is_not_guessed_at(lost: int) -> None:
    """What it said may be a purchase."""
    store = MemoryStore()
    one = opened(store)
    for number in range(3):
        one.append([intent(number)])
    del store.objects[segment_uri(ROOT, lost)]
    with pytest.raises(ClarityLostError, match=rf"{lost:08d}.jsonl.*it is missing"):
        journal(store).open()


def test_segments_that_contradict_each_other_are_damage() -> None:
    """A segment of an epoch that was over, written by hand or by a bug."""
    store = MemoryStore()
    one = opened(store)
    one.append()
    generation, data = store.objects[segment_uri(ROOT, 2)]
    store.objects[segment_uri(ROOT, 2)] = (generation, data.replace(b'"epoch":1', b'"epoch":3'))
    with pytest.raises(ClarityLostError, match=r"00000002.jsonl.*does not follow"):
        journal(store).open()


@pytest.mark.parametrize("kind", ["read", "header"])
def test_a_segment_that_vanishes_while_it_is_read_is_missing(kind: str) -> None:
    """The lifecycle rule may delete under our eyes."""
    store = MemoryStore()
    opened(store).append([intent(1)])
    found = find_segments(store, ROOT)
    store.objects.pop(segment_uri(ROOT, 2))
    read = {
        "read": lambda: list(read_segments(store, ROOT, found)),
        "header": lambda: read_header(store, ROOT, found, 2),
    }
    with pytest.raises(ClarityLostError, match="missing"):
        read[kind]()


def test_a_header_longer_than_its_first_read_is_read_whole() -> None:
    """Many kinds of outcome make a long one."""
    store = MemoryStore()
    one = opened(store)
    generation, data = store.objects[segment_uri(ROOT, 1)]
    counts = b'"counts":{%s}' % b",".join(b'"failed.kind%d":1' % number for number in range(800))
    store.objects[segment_uri(ROOT, 1)] = (generation, data.replace(b'"counts":{}', counts, 1))
    header = read_header(store, ROOT, find_segments(store, ROOT), 1)
    assert len(header.counts) == 800
    assert decode(store.objects[segment_uri(ROOT, 1)][1], "s").header == header
    assert one.state.counts == {}


def test_what_else_lies_in_the_folder_is_no_segment() -> None:
    """Somebody's note must not stop a run."""
    store = MemoryStore()
    opened(store)
    store.create(ROOT.child("segments/README"), b"hands off", if_generation_match=0)
    assert find_segments(store, ROOT).head == 1
    assert find_segments(store, ROOT, after=1).head == 0
