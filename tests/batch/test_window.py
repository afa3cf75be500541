"""How many tasks may be with the service: the rule, its stored form, and what it makes of real capacities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_capacity import ROUND_TRIP, Client, Service, fixed, lognormal

from airflow_provider_clarity.batch.learned import Learned
from airflow_provider_clarity.batch.window import Window

FIXTURE = Path(__file__).parent / "fixtures" / "window_1.json"
NOW = 1_000_000.0

LEARNED = st.builds(Learned, st.lists(st.floats(0, 500), max_size=32).map(tuple))
TIMES = st.floats(NOW - 100, NOW + 100)
WINDOWS = st.integers(1, 300).flatmap(
    lambda ceiling: st.builds(
        Window,
        ceiling=st.just(ceiling),
        limit=st.integers(1, ceiling),
        reach=st.integers(1, 64),
        probe_at=TIMES,
        patience=st.floats(4, 60),
        fitted=st.integers(0, 300),
        whole=st.booleans(),
        refusals=st.integers(0, 2000),
        next_submit_at=TIMES,
        settled=st.integers(0, 300),
        learned=LEARNED,
        lessons=st.integers(0, 200),
        learn_from=TIMES,
        calm=st.none() | st.floats(0, 500),
        slow_since=st.none() | TIMES,
        cut_at=TIMES,
    )
)
IN_FLIGHT = st.integers(0, 400)
WAITS = st.none() | st.floats(0, 3600)


def window(**changes: object) -> Window:
    """A window of 20 of which all is known: it is full of successes, and tasks take what they took."""
    known = Window(
        ceiling=32, limit=20, reach=1, settled=20, learned=Learned((3.0,) * 32), lessons=64, calm=3.0, patience=8.0
    )
    return replace(known, **changes)  # type: ignore[arg-type]


class TestRoom:
    def test_it_opens_with_four(self) -> None:
        """The vendor advises 2 to 4 at a time; the user's ceiling is above all."""
        assert Window.opened(32).room(0, NOW) == 4
        assert Window.opened(3).room(0, NOW) == 3
        assert Window.opened(1).limit == 1
        assert Window.opened(32) == Window(ceiling=32, limit=4, reach=4)
        assert Window.opened(2) == Window(ceiling=2, limit=2, reach=4)
        with pytest.raises(ValueError, match="one task at least, not for 0"):
            Window.opened(0)

    def test_what_is_free_leaves_together(self) -> None:
        """Large arrays, few POSTs; where POSTs are refused as a whole, the last one is small."""
        assert window(settled=0).room(4, NOW) == 16
        assert window(whole=True).room(4, NOW) == 11
        assert [window(whole=True).room(n, NOW) for n in (17, 18, 19)] == [2, 2, 1]

    def test_nothing_leaves_before_its_time(self) -> None:
        """``Retry-After`` is a floor, for probes too."""
        assert window(next_submit_at=NOW + 0.1).room(0, NOW) == 0
        assert window(next_submit_at=NOW, settled=0).room(0, NOW) == 20
        assert window(next_submit_at=NOW + 0.1).room(20, NOW) == 0

    def test_a_probe_leaves_after_a_window_full_of_successes(self) -> None:
        """Else its reply would say nothing. Where POSTs are refused as a whole it leaves alone."""
        assert window().room(20, NOW) == 1
        assert window(reach=3).room(4, NOW) == 19
        assert window(reach=3, probe_at=NOW + 0.1).room(4, NOW) == 16
        assert window(reach=3, whole=True).room(4, NOW) == 11
        assert window(reach=3, whole=True).room(20, NOW) == 3
        assert window(reach=8).room(20, NOW) == 8
        assert window(reach=64).room(20, NOW) == 12  # the ceiling
        assert window(probe_at=NOW).room(20, NOW) == 1
        assert window(probe_at=NOW + 0.1).room(20, NOW) == 0
        assert window(settled=19).room(20, NOW) == 0
        assert window().room(21, NOW) == 0
        assert window(limit=32, settled=32).room(32, NOW) == 0

    def test_it_does_not_grow_while_tasks_wait_in_a_queue(self) -> None:
        """Twice as long as when the window was small: more of them would only wait longer."""
        assert window(reach=64, ceiling=100).room(20, NOW) == 20
        assert window(reach=64, calm=2.0).room(20, NOW) == 6
        assert window(reach=64, calm=1.5).room(20, NOW) == 1
        assert not window(calm=1.5).slow
        assert window(calm=1.49).slow
        assert window(reach=64, calm=1.49).room(20, NOW) == 0
        assert not window(calm=1.49, learned=Learned()).slow

    def test_a_wide_window_waits_until_it_has_learned(self) -> None:
        """After it was begun anew; but where nothing can be learned, tasks being watched by a trigger, it grows."""
        assert window(calm=None).room(20, NOW) == 0
        assert window(calm=None, learned=Learned((3.0,))).room(20, NOW) == 0
        assert window(calm=None, learned=Learned()).room(20, NOW) == 1
        assert window(calm=2.0, learned=Learned()).room(20, NOW) == 1
        assert window(calm=None, limit=9).room(9, NOW) == 0
        assert window(calm=None, limit=8, reach=8).room(8, NOW) == 8
        assert window(calm=0.0, learned=Learned((0.0,) * 4)).room(20, NOW) == 0  # no median to divide by

    @given(WINDOWS, IN_FLIGHT, TIMES)
    def test_it_never_asks_for_too_much(self, any_window: Window, in_flight: int, now: float) -> None:
        """Never beyond the ceiling, and beyond the limit only by a probe; where that must leave alone, it does."""
        room = any_window.room(in_flight, now)
        assert room >= 0
        if room:
            assert now >= any_window.next_submit_at
            assert in_flight + room <= any_window.ceiling
            assert in_flight <= any_window.limit
            assert in_flight + room <= any_window.limit + any_window.reach
            if in_flight + room > any_window.limit:
                assert now >= any_window.probe_at
                assert in_flight == any_window.limit or not any_window.whole

    @pytest.mark.parametrize("whole", [False, True])
    def test_after_two_refusals_one_task_asks(self, whole: bool) -> None:  # noqa: FBT001
        """What became free at a service whose slots were cut would be turned away as it comes."""
        rooms = [window(refusals=n, settled=0, whole=whole).room(8, NOW) for n in (0, 1, 2, 9)]
        assert rooms == [8 if whole else 12, 8 if whole else 12, 1, 1]
        assert window(refusals=2, settled=0, whole=whole).room(20, NOW) == 0

    def test_it_opens_at_a_time_or_by_an_end(self) -> None:
        """A pause and a probe come by themselves; a full window needs the end of one in flight."""
        assert window().opens_at(3, NOW) == NOW
        assert window(next_submit_at=NOW + 5).opens_at(3, NOW) == NOW + 5
        assert window(probe_at=NOW + 3).opens_at(20, NOW) == NOW + 3
        assert window(probe_at=NOW + 3, next_submit_at=NOW + 5).opens_at(20, NOW) == NOW + 5
        assert window(probe_at=NOW - 3).opens_at(20, NOW) == NOW
        assert window().opens_at(21, NOW) == math.inf
        assert window(settled=0).opens_at(20, NOW) == math.inf

    @given(WINDOWS, IN_FLIGHT, TIMES)
    def test_it_says_when_it_opens(self, any_window: Window, in_flight: int, now: float) -> None:
        """Before that there is no room, and then there is: nobody waits for nothing, nor too long."""
        at = any_window.opens_at(in_flight, now)
        assert at >= now
        if any_window.room(in_flight, now):
            assert at == now
        else:
            assert at > now
        if at < math.inf:
            assert any_window.room(in_flight, at) > 0
            assert any_window.room(in_flight, (now + at) / 2) == 0 or at == now
        else:
            assert any_window.room(in_flight, now + 1e6) == 0


class TestReplies:
    @given(WINDOWS, st.integers(0, 100), st.integers(0, 100), IN_FLIGHT, WAITS, TIMES)
    def test_it_keeps_its_bounds(
        self, any_window: Window, accepted: int, refused: int, in_flight: int, wait: float | None, sent_at: float
    ) -> None:
        """Whatever is answered, there is a window of 1 at least, and nothing leaves too early."""
        for after in (
            any_window.answered(accepted=accepted, refused=refused, in_flight=in_flight, now=NOW, retry_after=wait),
            any_window.overloaded(sent_at=sent_at, now=NOW, retry_after=wait),
            any_window.succeeded(sent_at, NOW),
            any_window.succeeded(sent_at, NOW, watched=False),
        ):
            assert 1 <= after.limit <= after.ceiling == any_window.ceiling
            assert after.reach >= 1
            assert 0 <= after.patience <= 60
            assert after.next_submit_at >= any_window.next_submit_at
            if after.refusals > any_window.refusals:
                assert after.next_submit_at >= NOW + (wait or 0.0)

    def test_a_refusal_sets_it_to_what_fits(self) -> None:
        """The capacity just seen: what the service has accepted and not finished."""
        cut = window(reach=8).answered(accepted=3, refused=7, in_flight=13, now=NOW)
        assert (cut.limit, cut.fitted, cut.reach, cut.settled, cut.whole) == (13, 13, 1, 0, False)
        assert cut.next_submit_at == NOW
        assert window(refusals=5).answered(accepted=1, refused=1, in_flight=9, now=NOW).refusals == 0
        assert window().answered(accepted=1, refused=1, in_flight=40, now=NOW).limit == 32

    def test_a_refused_array_fits_by_half(self) -> None:
        """Of a whole POST that is refused nobody says how much of it was too much."""
        cut = window().answered(accepted=0, refused=8, in_flight=12, now=NOW)
        assert (cut.limit, cut.whole, cut.refusals) == (16, True, 1)
        assert window().answered(accepted=0, refused=9, in_flight=0, now=NOW).limit == 4
        assert window().answered(accepted=0, refused=2, in_flight=19, now=NOW).whole
        alone = window().answered(accepted=0, refused=1, in_flight=20, now=NOW)
        assert (alone.limit, alone.whole) == (20, False)
        assert window().answered(accepted=0, refused=1, in_flight=0, now=NOW).limit == 1
        assert window(whole=True).answered(accepted=0, refused=1, in_flight=20, now=NOW).whole
        assert not window(whole=True).answered(accepted=1, refused=1, in_flight=20, now=NOW).whole

    @pytest.mark.parametrize(
        ("fitted", "patience"), [(0, 4), (18, 4), (19, 16), (20, 16), (22, 16), (23, 4), (10, 4), (40, 4)]
    )
    def test_the_same_refusal_again_makes_probes_rare(self, fitted: int, patience: float) -> None:
        """Where the capacity has changed, it is looked for closely."""
        cut = window(fitted=fitted).answered(accepted=0, refused=1, in_flight=20, now=NOW)
        assert cut.patience == patience
        assert cut.probe_at == NOW + patience

    def test_a_tenth_is_no_change(self) -> None:
        """Neither less nor more."""
        wide = window(fitted=30, ceiling=64, limit=40)
        for fits, patience in ((26, 4), (27, 16), (33, 16), (34, 4)):
            assert wide.answered(accepted=0, refused=1, in_flight=fits, now=NOW).patience == patience

    def test_probes_are_a_minute_apart_at_most(self) -> None:
        """So that restored capacity is found within two minutes."""
        cut = window(fitted=20, patience=40).answered(accepted=0, refused=1, in_flight=20, now=NOW)
        assert cut.patience == 60

    def test_a_probe_that_is_taken_raises_it(self) -> None:
        """And the next is twice as large: 40 slots are found again within six probes."""
        raised = window(reach=4, refusals=2).answered(accepted=4, refused=0, in_flight=24, now=NOW)
        assert raised == window(limit=24, reach=8, settled=0, probe_at=NOW + 1)
        assert window().answered(accepted=4, refused=0, in_flight=40, now=NOW).limit == 32

    def test_where_something_was_refused_before_probes_grow_to_a_quarter(self) -> None:
        """There is a limit somewhere: a probe as large as the window would be turned away by half."""
        reaches = [
            window(reach=reach, fitted=fitted).answered(accepted=4, refused=0, in_flight=n, now=NOW).reach
            for reach, fitted, n in ((4, 20, 24), (2, 20, 24), (3, 20, 24), (1, 1, 3), (16, 0, 24))
        ]
        assert reaches == [6, 4, 6, 1, 32]

    def test_what_is_taken_within_the_window_changes_nothing(self) -> None:
        """But that refusals are over; and a reply that is lost says nothing at all."""
        assert window(refusals=3).answered(accepted=4, refused=0, in_flight=20, now=NOW) == window()
        assert window(refusals=3).answered(accepted=0, refused=0, in_flight=30, now=NOW) == window(refusals=3)

    def test_refusals_in_a_row_make_it_wait_longer(self) -> None:
        """A single one only says that it is full. A minute is the most, whatever the number."""
        waits, refused = [], window()
        for _ in range(11):
            refused = refused.answered(accepted=0, refused=1, in_flight=0, now=NOW)
            waits.append(refused.next_submit_at - NOW)
        assert waits == [0, 0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert window(refusals=5000).answered(accepted=0, refused=1, in_flight=0, now=NOW).next_submit_at == NOW + 60

    def test_retry_after_is_a_floor(self) -> None:
        """For the next submit, and never a shorter wait than what is known already."""
        assert window().answered(accepted=1, refused=1, in_flight=9, now=NOW, retry_after=30).next_submit_at == NOW + 30
        later = window(next_submit_at=NOW + 90)
        assert later.answered(accepted=1, refused=1, in_flight=9, now=NOW, retry_after=30) != later
        assert later.answered(accepted=1, refused=1, in_flight=9, now=NOW, retry_after=30).next_submit_at == NOW + 90
        assert window().overloaded(sent_at=NOW - 1, now=NOW, retry_after=30).next_submit_at == NOW + 30
        assert later.overloaded(sent_at=NOW - 1, now=NOW, retry_after=30).next_submit_at == NOW + 90

    def test_an_overload_makes_it_smaller_once(self) -> None:
        """By three tenths; POSTs that were under way together are one overload."""
        cut = window(reach=8).overloaded(sent_at=NOW - 1, now=NOW)
        assert cut == window(
            limit=14, reach=1, settled=0, probe_at=NOW + 4, cut_at=NOW, refusals=1, next_submit_at=NOW + 1
        )
        again = cut.overloaded(sent_at=NOW - 0.5, now=NOW + 0.5)
        assert again == replace(cut, refusals=2, next_submit_at=NOW + 2.5)
        assert again.overloaded(sent_at=NOW, now=NOW + 5).limit == 9
        assert window(limit=1).overloaded(sent_at=NOW - 1, now=NOW).limit == 1


class TestLearning:
    def test_a_success_is_counted_and_its_time_learned(self) -> None:
        """From the submit to the look that found it done."""
        after = window(settled=4).succeeded(NOW - 5, NOW)
        assert after == window(settled=5, lessons=65, learned=Learned((3.0,) * 31 + (5.0,)))
        assert window(settled=4).succeeded(NOW - 5, NOW, watched=False) == window(settled=5)

    def test_what_was_sent_before_it_changed_says_nothing(self) -> None:
        """It waited in the longer queue."""
        assert window(learn_from=NOW - 4).succeeded(NOW - 5, NOW) == window(learn_from=NOW - 4)
        assert window(learn_from=NOW - 5).succeeded(NOW - 5, NOW) != window(learn_from=NOW - 5)

    @pytest.mark.parametrize("lessons", [8, 16, 32, 64, 96])
    def test_calm_is_the_shortest_time_seen(self, lessons: int) -> None:
        """In the middle of some tasks, and not of every few: the least of many would be luck."""
        short = window(limit=8, settled=8, lessons=lessons - 1, learned=Learned((2.0,) * 8))
        assert short.succeeded(NOW - 2, NOW).calm == 2.0
        assert replace(short, calm=None).succeeded(NOW - 2, NOW).calm == 2.0
        assert replace(short, calm=1.5).succeeded(NOW - 2, NOW).calm == 1.5
        assert replace(short, lessons=lessons).succeeded(NOW - 2, NOW).calm == 3.0
        assert replace(short, learned=Learned()).succeeded(NOW - 2, NOW).calm == 3.0

    @pytest.mark.parametrize("limit", [8, 9, 32, 33])
    def test_a_window_that_has_not_turned_over_says_nothing_of_calm(self, limit: int) -> None:
        """The quick ones are done first; taken for the middle of all, they make what is usual look slow for ever."""
        for lessons in (8, 32):
            young = window(ceiling=64, limit=limit, lessons=lessons - 1, learned=Learned((1.0,) * 8), calm=None)
            assert young.succeeded(NOW - 1, NOW).calm == (1.0 if lessons >= limit else None)

    def test_what_is_slow_for_long_is_learned_anew(self) -> None:
        """Twenty task times: in half a window, from tasks that are sent from now on."""
        slow = window(learned=Learned((7.0,) * 32))
        noticed = slow.succeeded(NOW - 7, NOW)
        assert noticed.slow_since == NOW
        assert noticed.succeeded(NOW + 133, NOW + 140).limit == 20
        anew = replace(noticed, reach=4).succeeded(NOW + 134, NOW + 140.1)
        assert (anew.limit, anew.reach, anew.settled, anew.lessons, anew.learn_from) == (10, 1, 0, 0, NOW + 140.1)
        assert (anew.learned, anew.calm, anew.slow_since) == (Learned(), None, None)
        assert replace(noticed, limit=1).succeeded(NOW + 134, NOW + 141).limit == 1
        assert repr(replace(noticed, limit=21).succeeded(NOW + 134, NOW + 141).limit) == "10"

    def test_who_is_quick_again_is_not_slow(self) -> None:
        """A slow minute is forgotten."""
        assert window(slow_since=NOW - 500).succeeded(NOW - 3, NOW).slow_since is None
        assert window(slow_since=NOW - 500, calm=None, lessons=0).succeeded(NOW - 3, NOW).slow_since is None


class TestStored:
    @given(WINDOWS)
    def test_it_comes_back(self, any_window: Window) -> None:
        """After a crash or a deferral the capacity need not be found again."""
        stored = json.loads(json.dumps(any_window.to_json()))
        back = Window.from_json(stored, ceiling=any_window.ceiling, now=NOW + 1000)
        assert back == replace(any_window, slow_since=None)

    def test_the_form_of_this_release_loads_for_ever(self) -> None:
        """Also with keys that a later one adds."""
        stored = json.loads(FIXTURE.read_text())
        loaded = Window.from_json(stored, ceiling=64, now=NOW)
        assert loaded.limit == 47
        assert loaded.learned.took == (3.1, 2.9, 3.0, 3.2)
        assert loaded.to_json() == stored
        assert Window.from_json(stored | {"new": 1}, ceiling=64, now=NOW) == loaded

    def test_the_ceiling_is_what_the_user_says_today(self) -> None:
        """A smaller one counts at once."""
        assert Window.from_json(window().to_json(), ceiling=7, now=NOW).limit == 7
        assert Window.from_json(window().to_json(), ceiling=7, now=NOW).ceiling == 7
        assert "ceiling" not in window().to_json()

    def test_another_machines_clock_is_not_waited_for(self) -> None:
        """A stored time may be far in the future."""
        ahead = window(probe_at=NOW + 9e5, next_submit_at=NOW + 9e5, learn_from=NOW + 9e5, cut_at=NOW + 9e5)
        back = Window.from_json(ahead.to_json(), ceiling=32, now=NOW)
        assert back == window(probe_at=NOW + 60, next_submit_at=NOW + 3600, learn_from=NOW, cut_at=NOW)

    @pytest.mark.parametrize(
        "change", [{"v": 2}, {"v": None}, {"limit": 0}, {"limit": "x"}, {"calm": "NaN"}, {"probe_at": math.inf}]
    )
    def test_what_cannot_be_read_is_begun_anew(self, change: dict[str, object]) -> None:
        """It is advice: no money depends on it."""
        assert Window.from_json(window().to_json() | change, ceiling=32, now=NOW) == Window.opened(32)
        assert Window.from_json([], ceiling=32, now=NOW) == Window.opened(32)


MODELS: dict[str, tuple[Callable[[], Callable[[], float]], float]] = {
    "fixed": (fixed, 3.0),
    "lognormal": (lognormal, 3.0 * math.exp(0.18)),
}
"""Service times, and their mean."""


def worked(model: str, queue: int, mode: str, *, until: float = 600, looks_every: float = 0.25) -> Client:
    """Let a client with a ceiling of 200 work on 50 slots, which are 10 from minute 10 and 50 again from minute 15."""
    service = Service(MODELS[model][0](), 50, queue, whole=mode == "whole POSTs")
    changes = [(600, lambda s: setattr(s, "slots", 10)), (900, lambda s: setattr(s, "slots", 50))]
    return Client(Window.opened(200), service, looks_every).run(until, changes)


@pytest.mark.parametrize("mode", ["each task", "whole POSTs"])
@pytest.mark.parametrize("queue", [0, 100])
@pytest.mark.parametrize("model", ["fixed", "lognormal"])
class TestCapacity:
    def test_slots_are_used_and_few_tasks_turned_away(self, model: str, queue: int, mode: str) -> None:
        """After the first minute nine in ten slots work and one task in a hundred is answered 429, at most.

        When slots are cut it has adapted within a minute, when they are restored within two.
        """
        client = worked(model, queue, mode, until=1320)
        assert client.used(60, 600) >= 0.9
        assert client.turned_away(60, 600) <= 0.01
        assert client.used(660, 900) >= 0.9
        assert client.turned_away(660, 900) <= 0.01
        assert client.used(1020, 1320) >= 0.9
        assert client.turned_away(1020, 1320) <= 0.01
        assert client.turned_away(60, 1320) <= 0.01

    def test_it_is_not_the_window_that_leaves_slots_idle(self, model: str, queue: int, mode: str) -> None:
        """Where looks are a second apart and nobody queues, a slot waits for the next look; for no more than that."""
        client = worked(model, queue, mode, looks_every=1.0)
        mean = MODELS[model][1]
        possible = 1.0 if queue else mean / (mean + 0.5 + 1.5 * ROUND_TRIP)
        assert client.used(60, 600) >= 0.94 * possible
        assert client.turned_away(60, 600) <= 0.01


class TestTrouble:
    def test_a_service_that_takes_nothing_is_asked_less_and_less(self) -> None:
        """Two minutes of nothing but 429 are few POSTs; then it is as before."""
        client = Client(Window.opened(200), Service(fixed(), 50, 0, whole=False))
        client.run(420, [(60, lambda s: setattr(s, "slots", 0)), (180, lambda s: setattr(s, "slots", 50))])
        assert sum(64 <= at < 180 for at in client.posts) <= 12
        assert client.used(300, 420) >= 0.9

    def test_retry_after_is_kept(self) -> None:
        """No POST within it."""
        client = Client(Window.opened(200), Service(fixed(), 8, 0, whole=False), retry_after=7.0)
        client.run(60)
        assert client.refused > 0
        pauses = [later - at for at, later in zip(client.posts, client.posts[1:], strict=False)]
        assert max(pauses) >= 7.0
        assert client.window.limit == 8

    def test_an_endless_queue_is_not_filled(self) -> None:
        """Two slots, a minute a task, nobody refuses anything: it stays near what is of use."""
        client = Client(Window.opened(200), Service(fixed(60), 2, 10_000, whole=False), 1.0)
        client.run(7200)
        assert client.window.limit <= 16
        assert client.used(60, 7200) > 0.99

    def test_work_that_takes_longer_is_no_queue(self) -> None:
        """Larger images take four times as long: it is mistaken for a queue, found out, and grown past."""
        took = [3.0]
        client = Client(Window.opened(200), Service(lambda: took[0], 50, 0, whole=False))
        client.run(600, [(8, lambda _: took.__setitem__(0, 12.0))])
        assert client.marks[20].limit < 50
        assert client.used(420, 600) >= 0.9
