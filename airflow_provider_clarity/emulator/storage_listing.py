"""What a listing shows: prefix, delimiter, offsets, glob, versions and pages. Pure, over a bucket as it is now.

Invariants: the order is that of the names' UTF-8 bytes, and by generation within a name; a page token names the last
thing shown, so a page stays right when objects come and go between two pages; no page holds more than 1000 rows.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from airflow_provider_clarity.emulator.storage_errors import StorageError, invalid
from airflow_provider_clarity.emulator.storage_objects import ObjectVersion, parse_integer
from airflow_provider_clarity.emulator.storage_state import Bucket

__all__ = ["Listing", "ListingQuery", "glob_pattern", "list_objects"]

_PAGE = 1000


@dataclass(frozen=True)
class ListingQuery:
    """What is asked for; ``after`` is the last row of the page before: a name and generation, or a prefix and 0."""

    prefix: str = ""
    delimiter: str = ""
    trailing_delimiter: bool = False
    start: str = ""
    end: str = ""
    glob: re.Pattern[str] | None = None
    versions: bool = False
    limit: int = _PAGE
    after: tuple[str, int] | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> ListingQuery:
        """Read the parameters of ``objects.list``."""
        limit = parse_integer(query, "maxResults")
        glob = query.get("matchGlob")
        delimiter = query.get("delimiter", "")
        if glob and delimiter not in {"", "/"}:
            raise invalid("matchGlob can be used with the delimiter '/' only.")
        return cls(
            prefix=query.get("prefix", ""),
            delimiter=delimiter,
            trailing_delimiter=_truth(query, "includeTrailingDelimiter"),
            start=query.get("startOffset", ""),
            end=query.get("endOffset", ""),
            glob=glob_pattern(glob) if glob else None,
            versions=_truth(query, "versions"),
            limit=min(limit or _PAGE, _PAGE),
            after=_read_token(query["pageToken"]) if query.get("pageToken") else None,
        )


def _truth(query: Mapping[str, str], name: str) -> bool:
    """Read a boolean; the Python client writes ``True``."""
    return query.get(name, "").lower() == "true"


@dataclass
class Listing:
    """One page."""

    items: list[ObjectVersion] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_page_token: str | None = None


def list_objects(bucket: Bucket, query: ListingQuery) -> Listing:
    """Return one page of a bucket."""
    page = Listing()
    last: tuple[str, int] | None = None
    for row in _rows(bucket, query):
        if len(page.items) + len(page.prefixes) == query.limit:
            page.next_page_token = _write_token(last)
            break
        if isinstance(row, str):
            page.prefixes.append(row)
            last = (row, 0)
        else:
            page.items.append(row)
            last = (row.name, row.generation)
    return page


def _rows(bucket: Bucket, query: ListingQuery) -> Iterator[ObjectVersion | str]:
    shown = query.after[0] if query.after and not query.after[1] else None
    for name in _names(bucket, query):
        if query.glob is not None and not query.glob.fullmatch(name):
            continue
        if query.delimiter:
            at = name.find(query.delimiter, len(query.prefix))
            group = name[: at + len(query.delimiter)] if at >= 0 else None
            if group is not None:
                if group != shown:
                    yield group
                shown = group
                if not (query.trailing_delimiter and group == name):
                    continue
        for version in _versions(bucket, name, all_of_them=query.versions):
            if query.after is None or (name, version.generation) > query.after:
                yield version


def _names(bucket: Bucket, query: ListingQuery) -> Iterator[str]:
    names = sorted({*bucket.names, *bucket.noncurrent}) if query.versions else bucket.names
    first = max(query.prefix, query.start, query.after[0] if query.after else "")
    for at in range(bisect_left(names, first), len(names)):
        name = names[at]
        if (query.end and name >= query.end) or not name.startswith(query.prefix):
            return
        yield name


def _versions(bucket: Bucket, name: str, *, all_of_them: bool) -> Iterator[ObjectVersion]:
    if all_of_them:
        yield from bucket.noncurrent.get(name, ())
    if name in bucket.live:
        yield bucket.live[name]


def _write_token(last: tuple[str, int] | None) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode("ascii")


def _read_token(token: str) -> tuple[str, int]:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
        return str(name), int(generation)
    except (binascii.Error, ValueError, TypeError):
        raise invalid("Invalid page token.") from None


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Translate ``matchGlob``: ``*`` and ``?`` stop at ``/``, ``**`` does not; ``[a-c]``, ``[!a]``, ``{one,two}``."""
    parts: list[str] = []
    at, depth = 0, 0
    while at < len(glob):
        character = glob[at]
        if glob.startswith("**", at):
            parts.append(".*")
            at += 2
            continue
        if character == "[":
            piece, at = _character_class(glob, at)
            parts.append(piece)
            continue
        if character == "\\" and at + 1 < len(glob):
            at += 1
            parts.append(re.escape(glob[at]))
        elif character == "{":
            depth += 1
            parts.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            parts.append(")")
        elif character == "," and depth:
            parts.append("|")
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(character) or re.escape(character))
        at += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise _bad_glob() from None


def _character_class(glob: str, at: int) -> tuple[str, int]:
    end = glob.find("]", at + 2)
    if end < 0:
        raise _bad_glob()
    inner = glob[at + 1 : end]
    negated = inner.startswith(("!", "^"))
    inner = inner[1:] if negated else inner
    members = "-".join(re.escape(part) for part in inner.split("-"))
    return f"[{'^/' if negated else ''}{members}]", end + 1


def _bad_glob() -> StorageError:
    return invalid("Invalid glob pattern.")
