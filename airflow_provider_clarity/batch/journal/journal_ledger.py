"""The engine's ledger over many images: intents in the journal's segments, outcomes in the task records.

Invariants: what was claimed is durable before :meth:`JournalLedger.claim` returns, all of an array in one segment; an
attempt that others may know of (any but the first, or one with a task record) is claimed in the task record before, so
of two ledgers one wins; whatever was bought has its task record as soon as it has an outcome, so that a single image
and another backfill see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.lines import End, Intent, News
from airflow_provider_clarity.batch.journal.merging import changed_attempts, claiming, merged, settles, without_rounds
from airflow_provider_clarity.batch.journal.state import OpenItem
from airflow_provider_clarity.batch.ledger import Change, Claim, Clock, RecordLedger, Wanted, record_uri
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.batch.threads import at_once
from airflow_provider_clarity.batch.tracked import Tracked
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore

_AT_ONCE: Final = 8


class JournalLedger:
    """The :class:`~airflow_provider_clarity.batch.ledger.Ledger` of a backfill. May be used from several threads.

    :param journal: open
    :param store: of the destinations' bucket, which keeps the task records
    :param clock: epoch seconds
    :param whose: place and round of the attempts that this ledger begins
    """

    def __init__(
        self, journal: Journal, store: ObjectStore, *, clock: Clock, whose: tuple[str, int] | None = None
    ) -> None:
        self._whose = whose
        self._journal = journal
        self._store = store
        self._clock = clock
        self._records = RecordLedger(store, owner=journal.runner, clock=clock, lease=journal.lease)
        self._positions: dict[str, int] = {}

    def take(self, item: Item, position: int) -> None:
        """Say where in the plan an image is; before anything else is asked about it.

        :param position: from 0
        """
        self._positions[item.identity] = position

    def read(self, item: Item) -> TaskRecord | None:
        """Return what this run knows of the image's purchases, else what the bucket does."""
        held = self._held(item)
        return held.record if held is not None else self._records.read(item)

    def claim(self, wanted: Sequence[Wanted]) -> list[Claim | ClarityError]:
        """Write down that attempts are about to be sent: those that may, all in one segment.

        :raises ClarityFencedError: another runner has taken over: nothing may be sent
        :raises ClarityError: the segment could not be written, so nothing may be sent yet
        """
        answers: dict[int, Claim | ClarityError] = {}
        shared = [n for n, one in enumerate(wanted) if self._is_shared(one)]
        if shared:
            some = [wanted[n] for n in shared]
            claims = at_once(self._claim_record, some, workers=_AT_ONCE, name="clarity-claims")
            answers.update(zip(shared, claims, strict=True))
        intents: list[Intent] = []
        for n, one in enumerate(wanted):
            answer = answers[n] if n in answers else self._claim_here(one)
            answers[n] = self._told_of(one, answer, intents) if isinstance(answer, Claim) else answer
        if intents:
            self._journal.append(intents)
        return [answers[n] for n in range(len(wanted))]

    def renew(self, item: Item, attempt: Attempt) -> Claim:
        """Write the claim with the time it is now, if it is still ours."""
        held = self._held(item)
        last = held.record.last if held is not None else None
        if held is None or last is None:
            return self._records.renew(item, attempt)
        open_ = (last.n, last.outcome, last.acknowledged_at) == (attempt.n, None, None)
        if not open_ or held.held_by != self._journal.state.epoch:
            return Claim(granted=False, record=held.record)
        if held.recorded:
            claim = self._records.renew(item, attempt)
            if not claim.granted:
                return Claim(granted=False, record=self._told(item, held, claim.record, recorded=True))
        record = held.record.renewed(attempt.n, self._clock())
        self._journal.append([Intent(position=held.position, first=False, recorded=held.recorded, record=record)])
        return Claim(granted=True, record=record)

    def note(self, item: Item, change: Change, known: TaskRecord | None = None) -> TaskRecord:
        """Apply the change: at once to what is known, and with the next segment in the ledger.

        What others must be able to see is in the task record, too, before this returns.
        """
        change = without_rounds(change)
        held = self._held(item)
        if held is None:
            return self._records.note(item, change, known)
        after = change(held.record)
        if after == held.record:
            return after
        shared = held.recorded or settles(held.record, after)
        if shared:
            after = self._written(item, held, change, after)
        return self._told(item, held, after, recorded=shared)

    def may_claim_at(self, record: TaskRecord) -> float:
        """Say from when on a claim of the open attempt would be granted, epoch seconds."""
        held = self._journal.state.open.get(record.identity)
        if held is None:
            return self._records.may_claim_at(record)
        here = self._journal.may_touch_at(record.identity)
        return max(here, self._records.may_claim_at(held.record)) if held.recorded else here

    def settle(self, image: Tracked, extra: dict[str, Any] | None = None) -> None:
        """Write down, with the next segment, how it ended for an image; it is let go of.

        Where it ends with something still in flight, that is kept in its task record: the next run finds it there.

        :param image: with its end
        :param extra: what its row in the result carries besides
        """
        end = image.end
        if end is None:
            raise ValueError("it is not over")
        held = self._held(image.item)
        record = held.record if held is not None else image.record
        last = record.last if record is not None else None
        adopted = last is not None and (last.adopted or image.adopted == last.n)
        if record is not None:
            self._journal.buffer(*self._unlisted(image.item, held, record))
        if held is not None and not held.recorded and last is not None and last.sent_at is not None:
            self._written(image.item, held, lambda record: record, held.record)
        self._journal.buffer(
            End(
                position=self._position(image.item),
                outcome=end.outcome,
                failure=end.failure,
                attempt=last.n if last is not None else 0,
                task_uuid=end.task_uuid,
                uri=end.uri,
                size=end.size,
                cost_microusd=end.cost_microusd,
                seconds=end.seconds,
                adopted=adopted,
                extra=extra or {},
            )
        )
        self._positions.pop(image.item.identity, None)

    def _unlisted(self, item: Item, held: OpenItem | None, record: TaskRecord) -> list[Intent]:
        """Give intents for attempts that are ours by the task record only: their claimer died before it stored them."""
        listed = held.ours if held is not None else ()
        ours = [
            one.n
            for one in record.attempts
            if (one.place, one.round) == self._whose and one.sent_at is not None and one.n not in listed
        ]
        upto = [record.model_copy(update={"attempts": record.attempts[:n]}) for n in ours]
        made = [Intent(position=self._position(item), first=True, recorded=True, record=one) for one in upto]
        if ours and ours[-1] != len(record.attempts):
            made.append(Intent(position=self._position(item), first=False, recorded=True, record=record))
        return made

    def _held(self, item: Item) -> OpenItem | None:
        return self._journal.state.open.get(item.identity)

    def _position(self, item: Item) -> int:
        held = self._held(item)
        return held.position if held is not None else self._positions[item.identity]

    def _is_shared(self, wanted: Wanted) -> bool:
        """Whether an attempt has to be claimed in the task record: it has one, or the attempt is not the first."""
        held = self._held(wanted.item)
        known = held.recorded if held is not None else wanted.known is not None and wanted.known.last is not None
        return known or wanted.attempt.n > 1

    def _claim_record(self, wanted: Wanted) -> Claim | ClarityError:
        held = self._held(wanted.item)
        if held is not None and not self._may_send(held, wanted.attempt):
            return Claim(granted=False, record=held.record)
        try:
            known = held.record if held is not None else wanted.known
            return self._records.claim_one(wanted.item, wanted.attempt, known)
        except ClarityError as error:
            return error

    def _claim_here(self, wanted: Wanted) -> Claim:
        """Claim a first attempt that nobody else knows of: the segment is its only record."""
        held, attempt, now = self._held(wanted.item), wanted.attempt, self._clock()
        if held is None:
            sent = attempt.model_copy(update={"sent_at": attempt.sent_at or now, "last_sent_at": now})
            return Claim(granted=True, record=self._blank(wanted.item, now).begun(sent))
        if not self._may_send(held, attempt):
            return Claim(granted=False, record=held.record)
        again = held.record.sent_again(
            attempt.n, now, submit_timeout=attempt.submit_timeout, endpoint_expires_at=attempt.endpoint_expires_at
        )
        return Claim(granted=True, record=again)

    def _may_send(self, held: OpenItem, attempt: Attempt) -> bool:
        """Whether nobody of this run's former runners may still be sending what is asked for."""
        last = held.record.last
        if last is None or last.outcome is not None:
            return attempt.n == len(held.record.attempts) + 1
        if last.n != attempt.n or last.acknowledged_at is not None:
            return False
        return self._clock() >= self._journal.may_touch_at(held.record.identity)

    def _told_of(self, wanted: Wanted, claim: Claim, intents: list[Intent]) -> Claim:
        """Turn what was granted into an intent; what was denied may tell of others' attempts."""
        item, held, n = wanted.item, self._held(wanted.item), wanted.attempt.n
        shared = self._is_shared(wanted)
        if held is not None:
            claim = Claim(claim.granted, merged(claim.record, held.record, held.ours))
        if not claim.granted:
            if held is not None:
                self._told(item, held, claim.record, recorded=shared)
            return claim
        known = held.record if held is not None else wanted.known
        if known is not None:
            intents.extend(self._unlisted(item, held, known))
        begun = known is None or len(known.attempts) < n
        first = begun and claim.record.attempt(n).place == wanted.attempt.place
        intents.append(Intent(position=self._position(item), first=first, recorded=shared, record=claim.record))
        return claim

    def _written(self, item: Item, held: OpenItem, change: Change, after: TaskRecord) -> TaskRecord:
        """Write the change into the task record, in one request where there is none yet."""
        if not held.recorded:
            try:
                self._store.create_json(record_uri(item), after.model_dump(mode="json"), if_generation_match=0)
            except GenerationConflict:  # somebody else's, or our own of which the reply was lost
                pass
            else:
                return after
        stored = self._records.note(item, claiming(change, after, held.ours), known=held.record)
        return merged(stored, after, held.ours)

    def _told(self, item: Item, held: OpenItem, after: TaskRecord, *, recorded: bool) -> TaskRecord:
        """Keep what changed for the next segment."""
        changed = changed_attempts(held.record, after)
        if changed or (recorded and not held.recorded):
            self._journal.buffer(News(identity=item.identity, attempts=changed, recorded=recorded))
        now = self._held(item)
        return now.record if now is not None else after

    def _blank(self, item: Item, now: float) -> TaskRecord:
        return TaskRecord(
            identity=item.identity,
            content_key=item.content_key,
            source=item.source.recorded,
            source_generation=item.source_generation,
            pixels=item.pixels,
            destination=str(item.destination),
            parameters=item.parameters.canonical(),
            owner=self._journal.runner,
            owner_since=now,
        )
