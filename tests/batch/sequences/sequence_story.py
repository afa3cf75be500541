"""A sequence as data: what happens, in order. Its ``repr`` is Python that can be pasted into a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sequence_process import Fault
from sequence_service import Asked, Fate, Post, Switches

RunName = Literal["today", "tomorrow", "mapped", "fresh", "update", "dead", "one0", "one1"]
"""``today``, ``tomorrow``: backfills of two DAG runs. ``mapped``: another map index of today's. ``fresh``, ``update``:
with ``if_exists="overwrite"`` and ``"update"``. ``dead``: today's dead letter as a source. ``one0``: a single image."""


@dataclass(frozen=True)
class Try:
    """A try of a run begins; what has happened before goes on.

    :param faults: what happens to its process
    :param seconds: its time
    :param arrives: whether what is on its way when the process dies still arrives
    """

    run: RunName
    faults: tuple[Fault, ...] = ()
    seconds: float = 300.0
    arrives: bool = False


@dataclass(frozen=True)
class Pass:
    """Time goes by."""

    seconds: float


@dataclass(frozen=True)
class Rest:
    """Time goes by until nobody is at work."""


@dataclass(frozen=True)
class Kill:
    """Every process of a run dies."""

    run: RunName


@dataclass(frozen=True)
class Stop:
    """Every process of a run is asked to stop."""

    run: RunName


@dataclass(frozen=True)
class Clear:
    """A person clears a run."""

    run: RunName


@dataclass(frozen=True)
class Replace:
    """A source gets a new generation."""

    image: int


@dataclass(frozen=True)
class Delete:
    """A final object is deleted."""

    image: int


@dataclass(frozen=True)
class Strange:
    """Somebody else writes to a final name."""

    image: int


@dataclass(frozen=True)
class Forget:
    """The service forgets all that has ended."""


Step = Try | Pass | Rest | Kill | Stop | Clear | Replace | Delete | Strange | Forget


@dataclass(frozen=True)
class Story:
    """A sequence.

    :param images: how many sources there are
    :param cap: ``max_cost_usd`` of each backfill, micro-dollars
    :param expected: what an image is expected to cost at most, micro-dollars
    :param via: how pictures come back
    :param fates: of the tasks, in the order in which they are accepted; when they are told out, all is well
    :param posts: likewise
    :param looks: likewise
    :param seed: of the latencies
    """

    steps: tuple[Step, ...]
    images: int = 2
    switches: Switches = field(default_factory=Switches)
    cap: int | None = None
    expected: int = 1300
    via: Literal["signed_url", "resumable_session", "worker"] = "signed_url"
    fates: tuple[Fate, ...] = ()
    posts: tuple[Post, ...] = ()
    looks: tuple[Asked, ...] = ()
    seed: int = 0
