"""Who an image is to the service: the digests from which every task UUID follows.

Invariants: nothing here depends on the try number or the time of day, so the identifier of a purchase exists before
its first submit and is the same in every process that wants the same picture. A change of any golden vector in the
tests makes every finished image look unbought: that is a major release.
"""

from __future__ import annotations

import hashlib
import json
import json.encoder
from collections.abc import Mapping
from typing import Any
from uuid import UUID

VERSION = 1
"""The version of the content key; older ones still count as done."""
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
"""One for all digests."""
_text = json.encoder.encode_basestring_ascii


def content_key(
    *,
    api_host: str,
    source: str,
    source_generation: int | None,
    destination: str,
    parameters: Mapping[str, Any],
) -> str:
    """Digest what is bought: the same key means the same picture at the same place.

    :param api_host: host of the API, so that a try against an emulator never counts as the real thing
    :param source: canonical form of the source: a ``gs://`` URI, an https URL without its signature, a digest of data
    :param source_generation: generation of a ``gs://`` source, else None
    :param destination: ``gs://`` URI of the final object
    :param parameters: canonical parameters, by wire name, only those given; never delivery fields
    :return: 64 hexadecimal digits
    """
    return _digest(
        "clarity-content",
        {
            "v": VERSION,
            "api": api_host.lower(),
            "source": source,
            "generation": source_generation,
            "destination": destination,
            "parameters": dict(parameters),
        },
    )


class ContentKeys:
    """`content_key` for one host and one set of parameters, several times as fast: a backfill has a million of them.

    :param api_host: see `content_key`
    :param parameters: see `content_key`
    """

    def __init__(self, api_host: str, parameters: Mapping[str, Any]) -> None:
        self._begins = f'{{"api":{_CANONICAL.encode(api_host.lower())},"destination":'
        self._middle = f',"parameters":{_CANONICAL.encode(dict(parameters))},"purpose":"clarity-content","source":'
        self._ends = f',"v":{VERSION}}}'

    def of(self, source: str, source_generation: int | None, destination: str) -> str:
        """Digest source, generation and destination; see `content_key`."""
        generation = "null" if source_generation is None else source_generation
        text = f'{self._begins}{_text(destination)},"generation":{generation}{self._middle}{_text(source)}{self._ends}'
        return hashlib.sha256(text.encode()).hexdigest()


def identity(key: str, salt: str = "") -> str:
    """Digest whose purchase it is.

    :param key: the content key
    :param salt: empty, so that all runs share one purchase; the run key where a run wants a picture of its own
    :return: 64 hexadecimal digits
    """
    return _digest("clarity-identity", {"v": VERSION, "content_key": key, "salt": salt})


def task_uuid(of: str, attempt: int) -> UUID:
    """Name the n-th purchase of an identity, as the service will know it.

    :param of: the identity
    :param attempt: counted from 1
    :return: a UUID with the bits of version 4, as the service asks for
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    digest = _digest("clarity-task", {"v": VERSION, "identity": of, "attempt": attempt})
    return UUID(hex=digest[:32], version=4)


def _digest(purpose: str, of: Mapping[str, Any]) -> str:
    text = _CANONICAL.encode({"purpose": purpose, **of})
    return hashlib.sha256(text.encode()).hexdigest()
