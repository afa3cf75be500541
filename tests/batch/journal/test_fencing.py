"""Runners that wake, sleep, lose replies and come late, in any order: one at a time writes, and nothing is lost.

A state machine of three runners over one ledger. Between any two requests of one, another may do a whole call; replies
are lost, and requests arrive long after their sender gave up.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from journal_fakes import ROOT, MemoryStore, NoAnswerError, Ticking, intent

from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.lines import Segment, decode
from airflow_provider_clarity.batch.journal.segments import find_segments, read_state
from airflow_provider_clarity.batch.journal.state import RunState, replayed
from airflow_provider_clarity.exceptions import ClarityFencedError

NAMES = ("a", "b", "c")
FATES = st.sampled_from(["ok", "ok", "ok", "lost", "repeated", "never", "late"])
CALLS = st.sampled_from(["append", "append", "append", "open", "confirm", "release"])


class Runners(RuleBasedStateMachine):
    """Three processes that all believe to be the one."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.clock = Ticking()
        self.lives = 0
        self.number = 0
        self.journals: dict[str, Journal] = {}
        self.fenced: set[str] = set()
        self.granted: dict[int, str] = {}  # position of an accepted intent, and whose
        for name in NAMES:
            self._reborn(name)
        self.journals["a"].open()

    def _reborn(self, name: str) -> None:
        self.lives += 1
        self.journals[name] = Journal(
            self.store, ROOT, f"{name}{self.lives}", clock=self.clock, monotonic=self.clock, lease=20.0
        )
        self.fenced.discard(name)

    @precondition(lambda self: self.fenced)
    @rule(name=st.sampled_from(NAMES))
    def dies(self, name: str) -> None:
        """A process is killed, and another begins in its place."""
        self.clock.now += 7
        self._reborn(name)

    @rule(name=st.sampled_from(NAMES), fates=st.lists(FATES, min_size=1, max_size=4))
    def works(self, name: str, fates: list[str]) -> None:
        """One submits again and again, with nobody else around."""
        for fate in fates:
            self._call(name, "append", fate)

    @precondition(lambda self: self.store.late)
    @rule(number=st.integers(0, 9))
    def a_late_request_arrives(self, number: int) -> None:
        self.store.deliver_late(number)

    @rule(
        name=st.sampled_from(NAMES),
        call=CALLS,
        fate=FATES,
        between=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(NAMES), CALLS, FATES), max_size=2),
    )
    def acts(self, name: str, call: str, fate: str, between: Any) -> None:
        """One calls its journal; between its requests others do."""
        plan = {after: (who, what, how) for after, who, what, how in between if who != name}
        seen = 0

        def interleave(_kind: str, _uri: Any) -> None:
            nonlocal seen
            step = plan.pop(seen, None)
            seen += 1
            if step is not None:
                self.store.before = lambda _kind, _uri: None
                self._call(*step)
                self.store.before, self.store.fate = interleave, lambda _uri: fate

        self.store.before = interleave
        self._call(name, call, fate)
        self.store.before = lambda _kind, _uri: None

    def _call(self, name: str, call: str, fate: str) -> None:
        journal = self.journals[name]
        self.store.fate = lambda _uri: fate
        was_fenced = name in self.fenced
        self.number += 1
        position = self.number
        try:
            match call:
                case "open":
                    journal.open()
                case "append":
                    journal.append([intent(position)])
                    self.granted[position] = journal.runner
                case "confirm":
                    journal.confirm()
                    assert journal.fresh()
                case _:
                    journal.release()
        except ClarityFencedError as error:
            if "Another try has taken over" in str(error):
                epochs = [segment.header.epoch for segment in self._segments()]
                assert epochs[-1] > journal.state.epoch, "fenced by nobody"
                self.fenced.add(name)
            elif "has released" in str(error):
                self.fenced.add(name)
        except NoAnswerError:
            pass
        else:
            assert not was_fenced or call == "release", "a fenced runner was let in again"

    def _segments(self) -> list[Segment]:
        return [decode(data, str(uri)) for uri, (_, data) in sorted(self.store.objects.items())]

    @invariant()
    def the_ledger_is_one_story(self) -> None:
        """Sequences without a gap; an epoch is one runner's and begins with its takeover; a checkpoint is the truth."""
        state = RunState()
        owners: dict[int, str] = {}
        for segment in self._segments():
            state = replayed(state, segment)
            assert owners.setdefault(segment.header.epoch, segment.header.runner) == segment.header.runner
        if self.store.objects:
            self.store.fate = lambda _uri: "ok"
            assert read_state(self.store, ROOT, find_segments(self.store, ROOT)) == state

    @invariant()
    def what_was_granted_is_in_the_ledger_once(self) -> None:
        """A POST leaves only for what every successor knows, and only one runner has it."""
        written = [
            (line.position, segment.header.runner)
            for segment in self._segments()
            for line in segment.lines
            if line.kind == "intent"
        ]
        assert len({position for position, _ in written}) == len(written)
        assert self.granted.items() <= dict(written).items()

    @invariant()
    def one_of_them_at_most_can_write(self) -> None:
        """Whoever could still append is the one that took over last."""
        segments = self._segments()
        head, last = len(segments), segments[-1].header.runner if segments else ""
        for journal in self.journals.values():
            may = journal._over is None and journal._unsure is None and journal.state.sequence == head
            assert not may or journal.runner == last
            if journal._over is None and journal._unsure is None and journal.runner == last:
                assert journal.state == read_state(self.store, ROOT, find_segments(self.store, ROOT))


Runners.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestFencing = Runners.TestCase
