"""The rows of a plan whose sources somebody named: a list or a manifest, in any order.

Invariants: all rows are read and checked, and all final names compared, before the first part is given away; what lies
at a final name, and the live generation of a source, are asked for name by name. No row holds a secret: a presigned URL
or inline data stays where it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import unquote, urlsplit

from airflow_provider_clarity.batch.identity import ContentKeys
from airflow_provider_clarity.batch.plan.candidates import is_ours
from airflow_provider_clarity.batch.plan.collisions import NameHashes, Suspects
from airflow_provider_clarity.batch.plan.grammar import ListSource, NamedSource
from airflow_provider_clarity.batch.plan.manifest import read_lines
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.planning import AT_ONCE, Planning
from airflow_provider_clarity.batch.plan.rows import Row, read_row
from airflow_provider_clarity.batch.plan.wanted import Overrides, extension_of
from airflow_provider_clarity.batch.threads import at_once
from airflow_provider_clarity.exceptions import ClarityError, ClarityInputError
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import (
    GsSource,
    GsUri,
    HttpsSource,
    Source,
    UuidSource,
    final_name,
    parse_source,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One source that was named.

    :param where: what a message calls it
    :param after: where the next begins
    :param line: its place and length in the manifest, or its place in the list
    """

    row: Row
    source: Source
    where: str
    after: str
    line: tuple[int, int]


def read_entries(store: ObjectStore, source: NamedSource, generation: int | None, after: str = "") -> Iterator[Entry]:
    """Read what was named, from a place on.

    :param generation: of the manifest
    :param after: from `Entry.after`; empty for the beginning
    :raises ClarityInputError: at the first row that is none, or whose source is none, naming it
    """
    if isinstance(source, ListSource):
        for place, uri in list(enumerate(source.uris[: source.end]))[int(after or source.start) :]:
            yield Entry(Row(source=uri), parse_source(uri), f"entry {place} of the list", str(place + 1), (place, 0))
        return
    start, _, number = (after or f"{source.start}:1").partition(":")
    if generation is None:
        raise ValueError("a manifest is read at a generation")
    lines = read_lines(store, source.uri, generation, start=int(start), number=int(number), end=source.end)
    for line in lines:
        at = f"at byte {line.start}" if source.start else f"{line.number}"
        where = f"line {at} of {source.uri}"
        row = read_row(line.text, where)
        if row is not None:
            with named(where):
                found = parse_source(row.source)
            yield Entry(row, found, where, f"{line.after}:{line.number + 1}", (line.start, len(line.text)))


class named:  # noqa: N801 - reads as a statement: with named("line 3"): ...
    """Say where, in the message of an error that is raised within."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ClarityError):
            place = self._where[:1].upper() + self._where[1:]
            raise type(error)(f"{place}: {error.message}") from None


class NamedRows:
    """Rows one after another.

    :param planning: `after` is what `Entry.after` said of the last row that earlier parts hold
    :param source: a list or a manifest
    """

    def __init__(self, planning: Planning, source: NamedSource) -> None:
        self._planning = planning
        self._store = planning.store
        self._wanted = planning.wanted
        self._source = source
        self._overrides = Overrides(planning.wanted.parameters)

    def __iter__(self) -> Iterator[tuple[PlanRow, str]]:
        """Give each row with where the next begins. What is passed over is counted as it is met."""
        self._compare_all()
        entries = self._entries(self._planning.after)
        workers = self._planning.limits.workers
        while some := list(islice(entries, AT_ONCE)):
            rows = at_once(self._looked_at, some, workers=workers, name="clarity-look")
            for entry, row in zip(some, rows, strict=True):
                if row is None:
                    self._planning.passed_over["upscaled"] += 1
                    continue
                yield replace(row, position=self._planning.numbered()), entry.after

    def check_beyond(self) -> None:
        """All names were read first."""

    def _entries(self, after: str = "") -> Iterator[Entry]:
        return read_entries(self._store, self._source, self._planning.generation, after)

    def _compare_all(self) -> None:
        """Read and check everything first: an error in the last row is one before the first purchase."""
        hashes = NameHashes()
        for entry in self._entries():
            hashes.add(self._compared(entry))
        suspects = hashes.suspects()
        if not suspects:
            return
        names = Suspects(suspects)
        for entry in self._entries():
            collision = names.take(self._compared(entry), f"{entry.where} ({entry.source.shown})")
            if collision is not None:
                self._planning.collided(replace(collision, final=collision.final.partition("\n")[0]))

    def _compared(self, entry: Entry) -> str:
        """Give the final name; where it holds the generation, which is not known yet, with the source."""
        final = str(self._final(entry, None))
        if self._wanted.pattern.names_generation and entry.row.destination is None:
            return f"{final}\n{entry.source.canonical}"
        return final

    def _looked_at(self, entry: Entry) -> PlanRow | None:
        """Make the row, with its source and its destination looked at; None if the source is our own picture."""
        source, row = entry.source, entry.row
        live: StoredObject | None = None
        if isinstance(source, GsSource):
            live = self._store.stat(source.uri)
            if live is not None and not self._wanted.allow_upscaled_sources and is_ours(live.metadata):
                return None
        generation = live.generation if live is not None else None
        parameters, canonical = self._overrides.of(row.own_parameters)
        final = self._final(entry, generation)
        there = self._store.stat(final)
        outcome = self._planning.judge.settled(
            None if there is None else there.metadata,
            canonical=source.canonical,
            recorded=source.recorded,
            generation=generation,
            destination=str(final),
            key=ContentKeys(self._wanted.api_host, canonical).of,
        )
        return PlanRow(
            position=-1,
            source=source.recorded,
            generation=generation,
            destination=str(final),
            parameters=parameters,
            outcome=outcome,
            asked=row.asked,
            attempt=row.attempt or 0,
            extra=row.extra,
            own=row.own_parameters,
            size=live.size if live is not None else None,
            line=entry.line,
            hidden=not isinstance(source, UuidSource) and source.recorded != row.source,
        )

    def _final(self, entry: Entry, generation: int | None) -> GsUri:
        """Give the final object; an error names the row."""
        with named(entry.where):
            parameters, _ = self._overrides.of(entry.row.own_parameters)
            ext = extension_of(parameters)
            if entry.row.destination is not None:
                return final_name(_object(entry.row.destination), entry.source, ext)
            if entry.row.own_parameters:
                self._wanted.pattern.check(parameters.output_format or "JPG")
            bucket, folder, stem = _named_as(entry.source)
            name = self._wanted.pattern.name(
                bucket=bucket, path=folder, stem=stem, ext=ext, generation=generation
            )  # fmt: skip
            final = GsUri(self._wanted.destination.bucket, f"{self._wanted.destination.name}{name}")
            return final_name(final, entry.source, ext)


def _object(text: str) -> GsUri:
    uri = GsUri.parse(text)
    if uri.is_prefix:
        raise ClarityInputError(f"The row's destination {uri} is a prefix. Name the final object.")
    return uri


def _named_as(source: Source) -> tuple[str, str, str]:
    """Give bucket, folder and stem that a pattern names a picture by."""
    if isinstance(source, GsSource):
        folder, slash, _ = source.uri.name.rpartition("/")
        return source.uri.bucket, folder + slash, source.stem
    if isinstance(source, HttpsSource) and source.stem:
        parts = urlsplit(source.url)
        folder, slash, _ = unquote(parts.path).lstrip("/").rpartition("/")
        return (parts.hostname or "").lower(), folder + slash, source.stem
    raise ClarityInputError(
        f"The source {source.shown} has no name to call the picture by. Give the row a destination, for example "
        '"destination": "gs://print/picture.jpg".'
    )
