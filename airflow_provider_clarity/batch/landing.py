"""What the engine does in Cloud Storage for one image: look, verify, promote, recover, say how it ended, sweep.

Invariants: nothing is promoted that was not verified at that very generation; an outcome is said only after the object
it speaks of was seen or written; all of it may happen twice without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from airflow_provider_clarity.batch import messages
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.leftovers import may_have_left, to_sweep
from airflow_provider_clarity.batch.policy import IfExists, Occupant, judge_destination
from airflow_provider_clarity.batch.record import AttemptOutcome, Failure
from airflow_provider_clarity.batch.tally import paid_in_vain
from airflow_provider_clarity.batch.tracked import ItemEnd, Outcome, Tracked
from airflow_provider_clarity.exceptions import ClarityDeliveryError, ClarityError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.storage.delivery import (
    Broken,
    Empty,
    Promotion,
    Staged,
    Verify,
    Workspace,
    inspect_staging,
    land,
    promote,
)
from airflow_provider_clarity.storage.header import PictureFormat
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

MAX_IMAGE_BYTES = 256 * 1024 * 1024
"""The most that is fetched in a recovery: 4096 x 4096 pixels of PNG are far below."""

_NOT_FOUND = "404"


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of the objects that were left in staging.

    :param deleted: how many are gone
    :param left: how many could not be deleted; one, where staging could not even be listed
    :param why: of the first of those
    """

    deleted: int = 0
    left: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Landing:
    """Where pictures land, and by which rules.

    :param store: of the workspace and the destination
    :param run_key: whose work it is
    :param place: run key and map index: who pays
    :param allowed_image_hosts: where a picture may be fetched from in a recovery
    """

    store: ObjectStore
    workspace: Workspace
    run_key: str
    place: str = ""
    if_exists: IfExists = "skip"
    verify: Verify = "lenient"
    allowed_image_hosts: tuple[str, ...] = ()

    def staging_of(self, item: Item, attempt: int) -> GsUri:
        """Where the service is to upload an attempt to."""
        return self.workspace.staging(item.identity, attempt, item.extension)

    def look_at_destination(self, image: Tracked, now: float) -> None:
        """See what lies at the final name and what that means."""
        found = self.store.stat(image.item.destination)
        proven = Provenance.from_metadata(found.metadata) if found is not None else None
        ours = proven is not None and proven.has_source(image.item.source.recorded)
        image.occupant = proven if ours else None
        image.seen = found.generation if found is not None else 0
        occupant = Occupant() if found is not None else None
        if proven is not None and ours:
            mine = proven.was_bought_by(self.run_key)
            occupant = Occupant(proven.content_key, self.run_key if mine else None)
        verdict = judge_destination(
            occupant, content_key=image.item.content_key, if_exists=self.if_exists, run_key=self.run_key
        )
        another = proven is not None and proven.identity != image.item.identity
        image.view = replace(image.view, verdict=verdict, verdict_at=now, another=another)

    def look_at_staging(self, image: Tracked, now: float) -> None:
        """See what the service uploaded for the last attempt, and verify it."""
        seen = inspect_staging(
            self.store,
            image.staging,
            expected_format=_format(image.item),
            source_pixels=image.item.pixels,
            factor=_factor(image.item),
            verify=self.verify,
        )
        match seen:
            case Staged():
                image.staged = seen
                image.view = replace(image.view, staged="ready", staged_at=now)
            case Empty():
                image.broken_generation = 0
                image.view = replace(image.view, staged="empty", staged_at=now)
            case Broken(reason, generation):
                image.broken_generation = generation
                image.notes = (*image.notes, f"the uploaded file was refused: {reason}")
                image.view = replace(image.view, staged="broken", staged_at=now, refused=reason)

    def promote(self, image: Tracked) -> ItemEnd:
        """Give the verified picture its final name."""
        if image.staged is None:
            raise ValueError("nothing was verified")
        promotion = promote(
            self.store,
            image.staged,
            image.item.destination,
            self._provenance(image, image.staged),
            if_exists=self.if_exists,
            workspace=self.workspace,
            seen=image.attempt.seen,  # what the purchase was decided upon; what came later is not replaced
        )
        return self._end_of(image, image.staged, promotion)

    async def recover(self, image: Tracked, client: ClarityClient, now: float) -> None:
        """Fetch the picture from the service and put it where its upload should have put it.

        An address that knows nothing of it yet is noted: the decision says how long it is asked again.

        :param now: epoch seconds
        """
        if image.image_url is None:
            raise ValueError("nowhere to fetch it from")
        try:
            data = await client.fetch_image(
                image.image_url, max_bytes=MAX_IMAGE_BYTES, allowed_hosts=self.allowed_image_hosts
            )
        except ClarityDeliveryError as error:
            if error.retryable:
                raise
            if error.code == _NOT_FOUND:
                since = now if image.view.missing_since is None else image.view.missing_since
                image.missing = redact(error)
                image.view = replace(image.view, missing_since=since, missing_at=now)
                return
            image.notes = (*image.notes, redact(error))
            image.view = replace(image.view, unfetched=True)
            return
        image.missing = ""
        staging = GsUri.parse(image.attempt.staging)
        await asyncio.to_thread(land, self.store, data, staging, replacing=image.broken_generation)
        # If what was fetched is no good either, fetching it again would not mend it.
        image.recovered = image.attempt.endpoint_expires_at is not None
        if image.recovered and not image.broken_generation:
            image.notes = (*image.notes, messages.NOT_UPLOADED)
        image.view = replace(image.view, staged=None, unfetched=True)

    def sweep(self, image: Tracked, now: float, *, ended_now: bool) -> Swept:
        """Delete what settled attempts left in staging, in one listing at most; never an error.

        The final object is looked at after the listing: what was listed before is then not the last of its kind.

        :param now: epoch seconds
        :param ended_now: see :func:`~.leftovers.may_have_left`
        """
        record, promotion = image.record, image.promotion
        if record is None:
            return Swept()
        emptied = image.attempt.n if promotion is not None and not promotion.warnings else None
        attempts = may_have_left(record, now, ended_now=ended_now, emptied=emptied)
        if not attempts:
            return Swept()
        newest = GsUri.parse(attempts[-1].staging)
        try:
            found = tuple(self.store.list(GsUri(newest.bucket, f"{newest.name.rpartition('-')[0]}-")))
            final = self.store.stat(image.item.destination) if found else None
        except ClarityError as error:
            return Swept(left=1, why=error.message)
        proven = Provenance.from_metadata(final.metadata) if final is not None else None
        return self._delete(to_sweep(record, found, proven))

    def _delete(self, objects: Sequence[StoredObject]) -> Swept:
        """Delete each at its generation; after a failure the others are left to the bucket's lifecycle rule."""
        gone = 0
        for done, one in enumerate(objects):
            try:
                gone += self.store.delete(one.uri, generation=one.generation)
            except ClarityError as error:
                return Swept(gone, len(objects) - done, error.message)
        return Swept(gone)

    def finished(self, image: Tracked, outcome: str, failure: Failure | None) -> ItemEnd:
        """Say how it ended where there is nothing to promote."""
        uri = str(image.item.destination)
        match outcome:
            case "done":
                return self._done(image)
            case "stale":
                return ItemEnd("stale", uri, failure=messages.stale(uri))
            case "foreign":
                return ItemEnd("foreign", uri, failure=messages.foreign(uri))
            case "exists":
                return ItemEnd("failed", uri, failure=messages.exists(uri))
            case _:
                attempt = image.view.attempt
                kept = attempt.kept if attempt is not None else None
                uuid = str(attempt.task_uuid) if attempt is not None else None
                cost = self._cost(image)
                notes = (*image.notes, image.missing) if image.missing else image.notes
                return ItemEnd("failed", kept, uuid, cost_microusd=cost, failure=failure, notes=notes)

    def attempt_outcome(self, image: Tracked, end: ItemEnd) -> AttemptOutcome | None:
        """Say what an end means for the last attempt; None where its outcome stands, or is not concerned."""
        attempt = image.view.attempt
        if attempt is None:
            return None
        match end.outcome:
            case "delivered" | "recovered":
                return cast("AttemptOutcome", end.outcome) if image.staged or attempt.outcome is None else None
            case "done":
                superseded = image.promotion is not None and image.promotion.kind == "superseded"
                return "superseded" if superseded else ("delivered" if attempt.outcome is None else None)
            case "failed":
                return "undelivered" if image.promotion is not None else None
            case _:
                return None

    def _end_of(self, image: Tracked, staged: Staged, promotion: Promotion) -> ItemEnd:
        image.promotion = promotion
        attempt = image.attempt
        ours = attempt.place == (self.place or self.run_key)
        outcome: Outcome = "recovered" if image.recovered else "delivered"
        if promotion.kind in ("already", "superseded") and not ours:
            outcome = "done"
        failure = None
        if promotion.kind == "superseded":
            outcome = "done"
        elif promotion.kind == "undelivered":
            outcome = "failed"
            failure = messages.taken(str(image.item.destination), promotion.reason, str(promotion.uri))
        return ItemEnd(
            outcome,
            str(promotion.uri),
            str(attempt.task_uuid),
            size=staged.header.pixels,
            cost_microusd=self._cost(image),
            failure=failure,
            notes=(*image.notes, *staged.notes, *promotion.warnings),
        )

    def _done(self, image: Tracked) -> ItemEnd:
        """Read off what lies at the final name."""
        proven = image.occupant
        uri = str(image.item.destination)
        if proven is None:
            return ItemEnd("done", uri)
        mine = proven.was_bought_by(self.run_key) and not self._paid_elsewhere(image, proven)
        return ItemEnd(
            "delivered" if mine else "done",
            uri,
            str(proven.task_uuid) if proven.task_uuid else None,
            size=proven.pixels,
            cost_microusd=proven.cost_microusd if mine else 0,
        )

    def _paid_elsewhere(self, image: Tracked, proven: Provenance) -> bool:
        """Whether another map index of this run bought it: then its cost is not told twice."""
        attempts = image.record.attempts if image.record is not None else ()
        bought = [attempt.place for attempt in attempts if attempt.task_uuid == proven.task_uuid]
        return bool(bought) and bought[0] != (self.place or self.run_key)

    def _cost(self, image: Tracked) -> int | None:
        """Return what this run paid, failed attempts included; nothing for what another one bought."""
        if image.record is None or image.record.last is None:
            return 0
        place = self.place or self.run_key
        ours = [attempt for attempt in image.record.attempts if attempt.place == place]
        before = sum(attempt.cost_microusd or 0 for attempt in ours if attempt is not image.record.last)
        last = image.record.last
        if last.place != place:
            return before
        cost = image.cost_microusd if image.cost_microusd is not None else last.cost_microusd
        if cost is None and last.outcome == "failed" and not paid_in_vain(last):
            cost = 0  # a failed task costs what the service states, else nothing
        return None if cost is None else before + cost

    def _provenance(self, image: Tracked, staged: Staged) -> Provenance:
        item, attempt = image.item, image.attempt
        cost = image.cost_microusd if image.cost_microusd is not None else attempt.cost_microusd
        factor = item.parameters.canonical().get("upscaleFactor")
        return Provenance(
            content_key=item.content_key,
            identity=item.identity,
            task_uuid=attempt.task_uuid,
            attempt=attempt.n,
            source=item.source.recorded,
            source_generation=item.source_generation,
            run_key=attempt.run_key,
            cost_microusd=cost,
            factor=None if factor is None else str(factor),
            pixels=staged.header.pixels,
            note="; ".join(staged.notes),
        )


def _format(item: Item) -> PictureFormat:
    return item.parameters.output_format or "JPG"


def _factor(item: Item) -> float:
    return item.parameters.upscale_factor or 2.0
