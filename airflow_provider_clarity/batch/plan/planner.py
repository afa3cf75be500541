"""Makes a plan: streams the sources and what lies at their final names, and gives the rows in parts.

Invariants: nothing is bought here and nothing is written; the parts are the same for the same objects wherever a
planner begins again; at most one part and two pages of each listing are in memory, whatever there is to plan; a part
is given away only when it is known that neither of two sources with one final name is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from airflow_provider_clarity.batch.plan.collisions import Collision, collisions_error
from airflow_provider_clarity.batch.plan.grammar import GlobSource, ManifestSource, PrefixSource, refuse_overlap
from airflow_provider_clarity.batch.plan.judging import Judge
from airflow_provider_clarity.batch.plan.listed import ListedRows
from airflow_provider_clarity.batch.plan.manifest import generation_of
from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow
from airflow_provider_clarity.batch.plan.named import NamedRows
from airflow_provider_clarity.batch.plan.planning import Limits, Planning
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.storage.store import ObjectStore

LARGEST_PART: Final = 5000
"""Rows: of what is listed, five pages."""
SMALL_PART: Final = 500
"""Rows where each is asked for: so the first purchase need not wait for thousands of answers."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Where to begin: at the beginning, or after a part that is stored.

    :param number: of the part to make
    :param size: rows of a part; None leaves it to the planner
    :param after: `PlanPart.after` of the part before
    :param passed_over: counted so far
    :param generation: of the manifest that the parts before were made from
    """

    number: int = 0
    size: int | None = None
    after: str = ""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    generation: int | None = None

    @classmethod
    def after_part(cls, part: PlanPart) -> Begin:
        """Begin after this part."""
        return cls(part.number + 1, part.size, part.after, part.passed_over, part.generation)


def plan(
    store: ObjectStore,
    wanted: Wanted,
    begin: Begin | None = None,
    *,
    judge: Judge | None = None,
    collided: Callable[[Collision], None] | None = None,
    limits: Limits | None = None,
) -> Iterator[PlanPart]:
    """Make the parts of a plan, each when it is asked for.

    :param begin: without it, from the beginning
    :param judge: counts on; without it, one of its own
    :param collided: is told of each collision and goes on without the second source; without it, the first one raises
    :return: at least one part; the last says so
    :raises ClarityInputError: the source is not there, or overlaps with the destination
    :raises ClarityPlanError: two sources have one final name
    """
    begin = begin or Begin()
    refuse_overlap(wanted.source, wanted.destination, workspaces=wanted.workspaces)
    wanted.pattern.check(wanted.parameters.output_format or "JPG")
    listed = isinstance(wanted.source, PrefixSource | GlobSource)
    size = begin.size or (LARGEST_PART if listed and wanted.pattern.keeps_order else SMALL_PART)
    generation = _generation(store, wanted, begin)
    planning = Planning(
        store,
        wanted,
        judge or Judge(wanted.if_exists, wanted.run_key),
        collided or _stop,
        begin.after,
        begin.number * size,
        generation,
        Counter(begin.passed_over),
        limits or Limits(),
    )
    rows = _rows(planning)
    number, after = begin.number, begin.after
    some: list[PlanRow] = []
    for row, next_begins in rows:
        some.append(row)
        after = next_begins
        if len(some) == size:
            if collided is None:
                rows.check_beyond()
            yield PlanPart(number, tuple(some), after, False, dict(planning.passed_over), size, generation)
            number += 1
            some = []
    yield PlanPart(number, tuple(some), after, True, dict(planning.passed_over), size, generation)


def _rows(planning: Planning) -> ListedRows | NamedRows:
    source = planning.wanted.source
    if isinstance(source, PrefixSource | GlobSource):
        return ListedRows(planning, source)
    return NamedRows(planning, source)


def _generation(store: ObjectStore, wanted: Wanted, begin: Begin) -> int | None:
    if not isinstance(wanted.source, ManifestSource):
        return None
    return generation_of(store, wanted.source.uri, begin.generation or wanted.source.generation)


def _stop(collision: Collision) -> None:
    raise collisions_error([collision])
