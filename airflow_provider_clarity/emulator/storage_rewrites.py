"""Rewrites of objects: in one call, or by a token in several.

Within a bucket a rewrite is done at once, as with the real service. Between buckets every call copies at most so many
bytes (1 MiB unless told otherwise, or the caller's ``maxBytesRewrittenPerCall``), so that a client's token loop is
really exercised.

Invariants: the token pins the source's generation; nothing appears at the destination before the last call, and its
preconditions hold then; a token is good for the one pair of objects it was given for, and again if its reply was lost.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from airflow_provider_clarity.emulator.storage_errors import invalid
from airflow_provider_clarity.emulator.storage_objects import Attributes, ObjectVersion, Preconditions
from airflow_provider_clarity.emulator.storage_state import Store

__all__ = ["RewriteRequest", "RewriteState", "Rewrites"]

_MIB = 1024 * 1024


@dataclass(frozen=True)
class RewriteRequest:
    """One call. ``attributes`` replace the source's if they say anything."""

    source: tuple[str, str]
    destination: tuple[str, str]
    attributes: Attributes
    source_generation: int | None = None
    source_conditions: Preconditions = field(default_factory=Preconditions)
    conditions: Preconditions = field(default_factory=Preconditions)
    token: str | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class RewriteState:
    """How far it is; ``result`` once it is done, ``token`` until then."""

    rewritten: int
    size: int
    result: ObjectVersion | None = None
    token: str | None = None


@dataclass(frozen=True)
class _Progress:
    source: tuple[str, str]
    destination: tuple[str, str]
    generation: int
    rewritten: int


class Rewrites:
    """All rewrites that are under way.

    :param bytes_per_call: how much one call copies between two buckets.
    """

    def __init__(self, store: Store, bytes_per_call: int) -> None:
        self._store = store
        self._bytes_per_call = bytes_per_call
        self._progress: dict[str, _Progress] = {}

    def call(self, request: RewriteRequest) -> RewriteState:
        """Do one call of a rewrite."""
        if request.max_bytes is not None and (request.max_bytes < _MIB or request.max_bytes % _MIB):
            raise invalid("maxBytesRewrittenPerCall must be a multiple of 1048576.")
        progress = self._resume(request)
        source = self._store.find(
            *request.source, generation=progress.generation if progress else request.source_generation
        )
        request.source_conditions.require(source)
        self._store.check_write(*request.destination, request.conditions)
        size = len(source.content)
        step = size if request.source[0] == request.destination[0] else request.max_bytes or self._bytes_per_call
        rewritten = min((progress.rewritten if progress else 0) + step, size)
        if rewritten < size:
            token = secrets.token_urlsafe(24)
            self._progress[token] = _Progress(request.source, request.destination, source.generation, rewritten)
            return RewriteState(rewritten=rewritten, size=size, token=token)
        attributes = request.attributes if request.attributes.says_anything() else source.attributes
        result = self._store.insert(*request.destination, source.content, attributes, conditions=request.conditions)
        return RewriteState(rewritten=size, size=size, result=result)

    def _resume(self, request: RewriteRequest) -> _Progress | None:
        if request.token is None:
            return None
        progress = self._progress.get(request.token)
        if progress is None or (progress.source, progress.destination) != (request.source, request.destination):
            raise invalid("The rewrite token is not valid for these objects.")
        return progress
