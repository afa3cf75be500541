"""Cloud Storage in memory: :class:`ObjectStore` for one process, over buckets that all share.

`tests/batch/sequences/test_sequence_store.py` holds it to what the emulator does, request for request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sequence_process import Op, Process

from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.store import (
    GenerationConflict,
    JsonObject,
    NotJsonError,
    ObjectStore,
    StoredObject,
)
from airflow_provider_clarity.storage.uris import GsUri

_LONG_AGO = datetime(2027, 1, 15, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """A generation of an object."""

    generation: int
    data: bytes
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Buckets:
    """All objects of all buckets, and what was ever put at a name.

    :param put_ever: every object that was ever written, in order
    :param deleted: generations that were deleted and not replaced
    """

    objects: dict[GsUri, Kept] = field(default_factory=dict)
    put_ever: list[tuple[GsUri, Kept]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    generation: int = 0

    def delete(self, uri: GsUri) -> None:
        """Delete what lies there, if anything does."""
        kept = self.objects.pop(uri, None)
        if kept is not None:
            self.deleted.add(kept.generation)

    def put(
        self, uri: GsUri, data: bytes, *, expected: int | None, content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:  # fmt: skip
        """Write an object where its generation is what is expected; anything, where nothing is."""
        there = self.objects.get(uri)
        if expected is not None and expected != (there.generation if there else 0):
            raise GenerationConflict(uri)
        self.generation += 1
        kept = Kept(self.generation, data, content_type, dict(metadata or {}))
        self.objects[uri] = kept
        self.put_ever.append((uri, kept))
        return shown(uri, kept)

    def under(self, prefix: GsUri, start: str | None, end: str | None) -> list[tuple[GsUri, Kept]]:
        """List objects in the order of their names."""
        return sorted(
            (
                (uri, kept)
                for uri, kept in self.objects.items()
                if uri.bucket == prefix.bucket
                and uri.name.startswith(prefix.name)
                and (not start or uri.name >= start)
                and (not end or uri.name < end)
            ),
            key=lambda one: one[0].name.encode(),
        )


def _globbed(glob: str) -> re.Pattern[str]:
    """Read a glob as Cloud Storage does, as far as sequences use them: ``*`` stops at a slash."""
    return re.compile("[^/]*".join(re.escape(part) for part in glob.split("*")))


def shown(uri: GsUri, kept: Kept) -> StoredObject:
    """What a request tells of an object."""
    return StoredObject(uri, kept.generation, len(kept.data), kept.content_type, kept.metadata, _LONG_AGO)


class MemoryStore(ObjectStore):
    """A store of one process; without one, nothing comes between its requests.

    :param asks: makes a request: is given its kind and its effect
    """

    def __init__(self, buckets: Buckets, process: Process | None = None) -> None:
        self._buckets = buckets
        self._process = process

    def _ask(self, op: Op, effect: Callable[[], Any]) -> Any:
        return effect() if self._process is None else self._process.ask(op, effect)

    def _at(self, uri: GsUri, generation: int | None) -> Kept | None:
        kept = self._buckets.objects.get(uri)
        return kept if kept is not None and generation in (None, kept.generation) else None

    def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
        kept = self._ask("look", lambda: self._at(uri, generation))
        return None if kept is None else shown(uri, kept)

    def read(self, uri: GsUri, *, generation: int, start: int = 0, length: int | None = None) -> bytes | None:
        if length is not None and length <= 0:
            return b""
        kept: Kept | None = self._ask("look", lambda: self._at(uri, generation))
        if kept is None:
            return None
        return kept.data[start : None if length is None else start + length]

    def create(
        self,
        uri: GsUri,
        data: bytes,
        *,
        if_generation_match: int,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        made: StoredObject = self._ask(
            "create",
            lambda: self._buckets.put(
                uri, data, expected=if_generation_match, content_type=content_type, metadata=metadata
            ),
        )
        return made

    def create_file(
        self, uri: GsUri, file: Any, *, if_generation_match: int, content_type: str = "application/octet-stream"
    ) -> StoredObject:
        file.seek(0)
        return self.create(uri, file.read(), if_generation_match=if_generation_match, content_type=content_type)

    def open_upload(self, uri: GsUri, *, if_generation_match: int) -> str:
        there = self.stat(uri)
        if if_generation_match != (there.generation if there else 0):
            raise GenerationConflict(uri)
        return f"session:{if_generation_match}:{uri}"

    def update_metadata(
        self, uri: GsUri, metadata: Mapping[str, str], *, if_generation_match: int
    ) -> StoredObject | None:
        def effect() -> Kept | None:
            kept = self._at(uri, None)
            if kept is None:
                return None
            if kept.generation != if_generation_match:
                raise GenerationConflict(uri)
            changed = Kept(kept.generation, kept.data, kept.content_type, {**kept.metadata, **metadata})
            self._buckets.objects[uri] = changed
            return changed

        kept = self._ask("create", effect)
        return None if kept is None else shown(uri, kept)

    def rewrite(
        self,
        source: StoredObject,
        destination: GsUri,
        *,
        if_generation_match: int,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> StoredObject | None:
        def effect() -> StoredObject | None:
            kept = self._at(source.uri, source.generation)
            if kept is None:
                return None
            return self._buckets.put(
                destination, kept.data, expected=if_generation_match, content_type=content_type, metadata=metadata
            )

        made: StoredObject | None = self._ask("rewrite", effect)
        return made

    def delete(self, uri: GsUri, *, generation: int) -> bool:
        def effect() -> bool:
            if self._at(uri, generation) is None:
                return False
            self._buckets.delete(uri)
            return True

        return bool(self._ask("delete", effect))

    def list(self, prefix: GsUri, *, start: str | None = None, end: str | None = None) -> Iterator[StoredObject]:
        for uri, kept in self._ask("look", lambda: self._buckets.under(prefix, start, end)):
            yield shown(uri, kept)

    def pages(
        self,
        prefix: GsUri,
        *,
        start: str | None = None,
        end: str | None = None,
        glob: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Sequence[ListedObject]]:
        found = self._ask("look", lambda: self._buckets.under(prefix, start, end))
        rows = [
            ListedObject(uri.name, kept.generation, len(kept.data), kept.content_type, kept.metadata)
            for uri, kept in found
            if glob is None or _globbed(glob).fullmatch(uri.name)
        ]
        size = page_size or 1000
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def read_json(self, uri: GsUri) -> JsonObject | None:
        for _ in range(5):
            found = self.stat(uri)
            if found is None:
                return None
            data = self.read(uri, generation=found.generation)
            if data is None:
                continue
            try:
                return JsonObject(json.loads(data), found.generation)
            except ValueError:
                raise NotJsonError(uri) from None
        raise GenerationConflict(uri)
