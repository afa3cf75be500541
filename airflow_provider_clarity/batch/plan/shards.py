"""Ranges of a plan, so that several Airflow tasks can share it and a plan of a million images fits an XCom. Pure.

Invariants: each name is in exactly one shard, also one that comes later; the shards' `to_do` sum up to the plan's, and
their caps to the cap, to the micro-dollar. There are never more than :data:`MOST_SHARDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from airflow_provider_clarity.batch.plan.grammar import SHARD_VERSION

MOST_SHARDS: Final = 1024
"""What Airflow expands to by default (``[core] max_map_length``)."""
IMAGES_PER_SHARD: Final = 10_000
_KEPT: Final = 8 * MOST_SHARDS

Bound = str | int
"""A name of what is listed, a place of what is named."""


@dataclass(slots=True)
class _Cut:
    start: Bound | None
    to_do: int = 0


@dataclass(slots=True)
class ShardCutter:
    """Cuts while rows stream by; keeps a few thousand bounds, however many rows there are.

    :param images_per_shard: what is to be bought in one, at most, unless that made too many shards
    """

    images_per_shard: int = IMAGES_PER_SHARD
    _cuts: list[_Cut] = field(default_factory=list)
    _times: int = 1  # how many shards' images a cut holds by now

    def take(self, begins: Bound, *, to_do: bool) -> None:
        """Take the next row.

        :param begins: what a shard begins with that has it as its first
        :param to_do: whether it is to be bought
        """
        if not self._cuts:
            self._cuts.append(_Cut(None))
        elif to_do and self._cuts[-1].to_do == self.images_per_shard * self._times:
            if len(self._cuts) == _KEPT:
                self._halve()
            self._cuts.append(_Cut(begins))
        self._cuts[-1].to_do += to_do

    def shards(self, *, cap: int | None = None, generation: int | None = None) -> Shards:
        """Give the shards; none where nothing is to be bought.

        :param cap: micro-dollars for all of them
        :param generation: of a manifest, which the places are of
        """
        cuts = [cut for cut in self._cuts if cut.to_do]
        together = max(1, -(-len(cuts) // MOST_SHARDS))
        groups = [cuts[at : at + together] for at in range(0, len(cuts), together)]
        bounds: list[Bound | None] = [None, *(group[0].start for group in groups[1:]), None]
        to_do = [sum(cut.to_do for cut in group) for group in groups]
        caps: Sequence[int | None] = [None] * len(groups) if cap is None else divided(cap, to_do)
        made = []
        for (start, end), number, part in zip(pairwise(bounds), to_do, caps, strict=False):
            shard: dict[str, Any] = {"v": SHARD_VERSION, "start": start, "end": end, "to_do": number}
            if part is not None:
                shard["max_cost_usd"] = part / 1_000_000
            if generation is not None:
                shard["generation"] = generation
            made.append(shard)
        return Shards(tuple(made), self.images_per_shard * self._times * together)

    def _halve(self) -> None:
        """Put two cuts into one each. All of them are full here."""
        pairs = zip(self._cuts[::2], self._cuts[1::2], strict=True)
        self._cuts = [_Cut(one.start, one.to_do + other.to_do) for one, other in pairs]
        self._times *= 2


@dataclass(frozen=True, slots=True)
class Shards:
    """What the plan operator returns.

    :param shards: ``{"v": 1, "start", "end", "to_do"}`` and, where there is a cap, ``"max_cost_usd"``
    :param images_per_shard: as it was asked for, or more where that made too many shards
    """

    shards: tuple[dict[str, Any], ...]
    images_per_shard: int


def divided(cap: int, weights: Sequence[int]) -> list[int]:
    """Divide a cap over shards by what they have to do, exactly.

    :param cap: micro-dollars
    :param weights: how much each has to do; at least one is above 0, or there are none
    :return: for each at most one micro-dollar more or less than its share; the sum is the cap
    """
    total = sum(weights)
    ends, so_far = [0], 0
    for weight in weights:
        so_far += weight
        ends.append(cap * so_far // total)
    return [end - start for start, end in pairwise(ends)]
