"""The ledger of a backfill: intents together in a segment, outcomes where others see them, one of two ledgers wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fakes import ROOT, MemoryStore, NoAnswerError, Ticking, attempt, failure, identity_of, record
from journal_runs import UNTIMED, attempts

from airflow_provider_clarity.batch.adoption import View
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.journal_ledger import JournalLedger
from airflow_provider_clarity.batch.journal.merging import changed_attempts, merged, settles
from airflow_provider_clarity.batch.journal.segments import find_segments, read_segments, read_state
from airflow_provider_clarity.batch.ledger import Claim, RecordLedger, Wanted, record_uri
from airflow_provider_clarity.batch.record import RunEnd, TaskRecord
from airflow_provider_clarity.batch.tally import paid_in_vain
from airflow_provider_clarity.batch.tracked import ItemEnd, Tracked
from airflow_provider_clarity.exceptions import ClarityError, ClarityFencedError
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.gs_uri import GsUri
from airflow_provider_clarity.storage.sources import GsSource


def item(position: int) -> Item:
    known = record(position)
    return Item(
        source=GsSource(GsUri.parse(known.source)),
        source_generation=1,
        destination=GsUri.parse(known.destination),
        parameters=UpscaleParameters.model_validate(dict(known.parameters)),
        content_key=known.content_key,
        identity=known.identity,
        pixels=(512, 512),
    )


def unsent(position: int, n: int = 1, **changes: Any) -> Any:
    return attempt(position, n, sent_at=None, last_sent_at=None, **changes)


class Desk:
    """A runner with its journal and its ledger."""

    def __init__(self, store: MemoryStore, clock: Ticking, runner: str, root: GsUri = ROOT) -> None:
        self.journal = Journal(store, root, runner, clock=clock, monotonic=clock)
        self.journal.open()
        self.ledger = JournalLedger(self.journal, store, clock=clock)

    def claim(self, *wanted: Wanted) -> list[Any]:
        for one in wanted:
            self.ledger.take(one.item, int(one.item.identity, 16))
        return self.ledger.claim(wanted)

    def first(self, position: int) -> TaskRecord:
        """Claim the first attempt of an image that nobody knows."""
        answer = self.claim(Wanted(item(position), unsent(position)))[0]
        assert answer.granted
        assert isinstance(answer.record, TaskRecord)
        return answer.record


class Room:
    """A bucket and a clock, and runners over them."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), Ticking(5000.0)

    def desk(self, runner: str = "one", root: GsUri = ROOT) -> Desk:
        return Desk(self.store, self.clock, runner, root)

    def stored(self, position: int) -> TaskRecord | None:
        found = self.store.read_json(record_uri(item(position)))
        return TaskRecord.model_validate(found.value) if found is not None else None

    def single(self, owner: str = "single") -> RecordLedger:
        return RecordLedger(self.store, owner=owner, clock=self.clock, lease=20.0)

    def intents(self) -> list[list[int]]:
        """The positions of the intents of each segment."""
        found = find_segments(self.store, ROOT)
        return [
            [line.position for line in segment.lines if line.kind == "intent"]
            for segment in read_segments(self.store, ROOT, found)
        ]


@pytest.fixture
def room() -> Room:
    return Room()


def test_the_intents_of_an_array_are_one_segment_and_one_request(room: Room) -> None:
    """A hundred purchases must not take a hundred writes, and none may leave without one."""
    desk = room.desk()
    room.store.requests.clear()
    answers = desk.claim(*(Wanted(item(n), unsent(n)) for n in range(40)))
    assert all(answer.granted for answer in answers)
    assert room.store.requests == ["create"]
    assert room.intents() == [[], list(range(40))]
    assert answers[7].record.last == unsent(7).model_copy(update={"sent_at": 5000.0, "last_sent_at": 5000.0})
    assert desk.ledger.read(item(7)) == answers[7].record


def test_what_cannot_be_written_is_not_claimed(room: Room) -> None:
    """The POST must not leave; the same claim is granted when the store answers again."""
    desk = room.desk()
    room.store.fate = lambda _uri: "never"
    with pytest.raises(NoAnswerError):
        desk.first(1)
    assert desk.ledger.read(item(1)) is None
    room.store.fate = lambda _uri: "ok"
    desk.first(1)
    assert room.intents() == [[], [1], [1]]


def test_a_fenced_runner_is_granted_nothing(room: Room) -> None:
    """Whatever it still believes to hold."""
    desk = room.desk()
    room.desk("two")
    with pytest.raises(ClarityFencedError):
        desk.first(1)


def test_what_is_known_to_the_bucket_is_claimed_there_first(room: Room) -> None:
    """Of a backfill and a single image one wins, and the other follows."""
    single = room.single()
    single.claim_one(item(1), unsent(1))
    desk = room.desk()
    known = desk.ledger.read(item(1))
    assert known is not None
    answer = desk.claim(Wanted(item(1), known.attempts[0], known))[0]
    assert not answer.granted
    assert room.intents() == [[]]
    assert desk.ledger.may_claim_at(known) == 5000.0 + 20.0 + 60.0
    room.clock.now += 81
    answer = desk.claim(Wanted(item(1), known.attempts[0], known))[0]
    assert answer.granted
    assert room.intents() == [[], [1]]
    stored = room.stored(1)
    assert stored is not None
    assert stored.owner == "one"
    assert desk.journal.state.open[identity_of(1)].ours == ()  # its cost is theirs


@pytest.mark.parametrize("winner", ["one", "other"])
def test_of_two_ledgers_one_begins_the_second_attempt(room: Room, winner: str) -> None:
    """Two backfills that share an image share its purchases; the second attempt is bought once."""
    desks = {"one": room.desk(), "other": room.desk("other", ROOT.child("other/"))}
    failed = {}
    for name, desk in desks.items():
        desk.first(1)
        failed[name] = desk.ledger.note(item(1), lambda r: r.ended(1, "failed", 5001.0, failure=failure()))
    loser = "other" if winner == "one" else "one"
    won = desks[winner].claim(Wanted(item(1), unsent(1, 2), failed[winner]))[0]
    lost = desks[loser].claim(Wanted(item(1), unsent(1, 2), failed[loser]))[0]
    assert won.granted
    assert not lost.granted
    assert desks[winner].journal.state.open[identity_of(1)].ours == (1, 2)
    told = desks[loser].ledger.read(item(1))
    assert told is not None
    assert len(told.attempts) == 2
    assert desks[loser].journal.state.open[identity_of(1)].ours == (1,)


def test_an_outcome_is_one_request_and_known_to_all(room: Room) -> None:
    """A single image, or tomorrow's backfill, must find what was bought."""
    desk = room.desk()
    desk.first(1)
    room.store.requests.clear()
    desk.ledger.note(item(1), lambda r: r.acknowledged(1, 5001.0))
    assert room.store.requests == []
    delivered = desk.ledger.note(item(1), lambda r: r.ended(1, "delivered", 5002.0, cost_microusd=1300))
    assert room.store.requests == ["create"]
    assert room.stored(1) == delivered == desk.ledger.read(item(1))
    assert desk.journal.state.totals.spent_microusd == 1300
    assert room.single().read(item(1)) == delivered


def test_a_reply_that_was_lost_is_no_other_writer(room: Room) -> None:
    """The library repeats, meets its own success, and the record is as it was written."""
    desk = room.desk()
    desk.first(1)
    room.store.fate = lambda _uri: "repeated"
    delivered = desk.ledger.note(item(1), lambda r: r.ended(1, "delivered", 5002.0, cost_microusd=1300))
    assert room.stored(1) == delivered


def test_who_records_an_intent_first_pays_whoever_writes_the_record_first(room: Room) -> None:
    """Two backfills sent one UUID. The service told one of them: only the other's sum has the cost."""
    ours, theirs = room.desk(), room.desk("other", ROOT.child("other/"))
    for desk in (ours, theirs):
        desk.first(1)
    theirs.ledger.note(item(1), lambda r: r.acknowledged(1, 5001.0, adopted=True))
    change = lambda r: r.ended(1, "delivered", 5002.0, cost_microusd=1300)  # noqa: E731
    theirs.ledger.note(item(1), change)
    mine = ours.ledger.note(item(1), change)
    assert (ours.journal.state.totals.spent_microusd, theirs.journal.state.totals.spent_microusd) == (1300, 0)
    assert not mine.attempts[0].adopted


def test_a_better_end_of_somebody_else_is_believed(room: Room) -> None:
    """We call it lost; the record says that it was delivered meanwhile."""
    desk = room.desk()
    desk.first(1)
    single = room.single()
    single.note(item(1), lambda r: r.ended(1, "delivered", 5001.0, cost_microusd=1300), known=desk.ledger.read(item(1)))
    told = desk.ledger.note(item(1), lambda r: r.ended(1, "lost", 5002.0, failure=failure("lost")))
    assert told.attempts[0].outcome == "delivered"
    assert desk.journal.state.totals.spent_microusd == 1300


def test_the_end_of_a_round_is_not_written(room: Room) -> None:
    """A batch keeps its ends in its ledger; the record of a shared image must not grow by every run."""
    desk = room.desk()
    desk.first(1)
    end = RunEnd(round=0, max_tries=1, outcome="delivered", ended_at=5002.0)
    desk.ledger.note(item(1), lambda r: r.ended(1, "delivered", 5002.0).run_ended("place", end))
    stored = room.stored(1)
    assert stored is not None
    assert stored.runs == {}
    followed = desk.ledger.note(item(2), lambda r: r.run_ended("place", end), known=record(2))
    assert followed.runs == {}


def test_what_goes_on_after_an_outcome_is_written_through(room: Room) -> None:
    """A second attempt is in the task record: so are its acknowledgement and a refusal that takes it back."""
    desk = room.desk()
    desk.first(1)
    failed = desk.ledger.note(item(1), lambda r: r.ended(1, "failed", 5001.0, failure=failure()))
    assert desk.claim(Wanted(item(1), unsent(1, 2), failed))[0].granted
    desk.ledger.note(item(1), lambda r: r.refused(2))
    stored = room.stored(1)
    assert stored is not None
    assert stored.attempts[1].sent_at is None
    room.clock.now += 5
    again = desk.claim(Wanted(item(1), stored.attempts[1], stored))[0]
    assert again.granted
    assert again.record.attempts[1].last_sent_at == 5005.0
    desk.ledger.note(item(1), lambda r: r.acknowledged(2, 5006.0))
    stored = room.stored(1)
    assert stored is not None
    assert stored.attempts[1].acknowledged_at == 5006.0
    assert stored == desk.ledger.read(item(1))


def test_a_lost_attempt_that_is_found_is_open_for_all(room: Room) -> None:
    """Else a single image would buy again what the service is at work on."""
    desk = room.desk()
    desk.first(1)
    desk.ledger.note(item(1), lambda r: r.ended(1, "lost", 5001.0, failure=failure("lost")))
    desk.ledger.note(item(1), lambda r: r.reopened(1).acknowledged(1, 5002.0))
    stored = room.stored(1)
    assert stored is not None
    assert stored.attempts[0].outcome is None
    assert desk.journal.state.totals.in_flight == 1


def test_a_change_that_changes_nothing_is_not_written(room: Room) -> None:
    """Looks repeat what is known."""
    desk = room.desk()
    desk.first(1)
    desk.ledger.note(item(1), lambda r: r.acknowledged(1, 5001.0))
    desk.journal.append()
    room.store.requests.clear()
    desk.ledger.note(item(1), lambda r: r.acknowledged(1, 5002.0))
    desk.journal.append()
    assert room.store.requests == ["create"]
    assert room.intents() == [[], [1], [], []]


def test_a_killed_runners_attempt_is_sent_again_only_when_its_post_cannot_arrive(room: Room) -> None:
    """And never once the service is known to have it."""
    killed = room.desk()
    killed.first(1)
    killed.first(2)
    killed.ledger.note(item(2), lambda r: r.acknowledged(1, 5000.0))
    killed.journal.append()
    heir = room.desk("two")
    one, two = heir.ledger.read(item(1)), heir.ledger.read(item(2))
    assert one is not None
    assert two is not None
    assert heir.ledger.may_claim_at(one) == 5080.0
    assert heir.ledger.may_claim_at(two) == float("inf")
    wanted = [Wanted(item(1), one.attempts[0], one), Wanted(item(2), two.attempts[0], two)]
    assert not any(answer.granted for answer in heir.claim(*wanted))
    room.clock.now = 5080.0
    first, second = heir.claim(*wanted)
    assert first.granted
    assert (first.record.attempts[0].sent_at, first.record.attempts[0].last_sent_at) == (5000.0, 5080.0)
    assert not second.granted
    assert heir.journal.state.open[identity_of(1)].ours == (1,)


def test_a_released_runners_attempt_may_be_sent_again_at_once(room: Room) -> None:
    """Nothing of it is on its way."""
    before = room.desk()
    known = before.first(1)
    before.journal.release()
    heir = room.desk("two")
    assert heir.ledger.may_claim_at(known) == 0.0
    assert heir.claim(Wanted(item(1), known.attempts[0], known))[0].granted


def test_a_renewed_claim_keeps_others_away_from_now_on(room: Room) -> None:
    """A POST that left late must not race the heir's."""
    desk = room.desk()
    known = desk.first(1)
    room.clock.now += 25
    claim = desk.ledger.renew(item(1), known.attempts[0])
    assert claim.granted
    heir = room.desk("two")
    told = heir.ledger.read(item(1))
    assert told is not None
    assert told.attempts[0].last_sent_at == 5025.0
    assert heir.ledger.may_claim_at(told) == 5025.0 + 80.0
    assert heir.journal.state.totals.in_flight == 1


def test_a_claim_that_is_not_ours_any_more_is_not_renewed(room: Room) -> None:
    """What is acknowledged needs no POST; what a former runner holds is not ours; what is shared is asked there."""
    desk = room.desk()
    known = desk.first(1)
    desk.ledger.note(item(1), lambda r: r.acknowledged(1, 5001.0))
    assert not desk.ledger.renew(item(1), known.attempts[0]).granted
    assert not desk.ledger.renew(item(5), unsent(5)).granted
    desk.first(2)
    heir = room.desk("two")
    assert not heir.ledger.renew(item(2), record(2).attempts[0]).granted


@pytest.mark.parametrize("taken", [False, True])
def test_a_shared_claim_is_renewed_in_the_task_record_too(room: Room, taken: bool) -> None:  # noqa: FBT001
    """Or not at all, where another has it by now."""
    desk = room.desk()
    desk.first(1)
    failed = desk.ledger.note(item(1), lambda r: r.ended(1, "failed", 5001.0, failure=failure()))
    claim = desk.claim(Wanted(item(1), unsent(1, 2), failed))[0]
    room.clock.now += 100
    if taken:
        assert room.single().claim_one(item(1), claim.record.attempts[1]).granted
    renewed = desk.ledger.renew(item(1), claim.record.attempts[1])
    assert renewed.granted is not taken
    stored = room.stored(1)
    assert stored is not None
    assert stored.attempts[1].last_sent_at == 5100.0


def test_the_second_attempt_of_nothing_is_not_granted(room: Room) -> None:
    """The first, which may be on its way, would be looked up by nobody."""
    desk = room.desk()
    assert not desk.claim(Wanted(item(5), unsent(5, 2)))[0].granted
    assert room.intents() == [[]]


def test_what_another_began_meanwhile_is_theirs_also_when_we_send_it(room: Room) -> None:
    """The first intent pays. They began the second attempt, died, and we send it again under the same UUID."""
    desk = room.desk()
    desk.first(1)
    failed = desk.ledger.note(item(1), lambda r: r.ended(1, "failed", 5001.0, failure=failure()))
    theirs = unsent(1, 2, place="another/run/task/-1", run_key="another/run/task")
    assert room.single().claim_one(item(1), theirs).granted
    room.clock.now += 81
    claim = desk.claim(Wanted(item(1), unsent(1, 2), failed))[0]
    assert claim.granted
    assert claim.record.attempts[1].place == "another/run/task/-1"
    assert desk.journal.state.open[identity_of(1)].ours == (1,)
    assert desk.journal.state.totals.in_flight == 0


def test_what_is_wrong_with_one_record_concerns_that_image_only(room: Room) -> None:
    """A damaged record must not stop the ninety-nine others of an array."""
    room.store.create(record_uri(item(1)), b"{}", if_generation_match=0)
    desk = room.desk()
    bad, good = desk.claim(Wanted(item(1), unsent(1), record(1)), Wanted(item(2), unsent(2)))
    assert isinstance(bad, ClarityError)
    assert isinstance(good, Claim)
    assert good.granted
    assert room.intents() == [[], [2]]


@pytest.mark.parametrize("n", [0, 2])
def test_an_attempt_that_does_not_follow_is_not_granted(room: Room, n: int) -> None:
    """A second attempt while the first is open may be a second purchase."""
    desk = room.desk()
    known = desk.first(1)
    if n:
        assert not desk.claim(Wanted(item(1), unsent(1, n), known))[0].granted
    else:
        desk.ledger.note(item(1), lambda r: r.ended(1, "failed", 5001.0, failure=failure()))
        assert not desk.claim(Wanted(item(1), known.attempts[0], known))[0].granted


def tracked(position: int, end: ItemEnd, **changes: Any) -> Tracked:
    return replace(Tracked(item(position), View(run_key="dag/run/task")), end=end, **changes)


def test_an_image_is_settled_once_and_let_go_of(room: Room) -> None:
    """Its row is in the ledger, its cost in the sum."""
    desk = room.desk()
    desk.first(1)
    desk.ledger.note(item(1), lambda r: r.ended(1, "delivered", 5002.0, cost_microusd=1300))
    image = tracked(1, ItemEnd("delivered", "gs://print/1.jpg", "uuid", size=(1024, 1024), cost_microusd=1300))
    desk.ledger.settle(image, {"sku": "K-1"})
    desk.journal.append()
    state = read_state(room.store, ROOT, find_segments(room.store, ROOT))
    assert state.open == {}
    assert state.counts == {"delivered": 1}
    assert state.totals.spent_microusd == 1300
    segments = list(read_segments(room.store, ROOT, find_segments(room.store, ROOT)))
    row = segments[-1].lines[-1]
    assert row.kind == "end"
    assert (row.position, row.attempt, row.size, row.extra, row.adopted) == (1, 1, (1024, 1024), {"sku": "K-1"}, False)
    with pytest.raises(ValueError, match="not over"):
        desk.ledger.settle(replace(image, end=None))


@pytest.mark.parametrize("how", ["record", "image"])
def test_an_adopted_picture_is_counted_as_such(room: Room, how: str) -> None:
    """Its cost is in its row and in nobody's sum but its buyer's."""
    desk = room.desk()
    desk.first(1)
    desk.ledger.note(item(1), lambda r: r.acknowledged(1, 5001.0, adopted=how == "record"))
    desk.ledger.note(item(1), lambda r: r.ended(1, "delivered", 5002.0, cost_microusd=1300))
    end = ItemEnd("delivered", "gs://print/1.jpg", cost_microusd=1300)
    desk.ledger.settle(tracked(1, end, adopted=1 if how == "image" else None))
    assert desk.journal.state.adopted == 1
    assert desk.journal.state.totals.spent_microusd == 0


def test_what_is_in_flight_when_an_image_ends_stays_on_record(room: Room) -> None:
    """A role was missing, say: the next run must find the purchase, and not make another."""
    desk = room.desk()
    desk.first(1)
    desk.ledger.settle(tracked(1, ItemEnd("failed", None, failure=failure("delivery"))))
    stored = room.stored(1)
    assert stored is not None
    assert stored.attempts[0].outcome is None
    assert stored.attempts[0].sent_at == 5000.0
    assert desk.journal.state.totals.unknown == 1
    done = tracked(2, ItemEnd("done", "gs://print/2.jpg"))
    desk.ledger.take(item(2), 2)
    desk.ledger.settle(done)
    assert room.stored(2) is None
    assert desk.journal.state.counts == {"failed.delivery": 1, "done": 1}


@UNTIMED
@given(st.data())
def test_merging_keeps_what_is_ours_and_believes_what_became_of_it(data: Any) -> None:
    """Place and first POST are ours, the outcome is the record's, the cost is whose outcome was written first.

    But where another run's POST of it was turned away, and the service has it from us: that is not ours to believe.
    """
    stored = record(1, data.draw(attempts(1)), data.draw(attempts(1, 2)))
    local = record(1, data.draw(attempts(1)).model_copy(update={"place": "ours"}))
    found = merged(stored, local, (1,))
    mine, theirs = found.attempts
    assert theirs == stored.attempts[1]
    told = stored.attempts[0]
    if told.turned_away and local.attempts[0].acknowledged_at is not None:
        assert mine == local.attempts[0]
        return
    for_nothing = told.outcome == "failed" and told.cost_microusd is None and not paid_in_vain(told)
    theirs_to_pay = told.outcome is not None and not told.adopted and not for_nothing
    assert (mine.place, mine.adopted) == ("ours", local.attempts[0].adopted or theirs_to_pay)
    alike = stored.model_copy(
        update={"attempts": tuple(one.model_copy(update={"place": "ours"}) for one in stored.attempts)}
    )
    assert merged(alike, local, (1,)).attempts[0].adopted == (told.adopted and local.attempts[0].adopted)
    assert (mine.outcome, mine.failure, mine.kept) == (told.outcome, told.failure, told.kept)
    assert mine.cost_microusd in (stored.attempts[0].cost_microusd, local.attempts[0].cost_microusd)
    sent = [one.attempts[0].last_sent_at for one in (stored, local) if one.attempts[0].last_sent_at is not None]
    assert mine.last_sent_at == max(sent, default=None)
    known = {one.attempts[0].acknowledged_at for one in (stored, local)} - {None}
    assert (mine.acknowledged_at is not None) == bool(known)
    assert merged(stored, local, ()) == stored


@UNTIMED
@given(st.data())
def test_what_changed_is_told_and_outcomes_concern_others(data: Any) -> None:
    """An acknowledgement stays here; whatever has to do with an outcome does not."""
    before = record(1, data.draw(attempts(1)))
    after = record(1, data.draw(attempts(1)), *data.draw(st.sampled_from([(), (attempt(1, 2),)])))
    changed = changed_attempts(before, after)
    assert {one.n for one in changed} == {
        n for n in range(1, len(after.attempts) + 1) if before.attempts[n - 1 : n] != after.attempts[n - 1 : n]
    }
    first = any(one.n == 1 for one in changed)
    outcomes = (before.attempts[0].outcome, after.attempts[0].outcome)
    assert settles(before, after) == (first and outcomes != (None, None))
