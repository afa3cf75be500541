"""Which objects in staging nobody needs any more. Pure.

Invariants: an object is swept only where the record says that its attempt was delivered, recovered or failed, and only
while the final name carries the identity, seen after staging was listed. So no picture in staging is the last of its
kind, and whoever is about to promote one of them finds the image done. What is on its way, lost, superseded or kept
under ``undelivered/`` is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from airflow_provider_clarity.batch.record import Attempt, AttemptOutcome, TaskRecord
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import StoredObject

SETTLED: Final[frozenset[AttemptOutcome]] = frozenset({"delivered", "recovered", "failed"})
"""Outcomes after which an attempt's own object in staging is of no use, once the image is done."""

_LAST_UPLOADS = 24 * 3600.0
"""Seconds after the end of an endpoint in which the next run of a daily DAG still looks for what came through it."""


def may_have_left(
    record: TaskRecord, now: float, *, ended_now: bool, emptied: int | None = None
) -> tuple[Attempt, ...]:
    """Say which attempts may have left something in staging; where there are none, nobody need look.

    :param now: epoch seconds
    :param ended_now: whether this try brought the image to its end: then it is looked at once, whatever was expected.
        Who only finds it done looks for uploads that were awaited in vain and may have come since
    :param emptied: the attempt whose object this try has just deleted
    """
    return tuple(
        attempt
        for attempt in record.attempts
        if attempt.outcome in SETTLED and attempt.n != emptied and (ended_now or _may_still_come(attempt, now))
    )


def to_sweep(record: TaskRecord, found: Iterable[StoredObject], final: Provenance | None) -> tuple[StoredObject, ...]:
    """Choose what may be deleted of what was found in staging.

    :param found: objects in staging, with the generations that they were listed at
    :param final: what the metadata of the final object proves, read after the listing; None where there is none
    """
    if final is None or final.identity != record.identity:
        return ()
    settled = {attempt.staging for attempt in record.attempts if attempt.outcome in SETTLED}
    return tuple(one for one in found if str(one.uri) in settled)


def _may_still_come(attempt: Attempt, now: float) -> bool:
    """Whether the service may have used an endpoint after everybody stopped to wait for it."""
    until = attempt.endpoint_expires_at
    return attempt.outcome != "delivered" and until is not None and now < until + _LAST_UPLOADS
