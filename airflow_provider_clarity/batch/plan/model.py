"""What a plan is made of: rows, in parts. Plain values; how they are stored is in :mod:`~.parts`.

Invariant: no field holds a secret. A source that is one (a presigned URL) or is large (inline data) is here by its
``recorded`` form and by where it was written, and is read again when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from airflow_provider_clarity.runware.wire import UpscaleParameters

NOTHING: Final[Mapping[str, Any]] = {}
"""For the many rows that carry nothing of their own: one for all."""
Settled = Literal["done", "stale", "foreign"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One image of a backfill.

    :param position: its number, from 0 over all parts
    :param source: as it may be stored (``Source.recorded``); the source itself, unless `line` says where that is
    :param generation: of a ``gs://`` source, as it was listed or looked at; None where it was not there
    :param destination: ``gs://`` URI of the final object
    :param parameters: what is bought: the row's own over the operator's
    :param outcome: settled by the plan, nothing to do; None for what is to be taken up
    :param asked: the row of a dead letter that had failed or was lost: a person asked for another purchase
    :param attempt: how many purchases the row names; 0 where it names none. The task record may know of more
    :param extra: unknown keys of the row, carried into the result
    :param own: the parameters that the row itself has
    :param size: bytes of a ``gs://`` source, as it was listed or looked at
    :param line: place and length in the manifest (bytes), or place in the list; None where a listing gave it
    :param hidden: `source` is not what is sent: that is a secret or large, and is read again from `line`
    """

    position: int
    source: str
    generation: int | None
    destination: str
    parameters: UpscaleParameters
    outcome: Settled | None = None
    asked: bool = False
    attempt: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    line: tuple[int, int] | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class PlanPart:
    """Some rows of a plan, in its order.

    :param number: from 0
    :param rows: at most `size`; only the last part may have fewer
    :param after: where the next part begins
    :param last: nothing comes after it
    :param passed_over: how many objects were no image to take, by reason, since the beginning of the plan
    :param size: how many rows every part but the last has: the part of a position is ``position // size``
    :param generation: of the manifest that the plan is made from
    """

    number: int
    rows: tuple[PlanRow, ...]
    after: str
    last: bool
    passed_over: Mapping[str, int]
    size: int
    generation: int | None = None

    @property
    def first(self) -> int:
        """The position of its first row."""
        return self.number * self.size
