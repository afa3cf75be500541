"""Reads a whole plan and stores nothing of it: what there is to do, in which shards, at what cost.

Invariant: it pays nothing, and finds every collision before anybody could.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_clarity.batch.plan.collisions import Collision, collisions_error
from airflow_provider_clarity.batch.plan.estimate import Counts
from airflow_provider_clarity.batch.plan.grammar import GlobSource, PrefixSource
from airflow_provider_clarity.batch.plan.judging import Costs, Judge
from airflow_provider_clarity.batch.plan.model import PlanPart
from airflow_provider_clarity.batch.plan.planner import Begin, plan
from airflow_provider_clarity.batch.plan.planning import Limits
from airflow_provider_clarity.batch.plan.shards import IMAGES_PER_SHARD, Bound, ShardCutter, Shards
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.store import ObjectStore

_NAMED = 100


@dataclass(frozen=True, slots=True)
class Survey:
    """What a whole plan says.

    :param costs: what the pictures that are done have cost
    """

    counts: Counts
    passed_over: dict[str, int]
    costs: Costs
    shards: Shards


def survey(
    store: ObjectStore,
    wanted: Wanted,
    *,
    images_per_shard: int | None = None,
    cap: int | None = None,
    limits: Limits | None = None,
) -> Survey:
    """Plan everything and keep what it comes to.

    :param images_per_shard: see :class:`~.shards.ShardCutter`
    :param cap: micro-dollars to divide over the shards
    :raises ClarityInputError: see :func:`~.planner.plan`; or ``if_exists="fail"`` and something is there
    :raises ClarityPlanError: naming the first of all collisions
    """
    judge = Judge(wanted.if_exists, wanted.run_key)
    cutter = ShardCutter(images_per_shard or IMAGES_PER_SHARD)
    collisions: list[Collision] = []
    more = 0

    def collided(one: Collision) -> None:
        nonlocal more
        if len(collisions) < _NAMED:
            collisions.append(one)
        else:
            more += 1

    outcomes: Counter[str | None] = Counter()
    last = PlanPart(0, (), "", True, {}, 1)
    parts = plan(store, wanted, Begin(), judge=judge, collided=collided, limits=limits)
    for last in parts:
        for row, begins in zip(last.rows, _begins(wanted, last), strict=True):
            outcomes[row.outcome] += 1
            cutter.take(begins, to_do=row.outcome is None)
    if collisions:
        raise collisions_error(collisions, more=more)
    if judge.occupied:
        raise ClarityInputError(
            f'{judge.occupied} final names are taken, and if_exists="fail". Nothing was paid. Choose another '
            "destination, or another if_exists."
        )
    counts = Counts(outcomes.total(), outcomes[None], outcomes["done"], outcomes["stale"], outcomes["foreign"])
    shards = cutter.shards(cap=cap, generation=last.generation)
    return Survey(counts, dict(last.passed_over), judge.costs, shards)


def _begins(wanted: Wanted, part: PlanPart) -> Iterable[Bound]:
    """Give what a shard would begin with, for each row."""
    match wanted.source:
        case PrefixSource(base=base) | GlobSource(base=base):
            skipped = len(f"gs://{base.bucket}/")
            return (row.source[skipped:] for row in part.rows)
        case _:
            return (row.line[0] if row.line is not None else 0 for row in part.rows)
