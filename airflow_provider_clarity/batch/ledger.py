"""Where purchases are written down before they are made.

:class:`Ledger` is what the engine needs; :class:`RecordLedger` is its form for single images: one task record an
identity, in the default workspace of the destination's bucket, whatever ``workspace=`` says, so that a changed
workspace hides no purchase.

Invariants: a POST leaves only after :meth:`Ledger.claim` granted it, and the claim is durable before it returns; every
write names the generation it was read at, so of two runners one wins and the other is told; whoever is denied only
looks, and may promote (the generation of the final object decides there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from airflow_provider_clarity.batch import messages
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.record import VERSION, Attempt, TaskRecord, may_take_over
from airflow_provider_clarity.exceptions import ClarityError, ClarityFencedError, ClarityInputError, ClarityLostError
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.store import GenerationConflict, NotJsonError, ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

Clock = Callable[[], float]
Change = Callable[[TaskRecord], TaskRecord]

_RACES = 20
"""How often a write is tried again after somebody else's came between: each of those is progress of theirs."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim.

    :param granted: whether the POST may leave
    :param record: the record as it is now
    """

    granted: bool
    record: TaskRecord


@dataclass(frozen=True, slots=True)
class Wanted:
    """A POST that is about to leave, if it may.

    :param attempt: the one that is to be sent, for the first time or again
    :param known: the record as it was last seen
    """

    item: Item
    attempt: Attempt
    known: TaskRecord | None = None


class Ledger(Protocol):
    """What the engine needs of a ledger. All methods block; the engine calls them in a thread."""

    def read(self, item: Item) -> TaskRecord | None:
        """Return all that is known of the item's purchases, None where nothing is."""
        ...

    def claim(self, wanted: Sequence[Wanted]) -> list[Claim | ClarityError]:
        """Write down that attempts are about to be sent, where we may.

        :param wanted: those that are to go together
        :return: an answer to each in its order; an error that concerns one of them only
        """
        ...

    def renew(self, item: Item, attempt: Attempt) -> Claim:
        """Renew a claim that has aged before its POST left."""
        ...

    def note(self, item: Item, change: Change, known: TaskRecord | None = None) -> TaskRecord:
        """Apply a change to the record, again on a newer one where somebody was faster."""
        ...

    def may_claim_at(self, record: TaskRecord) -> float:
        """Say from when on a claim of the open attempt would be granted, epoch seconds."""
        ...


class RecordLedger:
    """The ledger of single images: a task record each.

    :param store: of the destination's bucket
    :param owner: names this runner; no other has the same
    :param clock: epoch seconds
    :param lease: seconds for which a claim is good
    :param trace: where to write down which image this run is on, before anything of it is sent: so a later try of the
        run finds what is in flight even if the source was replaced or deleted meanwhile
    """

    def __init__(
        self, store: ObjectStore, *, owner: str, clock: Clock, lease: float, trace: GsUri | None = None
    ) -> None:
        self._store = store
        self._trace = trace
        self._owner = owner
        self._clock = clock
        self._lease = lease

    def read(self, item: Item) -> TaskRecord | None:
        """Read the record."""
        return self._load(record_uri(item))[0]

    def claim(self, wanted: Sequence[Wanted]) -> list[Claim | ClarityError]:
        """Write each attempt, or one more POST of it, if nobody else may be about to.

        A record that somebody deleted meanwhile is written anew, as it was last seen.
        """
        return [self._answer(one) for one in wanted]

    def _answer(self, wanted: Wanted) -> Claim | ClarityError:
        try:
            return self.claim_one(wanted.item, wanted.attempt, wanted.known)
        except ClarityError as error:
            return error

    def claim_one(self, item: Item, attempt: Attempt, known: TaskRecord | None = None) -> Claim:
        """Write one attempt; see :meth:`claim`."""
        uri = record_uri(item)
        for _ in range(_RACES):
            stored, generation = self._load(uri)
            record = stored if stored is not None else known
            now = self._clock()
            wanted = self._claimed(record, item, attempt, now)
            if wanted is None:
                return Claim(granted=False, record=record or self._blank(item))
            if self._save(uri, wanted, generation):
                if self._trace is not None and (record is None or record.last != attempt):
                    leave_trace(self._store, self._trace, uri)
                return Claim(granted=True, record=wanted)
        raise _crowded(uri)

    def renew(self, item: Item, attempt: Attempt) -> Claim:
        """Write the claim with the time it is now, if it is still ours: until then others keep away."""
        uri = record_uri(item)
        for _ in range(_RACES):
            record, generation = self._load(uri)
            last = record.last if record is not None else None
            if record is None or last is None:
                return Claim(granted=False, record=self._blank(item))
            if record.owner != self._owner or (last.n, last.outcome, last.acknowledged_at) != (attempt.n, None, None):
                return Claim(granted=False, record=record)
            wanted = record.renewed(attempt.n, self._clock())
            if self._save(uri, wanted, generation):
                return Claim(granted=True, record=wanted)
        raise _crowded(uri)

    def note(self, item: Item, change: Change, known: TaskRecord | None = None) -> TaskRecord:
        """Apply the change, however often somebody else is faster.

        :param known: the record as it was last seen; it is written anew where it knows more attempts than what is there
        """
        uri = record_uri(item)
        for _ in range(_RACES):
            record, generation = self._load(uri)
            if known is not None and (record is None or len(record.attempts) < len(known.attempts)):
                base = known  # attempts only grow: the record was deleted, or put back as it once was
            else:
                base = record or self._blank(item)
            changed = change(base)
            if changed == record or self._save(uri, changed, generation):
                return changed
        raise _crowded(uri)

    def may_claim_at(self, record: TaskRecord) -> float:
        """Say from when on this runner may POST."""
        return 0.0 if record.owner == self._owner else may_take_over(record, self._clock(), self._lease)

    def _claimed(self, record: TaskRecord | None, item: Item, attempt: Attempt, now: float) -> TaskRecord | None:
        """Return the record with the claim, None where it is denied."""
        sent = attempt.model_copy(update={"sent_at": attempt.sent_at or now, "last_sent_at": now})
        if record is None:
            return self._blank(item).begun(sent) if attempt.n == 1 else None
        last = record.last
        if last is None or (last.outcome is not None and attempt.n == last.n + 1):
            return record.owned(self._owner, now).begun(sent) if attempt.n == (last.n if last else 0) + 1 else None
        if last.n != attempt.n or last.outcome is not None or last.acknowledged_at is not None:
            return None
        if now < self.may_claim_at(record):
            return None
        return record.owned(self._owner, now).sent_again(
            attempt.n, now, submit_timeout=attempt.submit_timeout, endpoint_expires_at=attempt.endpoint_expires_at
        )

    def _blank(self, item: Item) -> TaskRecord:
        return TaskRecord(
            identity=item.identity,
            content_key=item.content_key,
            source=item.source.recorded,
            source_generation=item.source_generation,
            pixels=item.pixels,
            destination=str(item.destination),
            parameters=item.parameters.canonical(),
            owner=self._owner,
            owner_since=self._clock(),
        )

    def _load(self, uri: GsUri) -> tuple[TaskRecord | None, int]:
        return load_record(self._store, uri)

    def _save(self, uri: GsUri, record: TaskRecord, generation: int) -> bool:
        """Write the record over the generation it was read at; False where somebody was faster.

        The client library retries a write whose reply was lost, and then reports a conflict with its own first
        success: so a conflict with what we were about to write is a success.
        """
        try:
            self._store.create_json(uri, record.model_dump(mode="json"), if_generation_match=generation)
        except GenerationConflict:
            return self._load(uri)[0] == record
        return True


def leave_trace(store: ObjectStore, trace: GsUri, record: GsUri) -> None:
    """Write down which task record a run is on, over whatever it was on before."""
    for _ in range(_RACES):
        found = store.stat(trace)
        try:
            store.create_json(
                trace, {"v": VERSION, "record": str(record)}, if_generation_match=found.generation if found else 0
            )
        except GenerationConflict:
            continue
        return
    raise _crowded(trace)


def follow_trace(store: ObjectStore, trace: GsUri) -> tuple[GsUri, TaskRecord] | None:
    """Read which task record a run is on, and that record; None where it is on none.

    :raises ClarityLostError: either cannot be read
    """
    try:
        found = store.read_json(trace)
    except NotJsonError:
        raise ClarityLostError(messages.unreadable_trace(str(trace))) from None
    if found is None:
        return None
    version, named = (found.value.get("v"), found.value.get("record")) if isinstance(found.value, dict) else (0, None)
    if version != VERSION or not isinstance(named, str) or not named.startswith("gs://"):
        raise ClarityLostError(messages.unreadable_trace(str(trace)))
    uri = GsUri.parse(named)
    record, _ = load_record(store, uri)
    return None if record is None else (uri, record)


def load_record(store: ObjectStore, uri: GsUri) -> tuple[TaskRecord | None, int]:
    """Read a task record and the generation it was read at; None and 0 where there is none.

    :raises ClarityLostError: it cannot be read
    """
    try:
        found = store.read_json(uri)
    except NotJsonError:
        raise ClarityLostError(messages.unreadable(str(uri), "it is damaged (no JSON)")) from None
    return (None, 0) if found is None else (read_record(uri, found.value), found.generation)


def read_record(uri: GsUri, value: object) -> TaskRecord:
    """Read a stored record.

    :raises ClarityLostError: it is damaged, or a newer version of this package wrote it: who cannot read what was
        bought buys nothing
    """
    version = value.get("v") if isinstance(value, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ClarityLostError(messages.unreadable(str(uri), f"a newer version of this package wrote it (v {version})"))
    try:
        record = TaskRecord.model_validate(value)
        UpscaleParameters.model_validate(record.parameters)
        for place in (record.destination, *(attempt.kept or attempt.staging for attempt in record.attempts)):
            GsUri.parse(place)
    except ClarityInputError as error:
        raise ClarityLostError(
            messages.unreadable(str(uri), f"it is damaged ({error.message.partition('. ')[0].rstrip('.')})")
        ) from None
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()})[:3])
        raise ClarityLostError(messages.unreadable(str(uri), f"it is damaged ({fields})")) from None
    return record


def record_uri(item: Item) -> GsUri:
    """Return where the task record of an item lies."""
    return Workspace.for_destination(item.destination).task_record(item.identity)


def _crowded(uri: GsUri) -> ClarityFencedError:
    return ClarityFencedError(
        f"The task record {uri} changed {_RACES} times while this try wanted to write it. Nothing was sent by this "
        "try. Let the other runs of this image finish; a retry goes on from where they are."
    )
