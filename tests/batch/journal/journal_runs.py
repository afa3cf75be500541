"""Whole runs, as hypothesis makes them: lines that a runner could write, in segments with takeovers in between."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from journal_fakes import attempt, end, failure, identity_of, intent

from airflow_provider_clarity.batch.journal.lines import Header, Learned, Line, News, Planned, Segment
from airflow_provider_clarity.batch.journal.state import RunState, kept, replayed

UNTIMED = settings(deadline=None, max_examples=60)
"""On a busy machine an example takes as long as it takes."""
OUTCOMES = ("delivered", "recovered", "superseded", "undelivered", "failed", "lost")
POSITIONS = st.integers(0, 7)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def attempts(draw: Any, position: int, n: int = 1) -> Any:
    """An attempt in any condition."""
    sent = draw(st.none() | st.floats(0, 2000))
    return attempt(
        position,
        n,
        sent_at=sent,
        last_sent_at=sent,
        acknowledged_at=draw(st.none() | st.floats(0, 2000)),
        outcome=draw(st.none() | st.sampled_from(OUTCOMES)),
        cost_microusd=draw(st.none() | st.integers(0, 9000)),
        adopted=draw(st.booleans()),
        failure=draw(st.none() | st.just(failure())),
    )


@st.composite
def lines(draw: Any) -> Line:
    """A line about one of a few images; many contradict what is known."""
    position = draw(POSITIONS)
    number = draw(st.integers(1, 3))
    match draw(st.sampled_from(["intent", "intent", "news", "end", "planned", "learned"])):
        case "intent":
            known = [draw(attempts(position, n)) for n in range(1, number + 1)]
            return intent(position, *known, first=draw(st.booleans()))
        case "news":
            return News(
                identity=identity_of(position),
                attempts=(draw(attempts(position, number)),),
                recorded=draw(st.booleans()),
            )
        case "end":
            outcome = draw(st.sampled_from(["delivered", "failed", "not_submitted", "done"]))
            how = {"adopted": draw(st.booleans()), "cost_microusd": draw(st.none() | st.integers(0, 9000))}
            return end(position, outcome, failure=failure() if outcome == "failed" else None, **how)
        case "planned":
            return Planned(
                number=number,
                first=draw(st.integers(0, 3)),
                rows=draw(st.integers(0, 4)),
                settled=((0, draw(st.integers(0, 2))),),
                counts={"done": 1},
                passed_over={"not a picture": number},
                last=draw(st.booleans()),
            )
        case _:
            return Learned(name=draw(st.sampled_from("ab")), value=draw(JSON))


RUNS = st.lists(
    st.tuples(st.sampled_from(["work", "work", "takeover", "released"]), st.lists(lines(), max_size=4)), max_size=8
)


def segments_of(run: Any, *, checkpoints: Any = lambda _sequence: False) -> list[Segment]:
    """Turn steps into segments, as a journal would write them."""
    state, made = RunState(), []
    for wanted, found in [("takeover", []), *run]:
        kind = "takeover" if state.released else wanted
        sequence = state.sequence + 1
        whole = sequence == 1 or checkpoints(sequence)
        header = Header(
            kind=kind,
            runner=f"r{state.epoch + (kind == 'takeover')}",
            epoch=state.epoch + (kind == "takeover"),
            seq=sequence,
            at=float(sequence),
            checkpoint=sequence if whole else state.checkpoint,
        )
        state = replayed(state, Segment(header, tuple(found)))
        made.append(Segment(header, tuple(found), *(kept(state) if whole else (None, ()))))
    return made
