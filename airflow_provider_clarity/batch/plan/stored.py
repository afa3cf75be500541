"""A plan as a backfill uses it: what is stored is read, what is not is planned, stored, and only then given away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_clarity.batch.plan.grammar import ListSource, ManifestSource
from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow
from airflow_provider_clarity.batch.plan.parts import Parts
from airflow_provider_clarity.batch.plan.planner import Begin, plan
from airflow_provider_clarity.batch.plan.planning import Limits
from airflow_provider_clarity.batch.plan.rows import read_row
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri, Source, parse_source

_AT_ONCE = 8 * 1024 * 1024
"""Bytes of a manifest that are read together, where several rows are wanted."""


class StoredPlan:
    """The plan of one round of a run. Synchronous; used by one thread at a time.

    :param root: a prefix, ``.../plan/``
    :param wanted: what the plan is of
    :param size: rows of a part; without it, the planner's own
    """

    def __init__(
        self, store: ObjectStore, root: GsUri, wanted: Wanted, *, size: int | None = None, limits: Limits | None = None
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._size = size
        self._limits = limits
        self._kept = Parts(store, root, wanted.parameters)
        self._generation: int | None = None

    def parts(self, first: int = 0) -> Iterator[PlanPart]:
        """Give the parts in order, each stored before it is given, planned only when it is asked for.

        :param first: the number to begin with; all before it are stored
        :raises ClarityInputError: see :func:`~.planner.plan`, as the next
        :raises ClarityPlanError: two sources have one final name, or a stored part cannot be read
        """
        before = self._kept.part(first - 1) if first else None
        for part in self._kept.stored(first):
            yield self._known(part)
            before = part
        while before is None or not before.last:
            begin = Begin(size=self._size) if before is None else Begin.after_part(before)
            for made in plan(self._store, self._wanted, begin, limits=self._limits):
                before = self._kept.keep(made)
                yield self._known(before)
                if _leads_on_from(made) != _leads_on_from(before):
                    break  # another runner was faster, and saw something else: plan on after its part

    def part(self, number: int) -> PlanPart | None:
        """Read a stored part; None if it is not stored."""
        found = self._kept.part(number)
        return None if found is None else self._known(found)

    def stored(self) -> Iterator[PlanPart]:
        """Read the stored parts, and plan nothing."""
        return map(self._known, self._kept.stored())

    def rows(self, positions: Iterable[int]) -> dict[int, PlanRow]:
        """Read stored rows by position; see `Parts.rows`."""
        return self._kept.rows(positions)

    def sources(self, rows: Sequence[PlanRow]) -> list[Source | None]:
        """Give the sources to send, with what is too secret or too large to be stored in a plan.

        :return: for each row; None where it can be had no more: the manifest was replaced or deleted since
        """
        named = self._named([row.line for row in rows if row.hidden and row.line is not None])
        found: list[Source | None] = []
        for row in rows:
            source = named.get(row.line) if row.hidden and row.line is not None else parse_source(row.source)
            found.append(source if source is not None and source.recorded == row.source else None)
        return found

    def _named(self, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Source]:
        source = self._wanted.source
        if isinstance(source, ListSource):
            return {place: parse_source(source.uris[place[0]]) for place in places if place[0] < len(source.uris)}
        if not places or not isinstance(source, ManifestSource):
            return {}
        found: dict[tuple[int, int], Source] = {}
        for some in _together(sorted(places)):
            for place, text in zip(some, self._texts(source, some), strict=False):
                try:
                    row = read_row(text, "a line of the manifest")
                    if row is not None:
                        found[place] = parse_source(row.source)
                except ClarityInputError:
                    continue  # not what was planned from
        return found

    def _texts(self, source: ManifestSource, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read some lines of the manifest at once, at the generation that the plan was made from."""
        if self._generation is None and (first := self.part(0)) is not None:
            self._generation = first.generation
        if self._generation is None:
            return []
        start = places[0][0]
        data = self._store.read(source.uri, generation=self._generation, start=start, length=sum(places[-1]) - start)
        return [] if data is None else [data[place - start : place - start + length] for place, length in places]

    def _known(self, part: PlanPart) -> PlanPart:
        self._generation = part.generation
        return part


def _leads_on_from(part: PlanPart) -> tuple[object, ...]:
    return part.after, part.last, part.size, part.generation, dict(part.passed_over)


def _together(places: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group places that are near each other, so that a part's rows need a few reads and not one each."""
    some: list[tuple[int, int]] = []
    for place in places:
        if some and sum(place) - some[0][0] > _AT_ONCE:
            yield some
            some = []
        some.append(place)
    if some:
        yield some
