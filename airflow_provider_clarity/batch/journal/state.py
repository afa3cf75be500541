"""What a run knows after its segments. Pure.

Invariants, each a property in the tests:

- replaying segments from a checkpoint gives what replaying all of them gives;
- however lines are split into segments, they give the same;
- a row ends once: what contradicts what is known (:func:`refusal`) changes nothing, so the first end stays;
- an attempt that a former runner may still be sending is held until that runner released the ledger, or the time in
  which its POST can arrive is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_clarity.batch.journal.lines import (
    End,
    Header,
    Intent,
    KeptOpen,
    KeptState,
    Line,
    News,
    Planned,
    Segment,
)
from airflow_provider_clarity.batch.journal.ranges import Ranges
from airflow_provider_clarity.batch.journal.totals import Totals, counted, totals_of
from airflow_provider_clarity.batch.record import Attempt, TaskRecord, may_take_over


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An image of which something was or may have been sent, and that is not over.

    :param position: in the plan
    :param record: all that is known of its purchases
    :param ours: numbers of the attempts that this run recorded first: their cost is ours
    :param held_by: epoch of the runner that claimed it last; 0 once that one released the ledger
    :param recorded: whether it has a task record in the bucket, as far as we know
    """

    position: int
    record: TaskRecord
    ours: tuple[int, ...] = ()
    held_by: int = 0
    recorded: bool = False

    @property
    def totals(self) -> Totals:
        """What it cost so far."""
        return totals_of(attempt for attempt in self.record.attempts if attempt.n in self.ours)


@dataclass(frozen=True, slots=True)
class RunState:
    """All that is known of a run.

    :param sequence: of the last segment; 0 for none
    :param checkpoint: of the newest checkpoint
    :param epoch: of the runner that holds the ledger, or did last
    :param released: whether it gave the ledger back
    :param at: when the last segment was written, epoch seconds
    :param open: by identity
    :param ended: positions that are over, by their end or by the plan
    :param counts: of those, by outcome, such as ``delivered`` or ``failed.provider``
    :param settled: what the images that are over cost
    :param adopted: of those delivered or recovered, the ones that somebody else had bought
    :param planned: rows in the parts that are stored
    :param part: the number of the last of those
    :param complete: whether the plan ends with it
    :param passed_over: objects that are no rows, by reason
    :param learned: by name, any JSON
    """

    sequence: int = 0
    checkpoint: int = 0
    epoch: int = 0
    runner: str = ""
    released: bool = False
    at: float = 0.0
    open: Mapping[str, OpenItem] = field(default_factory=dict)
    ended: Ranges = field(default_factory=Ranges)
    counts: Mapping[str, int] = field(default_factory=dict)
    settled: Totals = field(default_factory=Totals)
    adopted: int = 0
    planned: int = 0
    part: int | None = None
    complete: bool = False
    passed_over: Mapping[str, int] = field(default_factory=dict)
    learned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def totals(self) -> Totals:
        """What the run has bought and spent."""
        return sum((item.totals for item in self.open.values()), self.settled)

    def may_touch_at(self, identity: str, now: float, lease: float) -> float:
        """Say from when on the runner of this epoch may send the open attempt of an image; infinity for never.

        :param identity: of an image that is open
        :param now: epoch seconds
        :param lease: seconds for which a claim is good
        """
        item = self.open[identity]
        return 0.0 if item.held_by in (0, self.epoch) else may_take_over(item.record, now, lease)


def refusal(state: RunState, line: Line) -> str | None:
    """Say why a line contradicts what is known; None where it does not."""
    match line:
        case Intent():
            return _over(state, line.position) or _elsewhere(state, line)
        case News():
            return None if line.identity in state.open else "no such image is open"
        case End():
            return _over(state, line.position)
        case Planned():
            follows = not state.complete and (state.part is None or line.number > state.part)
            if follows and line.first == state.planned:
                return None
            return f"part {line.number} does not follow the last one, or comes after the end of the plan"
        case _:
            return None


def applied(state: RunState, lines: Iterable[Line]) -> RunState:
    """Return the state after some lines of the runner that holds the ledger. What is refused changes nothing."""
    for line in lines:
        if refusal(state, line) is None:
            state = _after(state, line)
    return state


def begun(state: RunState, header: Header) -> RunState:
    """Return the state after the header of the next segment.

    :raises ValueError: the segment does not follow
    """
    last = (state.sequence, state.epoch, state.runner, state.released)
    if header.kind == "takeover":
        follows = header.seq == state.sequence + 1 and header.epoch == state.epoch + 1
    else:
        follows = last == (header.seq - 1, header.epoch, header.runner, False)
    if not follows:
        raise ValueError(f"segment {header.seq} of epoch {header.epoch} does not follow {last}")
    return replace(
        state, sequence=header.seq, checkpoint=header.checkpoint, epoch=header.epoch, runner=header.runner, at=header.at
    )


def replayed(state: RunState, segment: Segment) -> RunState:
    """Return the state after one more segment.

    :raises ValueError: the segment does not follow
    """
    state = applied(replace(begun(state, segment.header), released=False), segment.lines)
    return let_go(state) if segment.header.kind == "released" else state


def let_go(state: RunState) -> RunState:
    """Return the state once its runner has released it: nothing of that runner is on its way any more."""
    freed = {
        identity: replace(item, held_by=0) if item.held_by == state.epoch else item
        for identity, item in state.open.items()
    }
    return replace(state, released=True, open=freed)


def kept(state: RunState) -> tuple[KeptState, tuple[KeptOpen, ...]]:
    """Turn a state into the lines of a checkpoint; what its header says is not among them."""
    return KeptState(
        ended=state.ended.spans,
        counts=dict(state.counts),
        settled=state.settled,
        adopted=state.adopted,
        planned=state.planned,
        part=state.part,
        complete=state.complete,
        passed_over=dict(state.passed_over),
        learned=dict(state.learned),
    ), tuple(
        KeptOpen(position=one.position, ours=one.ours, held_by=one.held_by, recorded=one.recorded, record=one.record)
        for one in state.open.values()
    )


def restored(segment: Segment) -> RunState:
    """Turn a checkpoint back into the state after it.

    :raises ValueError: it is none
    """
    header, known = segment.header, segment.kept
    if known is None:
        raise ValueError("no checkpoint")
    return RunState(
        sequence=header.seq,
        checkpoint=header.seq,
        epoch=header.epoch,
        runner=header.runner,
        released=header.kind == "released",
        at=header.at,
        open={
            one.record.identity: OpenItem(one.position, one.record, one.ours, one.held_by, one.recorded)
            for one in segment.kept_open
        },
        ended=Ranges.of(known.ended),
        counts=known.counts,
        settled=known.settled,
        adopted=known.adopted,
        planned=known.planned,
        part=known.part,
        complete=known.complete,
        passed_over=known.passed_over,
        learned=known.learned,
    )


def _after(state: RunState, line: Line) -> RunState:
    match line:
        case Intent():
            return _intended(state, line)
        case News():
            return _told(state, line)
        case End():
            return _ended(state, line)
        case Planned():
            return _planned(state, line)
        case _:
            known = {name: value for name, value in state.learned.items() if name != line.name}
            return replace(state, learned=known if line.value is None else {**known, line.name: line.value})


def _intended(state: RunState, line: Intent) -> RunState:
    identity, n = line.record.identity, len(line.record.attempts)
    known = state.open.get(identity)
    ours = known.ours if known is not None else ()
    item = OpenItem(
        line.position,
        line.record,
        (*ours, n) if line.first and n not in ours else ours,
        state.epoch,
        line.recorded or (known is not None and known.recorded),
    )
    return replace(state, open={**state.open, identity: item})


def _told(state: RunState, line: News) -> RunState:
    item = state.open[line.identity]
    attempts: dict[int, Attempt] = {one.n: one for one in (*item.record.attempts, *line.attempts)}
    # A gap cannot come of what we write. What would leave one is passed over, so that the record stays readable.
    whole = tuple(attempts[n] for n in range(1, len(attempts) + 1) if n in attempts)
    record = item.record.model_copy(update={"attempts": whole}) if len(whole) == len(attempts) else item.record
    told = replace(item, record=record, recorded=item.recorded or line.recorded)
    return replace(state, open={**state.open, line.identity: told})


def _ended(state: RunState, line: End) -> RunState:
    identity = _at(state, line.position)
    settled = state.settled
    if identity is not None:
        item = state.open[identity]
        settled = settled + (_adopted(item) if line.adopted else item).totals.closed()
    return replace(
        state,
        open={known: item for known, item in state.open.items() if known != identity},
        ended=state.ended.added(line.position),
        counts=counted(state.counts, line.counted_as),
        settled=settled,
        adopted=state.adopted + (line.adopted and line.outcome in ("delivered", "recovered")),
    )


def _adopted(item: OpenItem) -> OpenItem:
    """Return an image whose last attempt somebody else bought."""
    *before, last = item.record.attempts
    adopted = last.model_copy(update={"adopted": True})
    return replace(item, record=item.record.model_copy(update={"attempts": (*before, adopted)}))


def _planned(state: RunState, line: Planned) -> RunState:
    counts, ended = state.counts, state.ended
    for outcome, number in line.counts.items():
        counts = counted(counts, outcome, number)
    for first, end in line.settled:
        ended = ended.added(first, end)
    return replace(
        state,
        planned=state.planned + line.rows,
        part=line.number,
        complete=line.last,
        counts=counts,
        ended=ended,
        passed_over=dict(line.passed_over),
    )


def _over(state: RunState, position: int) -> str | None:
    return f"position {position} is over" if position in state.ended else None


def _elsewhere(state: RunState, line: Intent) -> str | None:
    """Say whether an intent is about another image than the one that is open at its position, or about none."""
    there, known = _at(state, line.position), state.open.get(line.record.identity)
    if line.record.last is None:
        return "an intent names an attempt"
    if there == line.record.identity or (there is None and known is None):
        return None
    return f"position {line.position} is another image, or the image is open elsewhere"


def _at(state: RunState, position: int) -> str | None:
    """Return the identity of the image that is open at a position."""
    return next((identity for identity, item in state.open.items() if item.position == position), None)
