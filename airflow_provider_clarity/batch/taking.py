"""From the rows of a plan to images, and back from what is open in the ledger to both.

Invariant: who an image is follows from what was planned, and where something of it was sent, from its record; never
from the source as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_clarity.batch.item import Item, make_item, recorded_item
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.record import TaskRecord
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.sources import RecordedSource
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsSource, GsUri, Source


@dataclass(frozen=True, slots=True)
class Taking:
    """Makes images of rows. Blocks; called in a thread.

    :param plan: where the rows come from
    :param store: of the sources
    :param api_host: host of the API, part of who an image is
    :param salt: the run key with ``if_exists="overwrite"``, else empty
    """

    plan: StoredPlan
    store: ObjectStore
    api_host: str
    salt: str = ""

    def items(self, rows: Sequence[PlanRow]) -> list[Item | ClarityInputError]:
        """Make an image of each row, or say why there is none."""
        return [self._item(row, source) for row, source in zip(rows, self.plan.sources(rows), strict=True)]

    def known(self, records: Mapping[int, TaskRecord]) -> list[tuple[PlanRow, Item]]:
        """Rebuild images of which something was sent.

        :param records: by position
        """
        rows = list(self.plan.rows(records).values())
        return [
            (row, recorded_item(records[row.position], source or RecordedSource(row.source)))
            for row, source in zip(rows, self.plan.sources(rows), strict=True)
        ]

    def replaced(self, row: PlanRow) -> PlanRow | None:
        """Return the row with the source's generation of now; None where that is what was planned, or there is none."""
        uri = GsUri.parse(row.source) if row.line is None and row.source.startswith("gs://") else None
        found = self.store.stat(uri) if uri is not None else None
        if found is None or found.generation == row.generation:
            return None
        return replace(row, generation=found.generation)

    def _item(self, row: PlanRow, source: Source | None) -> Item | ClarityInputError:
        if source is None:
            return ClarityInputError(
                f"The manifest that named {row.source} was replaced or deleted since it was planned. Nothing was sent "
                "for this image. Clear the task, which plans again."
            )
        if isinstance(source, GsSource) and row.generation is None:
            return ClarityInputError(
                f"The source {source.shown} does not exist. Nothing was sent and nothing was paid for it. Correct its "
                "name, or wait for what writes it."
            )
        return make_item(
            api_host=self.api_host,
            source=source,
            source_generation=row.generation,
            destination=GsUri.parse(row.destination),
            parameters=row.parameters,
            salt=self.salt,
        )
