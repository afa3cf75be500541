"""Rows of a listing of very many objects: only what a plan needs, without an object of the library for each.

The library makes a ``Blob`` of each row; reading one costs several times the CPU of reading the row itself
(tests/benchmarks/plan.py). Its pages give the parsed answer too, by a public name, and that is what is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

FIELDS: Final = "items(name,generation,size,contentType,metadata),nextPageToken"
"""What is asked for of each object; the rest of it is half of the bytes."""
_NONE: Final[Mapping[str, str]] = {}


class ListedObject(NamedTuple):
    """One object as a listing shows it. A plain tuple: there may be a million.

    :param name: in its bucket
    :param generation: the live one
    :param size: in bytes
    :param content_type: as stored; nobody checked it against the bytes
    :param metadata: custom metadata
    """

    name: str
    generation: int
    size: int
    content_type: str | None
    metadata: Mapping[str, str]


def listed(item: Mapping[str, Any]) -> ListedObject:
    """Read one row of the answer, as cloud.google.com/storage/docs/json_api/v1/objects describes it."""
    get = item.get
    return ListedObject(
        item["name"], int(item["generation"]), int(get("size") or 0), get("contentType"), get("metadata") or _NONE
    )
