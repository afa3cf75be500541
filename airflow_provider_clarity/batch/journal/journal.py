"""A run's ledger as one runner holds it: takes over, appends, notices that it was taken over, releases.

Invariants, each a property in the tests:

- a segment is created with generation 0 at the sequence after the last one that this runner knows, so a segment of
  somebody else cannot come between unnoticed: who meets one was taken over, and from then on appends nothing;
- what :meth:`Journal.append` returned from is in the ledger, and a successor knows it;
- a write of which nobody knows whether it arrived is settled, with the same bytes, before anything else is written;
- nothing but a takeover begins an epoch, and one epoch is one runner's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from airflow_provider_clarity.batch.journal import messages
from airflow_provider_clarity.batch.journal.lines import Header, Line, Segment, SegmentKind, encode
from airflow_provider_clarity.batch.journal.segments import find_segments, read_state, segment_uri
from airflow_provider_clarity.batch.journal.state import RunState, applied, begun, kept, let_go, refusal
from airflow_provider_clarity.exceptions import ClarityFencedError
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

CHECKPOINT_EVERY: Final = 50
DUE_AFTER: Final = 1.0
"""Seconds for which news may wait for the next segment."""

_RACES: Final = 20
_CONTENT_TYPE: Final = "application/jsonl"


@dataclass(frozen=True, slots=True)
class _Write:
    """A segment that is about to be written, or may have been.

    :param after: the state after it
    :param buffered: how many of the buffered lines are in it
    """

    data: bytes
    after: RunState
    buffered: int


class Journal:
    """The ledger of a run. May be used from several threads; writes are made one after the other.

    :param store: of the workspace
    :param root: the ledger's folder, ``<workspace>/runs/<place>/<fp8>/<round>/``
    :param runner: names this process's work on it; no other has the same
    :param clock: epoch seconds
    :param monotonic: seconds that no clock change moves
    :param lease: seconds for which a segment of ours lets POSTs leave
    """

    def __init__(
        self,
        store: ObjectStore,
        root: GsUri,
        runner: str,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        lease: float = 20.0,
    ) -> None:
        self.root = root
        self.runner = runner
        self.lease = lease
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._writing = threading.RLock()  # held over a write
        self._knowing = threading.Lock()  # held over a change of what is known, never over a request
        self._state = RunState()
        self._buffered: list[Line] = []
        self._buffered_at = 0.0
        self._written_at = float("-inf")
        self._unsure: _Write | None = None
        self._generation = 0  # of the last segment
        self._opened = False
        self._over: str | None = messages.not_open(str(root))

    @property
    def state(self) -> RunState:
        """All that is known, with what is buffered."""
        return self._state

    def open(self) -> RunState:
        """Take the ledger over, or begin it; from then on every other runner is fenced. Once, or again where it raised.

        :return: what is known of the run. Attempts that a former runner may still be sending are held, see
            :meth:`may_touch_at`
        :raises ClarityLostError: the ledger cannot be read
        :raises ClarityFencedError: others take over as fast as we do
        """
        with self._writing:
            if self._opened:
                raise ClarityFencedError(self._over or messages.not_open(str(self.root)))
            for _ in range(_RACES):
                state = read_state(self._store, self.root, find_segments(self._store, self.root))
                header = self._header(state, "takeover", epoch=state.epoch + 1)
                self._written_at = self._monotonic()
                write = self._made(replace(begun(state, header), released=False), "takeover", (), 0)
                if self._put(write):
                    self._state, self._over, self._opened = write.after, None, True
                    return write.after
        raise ClarityFencedError(messages.crowded(str(self.root), _RACES))

    def append(self, lines: Sequence[Line] = ()) -> None:
        """Write a segment: the buffered lines, then these. When it returns, they are durable.

        :raises ClarityFencedError: another runner has taken over, or this one has released the ledger
        :raises ClarityError: the store did not answer; the next call finds out first whether the segment arrived
        """
        with self._writing:
            self._write("work", lines)

    def buffer(self, *lines: Line) -> None:
        """Keep lines for the next segment; what they say is known at once.

        :raises ValueError: a line contradicts what is known; nothing is kept
        """
        with self._knowing:
            self._refuse_if_over()
            state = self._checked(lines)
            if not self._buffered:
                self._buffered_at = self._monotonic()
            self._buffered.extend(lines)
            self._state = state

    def due(self, now: float) -> bool:
        """Say whether buffered lines have waited for long enough to be written by themselves.

        :param now: monotonic seconds
        """
        return bool(self._buffered) and now - self._buffered_at >= DUE_AFTER

    def fresh(self) -> bool:
        """Say whether the last segment is young enough for POSTs to leave: by the time at which its write began."""
        return self._over is None and self._monotonic() - self._written_at < self.lease

    def confirm(self) -> None:
        """Make sure that nobody has taken over, and begin a new lease.

        :raises ClarityFencedError: somebody has, or the ledger was deleted
        """
        with self._writing:
            self._refuse_if_over()
            last = self._state.sequence
            found = find_segments(self._store, self.root, after=last - 1).generations
            if found.get(last) != self._generation:
                self._end(messages.gone(str(self.root)))
            self._write("work", ())

    def release(self) -> None:
        """Give the ledger back, so that a successor need not wait for what we sent.

        Only after every POST was answered or given up: the successor takes it that none is on its way. The segment is
        a checkpoint. Nothing can be written afterwards; doing it twice is harmless.
        """
        with self._writing:
            if self._over == messages.released(str(self.root)):
                return
            self._write("released", ())

    def may_touch_at(self, identity: str) -> float:
        """Say from when on we may send the open attempt of an image, epoch seconds; infinity for never.

        :param identity: of an image that is open
        """
        return self._state.may_touch_at(identity, self._clock(), self.lease)

    def _write(self, kind: SegmentKind, lines: Sequence[Line]) -> None:
        self._refuse_if_over()
        self._settle()
        if kind == "released" and self._state.released:
            return  # it was a release of which we did not know whether it arrived
        with self._knowing:
            self._refuse_if_over()
            state = self._checked(lines)
            taken = tuple(self._buffered)
            state = begun(state, self._header(self._state, kind, epoch=self._state.epoch))
            write = self._made(let_go(state) if kind == "released" else state, kind, (*taken, *lines), len(taken))
        began = self._monotonic()
        self._commit(write)
        self._written_at = began

    def _settle(self) -> None:
        """Find out about a segment of which we do not know whether it arrived, by writing it again."""
        if self._unsure is not None:
            self._commit(self._unsure)

    def _commit(self, write: _Write) -> None:
        self._unsure = write
        if not self._put(write):
            self._end(messages.fenced(str(self.root)))
        self._unsure = None
        with self._knowing:
            self._buffered = self._buffered[write.buffered :]
            self._state = applied(write.after, self._buffered)
            self._buffered_at = self._monotonic()
            if write.after.released:
                self._over = messages.released(str(self.root))

    def _put(self, write: _Write) -> bool:
        """Create the segment; False where somebody else's is there.

        The client library repeats a write whose reply was lost, and so do we: both then meet their own success.
        """
        uri = segment_uri(self.root, write.after.sequence)
        try:
            made = self._store.create(uri, write.data, if_generation_match=0, content_type=_CONTENT_TYPE)
        except GenerationConflict:
            found = self._store.stat(uri)
            there = self._store.read(uri, generation=found.generation) if found is not None else None
            if found is None or there is None:
                raise  # deleted between the requests: the next try finds out
            if there != write.data:
                return False
            made = found
        self._generation = made.generation
        return True

    def _made(self, after: RunState, kind: SegmentKind, lines: tuple[Line, ...], buffered: int) -> _Write:
        """Make the segment after which the state is ``after``."""
        header = Header(
            kind=kind, runner=after.runner, epoch=after.epoch, seq=after.sequence, at=after.at,
            checkpoint=after.checkpoint, totals=after.totals, counts=dict(after.counts),
            adopted=after.adopted, planned=after.planned,
        )  # fmt: skip
        whole = kept(after) if after.checkpoint == after.sequence else (None, ())
        return _Write(encode(Segment(header, lines, *whole)), after, buffered)

    def _header(self, state: RunState, kind: SegmentKind, *, epoch: int) -> Header:
        """Name the segment after a state."""
        sequence = state.sequence + 1
        whole = kind != "work" or sequence % CHECKPOINT_EVERY == 0
        return Header(
            kind=kind, runner=self.runner, epoch=epoch, seq=sequence, at=self._clock(),
            checkpoint=sequence if whole else state.checkpoint,
        )  # fmt: skip

    def _checked(self, lines: Sequence[Line]) -> RunState:
        state = self._state
        for line in lines:
            if (why := refusal(state, line)) is not None:
                raise ValueError(f"{line.kind}: {why}")
            state = applied(state, (line,))
        return state

    def _refuse_if_over(self) -> None:
        if self._over is not None:
            raise ClarityFencedError(self._over)

    def _end(self, why: str) -> None:
        """Be over for ever."""
        with self._knowing:
            self._over = why
            self._buffered = []
        raise ClarityFencedError(why)
