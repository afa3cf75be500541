"""What the making of one plan works with, and counts as it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from airflow_provider_clarity.batch.plan.collisions import Collision
from airflow_provider_clarity.batch.plan.judging import Judge
from airflow_provider_clarity.batch.plan.merge import LOOK_AHEAD, LOOK_BACK
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.storage.store import ObjectStore

AT_ONCE: Final = 64
"""Names that are asked for in one go."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a planner holds, and how many answers it waits for at once.

    :param look_back: see :class:`~.merge.Destination`, as the next
    :param workers: threads that ask for single names
    """

    look_back: int = LOOK_BACK
    look_ahead: int = LOOK_AHEAD
    workers: int = 8


@dataclass(slots=True)
class Planning:
    """One plan in the making.

    :param collided: is told of each collision; it may raise
    :param after: where to begin: what was kept of the row before; empty at the beginning
    :param position: of the next row
    :param generation: of the manifest
    :param passed_over: objects that are no image to take, by reason
    """

    store: ObjectStore
    wanted: Wanted
    judge: Judge
    collided: Callable[[Collision], None]
    after: str = ""
    position: int = 0
    generation: int | None = None
    passed_over: Counter[str] = field(default_factory=Counter)
    limits: Limits = field(default_factory=Limits)

    def numbered(self) -> int:
        """Give the position of a row, once."""
        self.position += 1
        return self.position - 1
