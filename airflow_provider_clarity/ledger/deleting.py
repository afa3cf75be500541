"""Deletes what a survey found that nobody needs, at the generation that was seen and no other.

Invariant: of a ledger the summary goes last, so that one that is half deleted is still known to be over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_clarity.batch.journal.closing import SUMMARY
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.ledger.judging import ledger_may_go
from airflow_provider_clarity.ledger.survey import LedgerSeen, Survey
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject


@dataclass(slots=True)
class Garbage:
    """What may be deleted.

    :param staging: objects of attempts that are settled
    :param ledgers: of rounds that were over long ago
    """

    staging: list[StoredObject] = field(default_factory=list)
    ledgers: list[LedgerSeen] = field(default_factory=list)

    @property
    def objects(self) -> list[StoredObject]:
        """All of it, in the order in which it may go."""
        return [*self.staging, *(one for ledger in self.ledgers for one in in_order(ledger))]


def garbage_of(survey: Survey, now: float) -> Garbage:
    """Choose what may be deleted.

    :param now: epoch seconds
    """
    return Garbage(
        [one.found for one in survey.staging if one.judged == "settled"],
        [
            one
            for one in survey.ledgers
            if ledger_may_go(
                one.summary, in_flight=one.header.totals.in_flight, written_at=one.written_at, now=now
            )
        ],
    )  # fmt: skip


def in_order(ledger: LedgerSeen) -> list[StoredObject]:
    """Return the objects of a ledger, its summary last."""
    return sorted(ledger.objects, key=lambda one: one.uri == ledger.root.child(SUMMARY))


def delete(store: ObjectStore, objects: list[StoredObject]) -> tuple[int, list[str]]:
    """Delete objects in their order; the first failure ends it.

    :return: how many are gone, and what went wrong
    """
    for done, one in enumerate(objects):
        try:
            store.delete(one.uri, generation=one.generation)
        except ClarityError as error:
            return done, [error.message]
    return len(objects), []
