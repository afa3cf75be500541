"""Whether a verified picture may take its final name. Pure, per the rules of docs/design.md, "Promotion".

Invariants: what is not ours is overwritten only if the user said ``overwrite``, and never if it appeared after we
looked at the name. A picture from an older generation of the source never replaces one from a newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import StoredObject

IfExists = Literal["skip", "update", "overwrite", "fail"]


@dataclass(frozen=True, slots=True)
class Promote:
    """Rewrite it to the final name.

    :param if_generation_match: 0 for a free name, else the generation that was read and may be replaced
    """

    if_generation_match: int


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """The final object carries this identity."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """The final object was made from a newer generation of the same source."""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The name is taken; the picture must be kept elsewhere.

    :param reason: a sentence naming what is there
    """

    reason: str


Decision = Promote | AlreadyDone | Superseded | Undeliverable


def decide_promotion(
    destination: StoredObject | None, mine: Provenance, if_exists: IfExists, *, seen: int | None = None
) -> Decision:
    """Decide what to do with a paid, verified picture.

    :param destination: what has the final name now, read just now; None if nothing has
    :param mine: of the picture in staging
    :param if_exists: the user's choice
    :param seen: the generation at the final name when the purchase was decided, 0 for none, None if not known. What is
        not ours is replaced under ``overwrite`` only if it is that one (or if that is not known)
    """
    if destination is None:
        return Promote(0)
    theirs = Provenance.from_metadata(destination.metadata)
    if theirs is None or not theirs.has_source(mine.source):
        return _foreign(destination, theirs, if_exists, seen)
    return _ours(destination, theirs, mine, if_exists)


def _ours(destination: StoredObject, theirs: Provenance, mine: Provenance, if_exists: IfExists) -> Decision:
    if theirs.identity == mine.identity:
        return AlreadyDone()
    before, now = theirs.source_generation or 0, mine.source_generation or 0
    known = bool(before and now)
    if known and before > now:
        return Superseded()
    if (known and before < now) or if_exists in {"overwrite", "update"}:
        return Promote(destination.generation)
    return Undeliverable(
        f'{destination.uri} was made from the same source with other parameters meanwhile, and if_exists="{if_exists}"'
    )


def _foreign(
    destination: StoredObject, theirs: Provenance | None, if_exists: IfExists, seen: int | None
) -> Promote | Undeliverable:
    if if_exists == "overwrite" and seen in {None, destination.generation}:
        return Promote(destination.generation)
    whose = "is not ours" if theirs is None else f"was made from another source, {theirs.source}"
    return Undeliverable(f"{destination.uri} {whose}")
