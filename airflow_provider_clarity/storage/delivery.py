"""From staging to the final name: the final object appears whole, once, and proves by itself that the image is done.

Invariants: nothing is deleted before what it holds is safe elsewhere. Only the generation that was verified is
rewritten. Every write is conditional, so two runners may do this at once and one picture wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from airflow_provider_clarity.exceptions import ClarityDeliveryError, ClarityError
from airflow_provider_clarity.storage.header import CONTENT_TYPES, Header
from airflow_provider_clarity.storage.picture import read_header
from airflow_provider_clarity.storage.promotion import (
    AlreadyDone,
    Decision,
    IfExists,
    Promote,
    Superseded,
    Undeliverable,
    decide_promotion,
)
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri
from airflow_provider_clarity.storage.verify import Broken, Empty, Staged, Verdict, Verify, inspect_staging, judge
from airflow_provider_clarity.storage.workspace import Workspace

__all__ = [
    "AlreadyDone",
    "Broken",
    "Decision",
    "Empty",
    "IfExists",
    "Promote",
    "Promotion",
    "Staged",
    "Superseded",
    "Undeliverable",
    "Verdict",
    "Verify",
    "Workspace",
    "decide_promotion",
    "inspect_staging",
    "judge",
    "land",
    "promote",
]

_ROUNDS: Final = 5
_MEANT_FOR: Final = "clarity-meant-for"


@dataclass(frozen=True, slots=True)
class Promotion:
    """How it ended. Nothing that somebody could still want is gone, in any case.

    :param kind: ``promoted`` now; ``already`` there with this identity (maybe by our own lost first sending);
        ``superseded`` by one from a newer source; ``undelivered``, kept in the workspace
    :param uri: the final object; for ``undelivered``, where the picture is kept
    :param generation: of the object at `uri`
    :param reason: for ``undelivered``, why
    :param warnings: what did not work and does no harm, such as deleting from staging
    """

    kind: Literal["promoted", "already", "superseded", "undelivered"]
    uri: GsUri
    generation: int
    reason: str = ""
    warnings: tuple[str, ...] = ()


def promote(
    store: ObjectStore,
    staged: Staged,
    destination: GsUri,
    provenance: Provenance,
    if_exists: IfExists,
    workspace: Workspace,
    *,
    seen: int | None = None,
) -> Promotion:
    """Give a verified picture its final name, or keep it safe where that is taken; then empty its staging.

    :param staged: from `inspect_staging`; that generation and no other is rewritten
    :param provenance: becomes the final object's metadata
    :param if_exists: the user's choice; see `decide_promotion`
    :param seen: see `decide_promotion`
    :raises ClarityDeliveryError: the staging object vanished and the final name does not hold the picture; or
        (retryable) the final name was changed faster than it could be read
    """
    gone = False
    for n in range(_ROUNDS):
        # A name that was free is taken to be so still, which costs no request: the precondition tells if it is not.
        current = None if n == 0 and seen == 0 else store.stat(destination)
        match decide_promotion(current, provenance, if_exists, seen=seen):
            case Promote(if_generation_match=expected):
                try:
                    final = _rewrite(store, staged, destination, provenance.to_metadata(), expected)
                except GenerationConflict:
                    continue  # somebody was faster, or our first sending was: read again
                if final is not None:
                    return _emptied(store, staged, Promotion("promoted", destination, final.generation))
                if gone:
                    raise _vanished(staged, destination)
                gone = True  # another runner may have promoted it between our two looks: look once more
            case Undeliverable(reason=reason):
                kept = _keep(store, staged, destination, provenance, workspace)
                return _emptied(store, staged, Promotion("undelivered", kept.uri, kept.generation, reason))
            case AlreadyDone():
                return _emptied(store, staged, Promotion("already", destination, _generation(current)))
            case Superseded():
                return _emptied(store, staged, Promotion("superseded", destination, _generation(current)))
    raise ClarityDeliveryError(
        f"{destination} was changed {_ROUNDS} times while the picture was to be put there. "
        f"It is safe in {staged.object.uri}. Another try goes on from there.",
        retryable=True,
    )


def land(store: ObjectStore, data: bytes, staging: GsUri, *, replacing: int = 0) -> StoredObject | None:
    """Put a picture into staging that was fetched instead of uploaded by the service.

    :param data: the whole file
    :param replacing: the generation of a broken upload, 0 if staging is empty
    :return: what lies in staging now, which may be another's upload that was faster: inspect it like any other; None if
        that is gone again, promoted by another
    """
    header = read_header(data)
    content_type = CONTENT_TYPES[header.format] if isinstance(header, Header) else "application/octet-stream"
    try:
        return store.create(staging, data, if_generation_match=replacing, content_type=content_type)
    except GenerationConflict:
        return store.stat(staging)


def _rewrite(
    store: ObjectStore, staged: Staged, to: GsUri, metadata: dict[str, str], expected: int
) -> StoredObject | None:
    return store.rewrite(
        staged.object,
        to,
        if_generation_match=expected,
        content_type=CONTENT_TYPES[staged.header.format],
        metadata=metadata,
    )


def _keep(
    store: ObjectStore, staged: Staged, destination: GsUri, provenance: Provenance, workspace: Workspace
) -> StoredObject:
    """Put it under ``undelivered/``; what is there already under this identity and attempt is the same picture."""
    keep = workspace.undelivered(
        provenance.identity, provenance.attempt or 1, staged.object.uri.suffix.removeprefix(".")
    )
    metadata = provenance.to_metadata() | {_MEANT_FOR: str(destination)}
    try:
        kept = _rewrite(store, staged, keep, metadata, 0)
    except GenerationConflict:
        kept = None
    kept = kept or store.stat(keep)
    if kept is None:
        raise _vanished(staged, keep)
    return kept


def _emptied(store: ObjectStore, staged: Staged, promotion: Promotion) -> Promotion:
    """Delete what was verified from staging; the picture is safe by now, so a failure is only worth a warning."""
    if promotion.uri == staged.object.uri:
        return promotion  # it was kept already, and is still where it is kept
    try:
        store.delete(staged.object.uri, generation=staged.object.generation)
    except ClarityError as error:
        warning = f"{staged.object.uri} could not be deleted and may be: {error.message}"
        return replace(promotion, warnings=(*promotion.warnings, warning))
    return promotion


def _vanished(staged: Staged, to: GsUri) -> ClarityDeliveryError:
    return ClarityDeliveryError(
        f"The picture in {staged.object.uri} vanished before it could be put to {to}. Nothing was overwritten. "
        "Another try looks whether the service still has it.",
        retryable=True,
    )


def _generation(current: StoredObject | None) -> int:
    return current.generation if current else 0
