"""Reads a workspace: its ledgers, what lies in staging and under ``undelivered/``, and the task records if asked.

Invariants: nothing is written; what cannot be read is named among the problems and is part of nothing else. Staging is
listed before final names are looked at, so that what was listed is not the last of its kind where a final name has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from airflow_provider_clarity.batch.journal.closing import DEAD_LETTER, SUMMARY, Summary, read_summary
from airflow_provider_clarity.batch.journal.lines import Header
from airflow_provider_clarity.batch.journal.segments import find_segments, read_header, read_state
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.ledger import read_record
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.ledger.judging import Staged, identity_and_attempt, judge_staging
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri


@dataclass(frozen=True, slots=True)
class LedgerSeen:
    """The ledger of one round of one task instance.

    :param root: its folder
    :param header: of its last segment
    :param summary: how the round ended; None where it is not over
    :param state: what is known, where it is not over
    :param objects: all that lies in its folder
    """

    root: GsUri
    header: Header
    summary: Summary | None
    state: RunState | None
    objects: tuple[StoredObject, ...]

    @property
    def written_at(self) -> float:
        """When the newest of its objects was written, epoch seconds."""
        return max((one.updated.timestamp() for one in self.objects if one.updated is not None), default=self.header.at)

    @property
    def dead_letter(self) -> GsUri | None:
        """Its dead letter, where it has one."""
        uri = self.root.child(DEAD_LETTER)
        return uri if any(one.uri == uri for one in self.objects) else None


@dataclass(frozen=True, slots=True)
class StagedSeen:
    """An object in staging."""

    found: StoredObject
    judged: Staged


@dataclass(frozen=True, slots=True)
class RecordSeen:
    """An attempt of a task record that a person should know of.

    :param attempt: lost, in flight or undelivered
    """

    uri: GsUri
    record: TaskRecord
    attempt: Attempt


@dataclass(slots=True)
class Survey:
    """What a workspace holds.

    :param records: attempts that are lost, in flight or undelivered by their task records; None where those were not
        read
    :param task_records: how many there are; None where those were not read
    :param problems: what could not be read, for a person
    """

    ledgers: list[LedgerSeen] = field(default_factory=list)
    staging: list[StagedSeen] = field(default_factory=list)
    undelivered: list[StoredObject] = field(default_factory=list)
    records: list[RecordSeen] | None = None
    task_records: int | None = None
    problems: list[str] = field(default_factory=list)


def survey(store: ObjectStore, workspace: Workspace, *, deep: bool = False) -> Survey:
    """Read a workspace.

    :param deep: read every task record too, one by one
    :raises ClarityError: the bucket cannot be listed at all
    """
    seen = Survey()
    for root, objects in _ledger_folders(store, workspace):
        try:
            seen.ledgers.append(_ledger(store, root, objects))
        except ClarityError as error:
            seen.problems.append(error.message)
    unread = bool(seen.problems)
    open_ = {identity for one in seen.ledgers if one.state is not None for identity in one.state.open}
    for found in list(store.list(workspace.root.child("staging/"))):
        try:
            judged = _judged(store, workspace, found, open_)
        except ClarityError as error:
            seen.problems.append(error.message)
            judged = "unknown"
        if judged == "settled" and unread:
            judged = "needed"  # a ledger that nobody can read may have it open
        seen.staging.append(StagedSeen(found, judged))
    seen.undelivered = list(store.list(workspace.root.child("undelivered/")))
    if deep:
        _records(store, workspace, seen)
    return seen


def _ledger_folders(store: ObjectStore, workspace: Workspace) -> Iterator[tuple[GsUri, tuple[StoredObject, ...]]]:
    """Give each folder that has segments or a summary, with all that is in it."""
    for root, objects in groupby(store.list(workspace.root.child("runs/")), lambda one: _folder(one.uri)):
        found = tuple(objects)
        names = [one.uri.name.removeprefix(root.name) for one in found]
        if any(name == SUMMARY or name.startswith("segments/") for name in names):
            yield root, found


def _folder(uri: GsUri) -> GsUri:
    """Return the ledger that an object belongs to, if it belongs to one."""
    folder = uri.name.rpartition("/")[0]
    parent, _, last = folder.rpartition("/")
    return GsUri(uri.bucket, f"{parent if last in ('segments', 'plan') else folder}/")


def _ledger(store: ObjectStore, root: GsUri, objects: tuple[StoredObject, ...]) -> LedgerSeen:
    summary = read_summary(store, root) if any(one.uri == root.child(SUMMARY) for one in objects) else None
    found = find_segments(store, root)
    if not found.generations:
        at = summary.ended_at if summary is not None else 0.0
        header = Header(kind="released", runner="?", epoch=1, seq=1, at=at, checkpoint=1)
        return LedgerSeen(root, header, summary, None if summary is not None else RunState(), objects)
    header = read_header(store, root, found, found.head)
    state = read_state(store, root, found) if summary is None or header.totals.in_flight else None
    return LedgerSeen(root, header, summary, state, objects)


def _judged(store: ObjectStore, workspace: Workspace, found: StoredObject, open_: set[str]) -> Staged:
    identity, n = identity_and_attempt(found.uri.name)
    uri = workspace.task_record(identity) if n else None
    stored = store.read_json(uri) if uri is not None else None
    record = read_record(uri, stored.value) if uri is not None and stored is not None else None
    final = store.stat(GsUri.parse(record.destination)) if record is not None else None
    proven = Provenance.from_metadata(final.metadata) if final is not None else None
    return judge_staging(found, record, proven, open_)


def _records(store: ObjectStore, workspace: Workspace, seen: Survey) -> None:
    seen.records, seen.task_records = [], 0
    for one in store.list(GsUri(workspace.bucket, workspace.task_record("x").name.removesuffix("x.json"))):
        seen.task_records += 1
        try:
            stored = store.read_json(one.uri)
            record = read_record(one.uri, stored.value) if stored is not None else None
        except ClarityError as error:
            seen.problems.append(error.message)
            continue
        for attempt in record.attempts if record is not None else ():
            flying = attempt.outcome is None and attempt.sent_at is not None
            if record is not None and (flying or attempt.outcome in ("lost", "undelivered")):
                seen.records.append(RecordSeen(one.uri, record, attempt))
