"""One round of a backfill that this runner holds, and its ends: paused, interrupted, finished.

Invariants: a round is over only when its summary is there, which is written last; only what a person did opens the next
one: a clear, or a deletion of the DAG run, which then comes back under its old id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_clarity.batch.backfill import Backfill
from airflow_provider_clarity.batch.journal.closing import (
    Summary,
    read_summary,
    write_interrupted,
    write_rows,
    write_summary,
)
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.ledger import Clock
from airflow_provider_clarity.batch.outcomes import OnBudget, Tolerated, returned, verdict
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

BEGAN = "began"
"""Under which name the journal keeps when the round began, epoch seconds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a round ended.

    :param result: what the operator returns
    :param failure: why it fails, where it does
    :param warnings: what a person should know where it does not
    """

    result: dict[str, Any]
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round whose ledger this runner holds. One of the three ends it, for this runner at least.

    :param backfill: to be driven
    :param journal: its ledger
    :param plan: what it is over
    """

    backfill: Backfill
    journal: Journal
    plan: StoredPlan
    store: ObjectStore
    max_tries: int
    clock: Clock
    run_started: float | None = None

    def pause(self) -> None:
        """Give the ledger back: whoever resumes need not wait for us. Blocks."""
        self.journal.release()

    def interrupt(self, why: str) -> None:
        """Write down that this try ended early, and give the ledger back. Blocks.

        :param why: ``deadline`` or ``stopped``, or the kind of an error
        """
        write_interrupted(self.store, self.journal, why=why, now=self.clock())
        self.journal.release()

    def finish(self, *, tolerated: Tolerated, on_budget: OnBudget) -> Ended:
        """Write manifest, dead letter and summary of a round in which all is over. Blocks.

        :raises ClarityPlanError: what is written does not come out
        """
        store, journal = self.store, self.journal
        written = write_rows(store, journal, self.plan_rows(), rest="budget" if self.backfill.gave_up else None)
        totals, dead_letter = journal.state.totals, None if written.dead_letter is None else str(written.dead_letter)
        now = self.clock()
        ended = verdict(
            written.counts, tolerated=tolerated, on_budget=on_budget, budget=self.backfill.budget,
            dead_letter=dead_letter,
        )  # fmt: skip
        result = returned(
            written.counts,
            run=str(journal.root),
            purchases=totals.purchases,
            spent=totals.spent_microusd,
            unknown=totals.unknown,
            seconds=max(0.0, now - float(journal.state.learned.get(BEGAN, now))),
            manifest=str(written.manifest),
            dead_letter=dead_letter,
        )
        write_summary(
            store, journal, written, now=now, max_tries=self.max_tries, result=result, failure=ended.failure,
            run_started=self.run_started,
        )  # fmt: skip
        journal.release()
        return Ended(result, ended.failure, ended.warnings)

    def plan_rows(self) -> Iterator[PlanRow]:
        """Read the stored plan, row by row."""
        for part in self.plan.stored():
            yield from part.rows


def is_unasked(store: ObjectStore, root: GsUri, max_tries: int) -> bool:
    """Whether no clear opened a round, but a DAG run that came back under its old id.

    :param root: of the round
    :param max_tries: Airflow's ``ti.max_tries`` now; only a clear raises it
    """
    base, _, number = root.name.rstrip("/").rpartition("/")
    before = read_summary(store, GsUri(root.bucket, f"{base}/{int(number) - 1}/")) if int(number) else None
    return before is not None and max_tries <= before.max_tries


def round_at(
    store: ObjectStore, root: GsUri, max_tries: int, run_started: float | None = None
) -> tuple[int, Summary | None]:
    """Find which round this try belongs to: the next one where a person cleared an ended one, or deleted its DAG run.

    :param root: from :func:`ledger_root`
    :param max_tries: Airflow's ``ti.max_tries`` now; only a clear raises it
    :param run_started: when Airflow began the DAG run. A retry finds the same; another is another run of that id
    :return: its number, and how it ended where this try only repeats that
    """
    number = 0
    while (summary := read_summary(store, root.child(f"{number}/"))) is not None:
        same_run = None in (run_started, summary.run_started) or run_started == summary.run_started
        if same_run and max_tries <= summary.max_tries:
            return number, summary
        number += 1
    return number, None
