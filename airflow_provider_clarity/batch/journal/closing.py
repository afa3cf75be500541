"""The end of a run, written down: manifest, dead letter, and a summary; or that it was interrupted.

The manifest has a row for each image, in the order of the plan; the dead letter those of them that failed, were lost or
were not submitted, and is itself a source. Invariants: nothing of it lies in memory as a whole; the rows are counted as
they are written, and what they come to must be what the ledger and the plan say; the summary is written last, so where
it is, the rest is; writing any of it again gives the same.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_clarity.batch.counts import Counts
from airflow_provider_clarity.batch.journal import messages
from airflow_provider_clarity.batch.journal.ends import Ends
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.result_rows import counted_as, result_row
from airflow_provider_clarity.batch.journal.segments import find_segments, read_segments
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.journal.totals import Totals
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.rows import write_row
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import ClarityLostError, ClarityPlanError
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

VERSION: Final = 1
MANIFEST: Final = "manifest.jsonl"
DEAD_LETTER: Final = "dead_letter.jsonl"
SUMMARY: Final = "summary.json"
INTERRUPTED: Final = "interrupted.json"

Why = Literal["budget", "deadline", "stopped"]

_REWRITES: Final = 5
_IN_MEMORY: Final = 1024 * 1024
_ROWS: Final = "application/jsonl"
_NAMED: Final = 100
"""Task UUIDs in flight that ``interrupted.json`` names at most."""


class Summary(BaseModel):
    """How a round ended; where it is, the round is over, and a later try repeats it.

    :param max_tries: Airflow's ``ti.max_tries`` at the end: only a clear raises it
    :param run_started: when Airflow began the DAG run, epoch seconds; None where it is not known
    :param ended_at: epoch seconds
    :param result: what the operator returns
    :param failure: why it fails, where it does
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = VERSION
    max_tries: int
    run_started: float | None = None
    ended_at: float
    planned: int
    counts: dict[str, int]
    adopted: int = 0
    totals: Totals = Totals()
    result: dict[str, Any] = Field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of the rows.

    :param dead_letter: None where there is nothing in it
    :param counts: of all rows, checked
    """

    manifest: GsUri
    dead_letter: GsUri | None
    counts: Counts


def counts_of(state: RunState) -> Counts:
    """Count the images of a run, those that are still to be settled too."""
    return Counts.read(state.counts, planned=state.planned, adopted=state.adopted, passed_over=state.passed_over)


def write_rows(store: ObjectStore, journal: Journal, rows: Iterable[PlanRow], *, rest: Why | None = None) -> Written:
    """Write manifest and dead letter.

    The plan must be complete and no image open. Buffered lines are written first.

    :param rows: the whole plan, in its order
    :param rest: why images were not submitted; None where each must have an end
    :raises ClarityPlanError: the rows are not what the plan and the ledger say
    :raises ClarityFencedError: another runner has taken over
    """
    journal.confirm()
    state = journal.state
    manifest, dead_letter = journal.root.child(MANIFEST), journal.root.child(DEAD_LETTER)
    with Ends() as ends, _file() as all_rows, _file() as dead:
        for segment in read_segments(store, journal.root, find_segments(store, journal.root)):
            for line in segment.lines:
                if line.kind == "end":
                    ends.add(line)
        counts = _write(rows, ends, rest, all_rows, dead)
        checked = _checked(state, counts, rest)
        replace_file(store, manifest, all_rows)
        if dead.tell():
            replace_file(store, dead_letter, dead)
            return Written(manifest, dead_letter, checked)
        found = store.stat(dead_letter)
        if found is not None:
            store.delete(dead_letter, generation=found.generation)
        return Written(manifest, None, checked)


def write_summary(
    store: ObjectStore, journal: Journal, written: Written, *, now: float, max_tries: int, result: Mapping[str, Any],
    failure: Failure | None = None, run_started: float | None = None,
) -> Summary:  # fmt: skip
    """Write that the round is over. After :func:`write_rows`, and before the journal is released.

    :param now: epoch seconds
    :param run_started: see :class:`Summary`
    """
    journal.confirm()
    state = journal.state
    summary = Summary(
        max_tries=max_tries,
        run_started=run_started,
        ended_at=now,
        planned=state.planned,
        counts={key: number for key, number in _keyed(written.counts).items() if number},
        adopted=state.adopted,
        totals=state.totals,
        result=dict(result),
        failure=failure,
    )
    _replace(store, journal.root.child(SUMMARY), summary.model_dump(mode="json"))
    return summary


def read_summary(store: ObjectStore, root: GsUri) -> Summary | None:
    """Read how a round ended; None where it is not over.

    :param root: the ledger's folder
    :raises ClarityLostError: it is damaged, or a newer version of this package wrote it
    """
    uri = root.child(SUMMARY)
    found = store.read_json(uri)
    if found is None:
        return None
    version = found.value.get("v") if isinstance(found.value, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ClarityLostError(messages.unreadable(str(uri), f"a newer version of this package wrote it (v {version})"))
    try:
        return Summary.model_validate(found.value)
    except ValidationError:
        raise ClarityLostError(messages.unreadable(str(uri), "it is damaged")) from None


def write_interrupted(store: ObjectStore, journal: Journal, *, why: str, now: float) -> None:
    """Write down where a try that ended early left the run. Buffered lines are written first.

    :param why: ``deadline`` or ``stopped``, or the kind of an error
    :param now: epoch seconds
    """
    journal.confirm()
    state = journal.state
    flying = [one.record.last for one in state.open.values()]
    uuids = [str(last.task_uuid) for last in flying if last and last.outcome is None and last.sent_at is not None]
    counts = counts_of(state)
    _replace(
        store,
        journal.root.child(INTERRUPTED),
        {
            "v": VERSION,
            "why": why,
            "at": now,
            "planned": state.planned,
            "plan_complete": state.complete,
            "counts": dict(state.counts),
            "pending": counts.pending,
            "in_flight": len(uuids),
            "in_flight_uuids": uuids[:_NAMED],
            "totals": state.totals.model_dump(),
        },
    )


def replace_file(store: ObjectStore, uri: GsUri, file: BinaryIO) -> None:
    """Upload a file over whatever lies there."""
    _over(
        store, uri, lambda generation: store.create_file(uri, file, if_generation_match=generation, content_type=_ROWS)
    )


def _replace(store: ObjectStore, uri: GsUri, value: object) -> None:
    _over(store, uri, lambda generation: store.create_json(uri, value, if_generation_match=generation))


def _over(store: ObjectStore, uri: GsUri, write: Callable[[int], object]) -> None:
    """Write at the generation that lies there; our own first sending, whose reply was lost, is written over."""
    for _ in range(_REWRITES):
        found = store.stat(uri)
        try:
            write(found.generation if found is not None else 0)
        except GenerationConflict:
            continue
        return
    raise GenerationConflict(uri)


def _write(rows: Iterable[PlanRow], ends: Ends, rest: Why | None, all_rows: BinaryIO, dead: BinaryIO) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        end = ends.at(row.position)
        counts["planned"] += 1
        if (key := counted_as(row, end, rest)) is None:
            continue
        counts[key] += 1
        line = write_row(result_row(row, end, rest)).encode()
        all_rows.write(line)
        if key.startswith(("failed", "not_submitted")):
            dead.write(line)
    return counts


def _checked(state: RunState, counts: Counter[str], rest: Why | None) -> Counts:
    """Compare what was written with what the ledger knows."""
    planned = counts.pop("planned", 0)
    unsent = state.planned - len(state.ended) if rest is not None else 0
    expected = Counter(state.counts)
    if rest is not None:
        expected[f"not_submitted.{rest}"] += unsent
    right = state.complete and not state.open and planned == state.planned and counts == +expected
    if not right:
        raise ClarityPlanError(
            messages.uneven(planned, state.planned, dict(counts), dict(state.counts), len(state.open))
        )
    return Counts.read(counts, planned=planned, adopted=state.adopted, passed_over=state.passed_over).checked(
        whole=True
    )


def _keyed(counts: Counts) -> dict[str, int]:
    single = {name: getattr(counts, name) for name in ("delivered", "recovered", "done", "stale", "foreign")}
    failed = {f"failed.{kind}": number for kind, number in counts.failed.items()}
    return single | failed | {f"not_submitted.{why}": number for why, number in counts.not_submitted.items()}


def _file() -> Any:  # noqa: ANN401 - a spooled file is typed as none of the file types
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)
