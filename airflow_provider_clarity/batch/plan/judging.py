"""What an occupied final name means for one source: the ``if_exists`` table, over what a listing shows.

Invariant: the answer is the engine's own (`Landing.look_at_destination`) for the same object; the engine looks again
before each purchase, so that here nothing is decided but what need not be taken up at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_provider_clarity.batch.plan.model import Settled
from airflow_provider_clarity.batch.policy import IfExists, Occupant, judge_destination
from airflow_provider_clarity.storage.provenance import Claim


@dataclass(slots=True)
class Costs:
    """What the pictures that are already there have cost, in micro-dollars."""

    number: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, cost: int) -> None:
        """Count one."""
        self.least = min(self.least, cost) if self.number else cost
        self.most = max(self.most, cost)
        self.number += 1
        self.total += cost


@dataclass(slots=True)
class Judge:
    """Judges final names for one run.

    :param run_key: whose run it is
    :param costs: of the pictures that are done
    :param occupied: with ``if_exists="fail"``: how many final names are taken
    """

    if_exists: IfExists
    run_key: str
    costs: Costs = field(default_factory=Costs)
    occupied: int = 0

    def settled(
        self,
        metadata: Mapping[str, str] | None,
        *,
        canonical: str,
        recorded: str,
        generation: int | None,
        destination: str,
        key: Callable[[str, int | None, str], str],
    ) -> Settled | None:
        """Say whether nothing is to be done; None for what the engine takes up, also to say that it may not.

        :param metadata: of what lies at the final name; None where nothing does
        :param canonical: the source as the content key has it
        :param recorded: the source as the metadata has it
        :param generation: the source's
        :param destination: ``gs://`` URI of the final object
        :param key: gives the content key of source, generation and destination; see `ContentKeys`
        """
        if metadata is None:
            return None
        claim = Claim.from_metadata(metadata) if metadata else None
        if claim is None or not claim.has_source(recorded):
            occupant, wanted = Occupant(), ""
        else:
            mine = claim.was_bought_by(self.run_key)
            occupant = Occupant(claim.content_key, self.run_key if mine else None)
            wanted = key(canonical, generation, destination)
        verdict = judge_destination(occupant, content_key=wanted, if_exists=self.if_exists, run_key=self.run_key)
        if verdict == "error":
            self.occupied += 1
        if verdict == "done" and claim is not None and (cost := claim.cost) is not None:
            self.costs.add(cost)
        return verdict if verdict == "done" or verdict == "stale" or verdict == "foreign" else None  # noqa: PLR1714
