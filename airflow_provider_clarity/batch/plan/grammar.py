"""What the ``source`` of a backfill means: a prefix, a glob, a list, or a manifest. Pure.

Invariant: what is read from is never written to: a destination that equals, holds or lies in the source prefix is
refused, and so is one in our own workspace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.gs_uri import SCHEME
from airflow_provider_clarity.storage.uris import GsUri, parse_source

SHARD_VERSION: Final = 1
_MANIFEST: Final = ".jsonl"
_WILDCARD = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"[*?\[{\\]")
_FORMS: Final = (
    "Write a prefix that ends in '/' (gs://raw/day/), a glob (gs://raw/day/*.png), a manifest (gs://raw/day.jsonl), or "
    "a list of URIs"
)


@dataclass(frozen=True, slots=True)
class PrefixSource:
    """Everything under a prefix.

    :param base: the prefix; paths are relative to it
    :param start: the first object's name, inclusive; None for no bound
    :param end: the name to stop before; None for no bound
    """

    base: GsUri
    start: str | None = None
    end: str | None = None

    @property
    def prefix(self) -> str:
        """What all names begin with."""
        return self.base.name


@dataclass(frozen=True, slots=True)
class GlobSource:
    """Every object whose name matches, as Cloud Storage reads a glob: ``*`` stops at ``/``, ``**`` does not.

    See cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob.

    :param base: up to the last ``/`` before the first wildcard; paths are relative to it
    :param pattern: the glob, for whole names
    """

    base: GsUri
    pattern: str
    start: str | None = None
    end: str | None = None

    @property
    def prefix(self) -> str:
        """What all names begin with: the pattern up to its first wildcard."""
        return _before_wildcard(self.pattern)


@dataclass(frozen=True, slots=True)
class ListSource:
    """The URIs that a DAG gave, in their order.

    :param uris: each is a source of one image; ``repr`` hides them, since a presigned URL is a secret
    :param start: the first, counted from 0
    :param end: the one to stop before; None for all
    """

    uris: tuple[str, ...] = field(repr=False)
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ManifestSource:
    """The rows of a JSONL object.

    :param uri: the object
    :param start: the first row's place, in bytes from the beginning
    :param end: the place to stop before; None for all
    :param generation: the one that `start` and `end` are of; None for the live one
    """

    uri: GsUri
    start: int = 0
    end: int | None = None
    generation: int | None = None


ListedSource = PrefixSource | GlobSource
"""What a listing of Cloud Storage gives, in the order of names."""
NamedSource = ListSource | ManifestSource
"""What somebody named one by one, in any order."""
BatchSource = ListedSource | NamedSource


def parse_batch_source(source: str | Sequence[str]) -> BatchSource:
    """Tell what a source is.

    :param source: ``gs://bucket/prefix/``, ``gs://bucket/day/*.png``, ``gs://bucket/rows.jsonl``, or a list of URIs
    :raises ClarityInputError: for anything else, naming the four forms; no message holds a secret
    """
    if not isinstance(source, str):
        return _parse_list(source)
    if not source.startswith(SCHEME):
        raise ClarityInputError(f"{_short(source)} is no source of a batch. {_FORMS}.")
    uri = GsUri.parse(source)
    if source.endswith("/"):
        return PrefixSource(uri)
    if _WILDCARD.search(uri.name):
        literal = _before_wildcard(uri.name)
        return GlobSource(GsUri(uri.bucket, literal[: literal.rfind("/") + 1]), uri.name)
    if uri.name.endswith(_MANIFEST):
        return ManifestSource(uri)
    one = f", or [{str(uri)!r}] for this one object" if uri.name else ""
    raise ClarityInputError(f"{uri} is no source of a batch. {_FORMS}{one}.")


def parse_batch_destination(text: str) -> GsUri:
    """Read where the pictures go: a prefix.

    :param text: ``gs://bucket/prefix/``
    :raises ClarityInputError: if it does not end in ``/``
    """
    uri = GsUri.parse(text)
    if not text.endswith("/"):
        raise ClarityInputError(f"The destination {uri} is no prefix. Let it end in '/': {uri}/.")
    return uri


def warning_for(source: BatchSource) -> str | None:
    """Say what is allowed but odd: a prefix that looks like a glob."""
    if not isinstance(source, PrefixSource) or not _WILDCARD.search(source.base.name):
        return None
    return (
        f"The source {source.base} ends in '/', so it is a prefix and its wildcards are taken as they stand. "
        f"For a glob, write {source.base}**."
    )


def refuse_overlap(source: BatchSource, destination: GsUri, *, workspaces: Sequence[GsUri] = ()) -> None:
    """Refuse a destination that a later run would read from, or that is not the user's to fill.

    :param destination: a prefix
    :param workspaces: the prefixes where we keep what has no final name
    :raises ClarityInputError: the destination equals, holds or lies in the source prefix, or lies in a workspace
    """
    for workspace in workspaces:
        if workspace.name and _holds(workspace, destination):
            raise ClarityInputError(
                f"The destination {destination} lies in the workspace {workspace}, whose objects are deleted after a "
                "while. Nothing was listed or paid. Choose a prefix outside."
            )
    if not isinstance(source, PrefixSource | GlobSource):
        return
    if _holds(source.base, destination) or _holds(destination, source.base):
        how = "is" if source.base == destination else "lies in" if _holds(source.base, destination) else "holds"
        raise ClarityInputError(
            f"The destination {destination} {how} the source prefix {source.base}: pictures would become sources. "
            "Nothing was listed or paid. Choose prefixes that have nothing in common."
        )


def within(source: BatchSource, shard: Mapping[str, Any]) -> BatchSource:
    """Narrow a source to a shard of it.

    :param shard: ``{"v": 1, "start", "end"}``, names for what is listed, places for what is named, null for no bound;
        of a manifest with ``"generation"``, which the places are of
    :raises ClarityInputError: it is of a newer version, or not of this kind of source
    """
    if shard.get("v") != SHARD_VERSION:
        raise ClarityInputError("The shard is of a version that this release does not know. Plan again, with this one.")
    start, end = shard.get("start"), shard.get("end")
    kind = str if isinstance(source, PrefixSource | GlobSource) else int
    if any(bound is not None and type(bound) is not kind for bound in (start, end)):
        raise ClarityInputError("The shard is not one of this source. Plan again, with the same source.")
    match source:
        case PrefixSource() | GlobSource():
            return replace(source, start=start, end=end)
        case ListSource():
            return replace(source, start=start or 0, end=end)
        case ManifestSource():
            return replace(source, start=start or 0, end=end, generation=shard.get("generation"))


def _parse_list(source: Sequence[str]) -> ListSource:
    if not isinstance(source, Sequence) or not all(isinstance(uri, str) for uri in source):
        raise ClarityInputError(f"The source is neither a text nor a list of texts. {_FORMS}.")
    for place, uri in enumerate(source):
        try:
            parse_source(uri)
        except ClarityInputError as error:
            raise ClarityInputError(f"Entry {place} of the source list: {error.message}") from None
    return ListSource(tuple(source))


def _before_wildcard(pattern: str) -> str:
    found = _SPECIAL.search(pattern)
    return pattern[: found.start()] if found else pattern


def _holds(prefix: GsUri, other: GsUri) -> bool:
    return prefix.bucket == other.bucket and other.name.startswith(prefix.name)


def _short(text: str) -> str:
    shown = redact(text)
    return repr(shown if len(shown) <= 120 else f"{shown[:120]}…")  # noqa: PLR2004 - enough to recognise it
