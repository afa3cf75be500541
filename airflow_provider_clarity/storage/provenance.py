"""What the final object's metadata proves: that it is ours, which image it is, what was paid. Pure.

Invariants: ``from_metadata(to_metadata(p)) == p`` for every text within its limit; whatever the metadata holds, reading
never raises; all of it stays under the 8 KiB that Cloud Storage allows for one object's custom metadata
(cloud.google.com/storage/quotas#objects). Older and newer versions still count as ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

VERSION: Final = "1"
_PREFIX: Final = "clarity-"
_LIMIT: Final = 2048  # bytes a text; two long ones, one note and the rest stay far below 8 KiB
_NOTE_LIMIT: Final = 1024
_SHORT_LIMIT: Final = 256


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a delivered picture comes from.

    :param content_key: digest of source, destination and parameters, hex; what the ``if_exists`` table compares
    :param identity: digest of content key and salt, hex; what adoption compares
    :param task_uuid: the task that made this very picture
    :param attempt: the n-th purchase of this identity, from 1
    :param source: the source as it may be stored (``Source.recorded``)
    :param source_generation: its generation, for a ``gs://`` source
    :param run_key: DAG id, run id and task id of the run that paid
    :param cost_microusd: what was paid, in millionths of a dollar, where known
    :param factor: the upscale factor asked for, as a decimal text
    :param pixels: width and height of the picture, EXIF orientation applied
    :param note: what a person should know of the picture, for example another size than expected
    """

    content_key: str
    identity: str
    task_uuid: UUID | None
    source: str
    source_generation: int | None = None
    run_key: str = ""
    attempt: int | None = None
    cost_microusd: int | None = None
    factor: str | None = None
    pixels: tuple[int, int] | None = None
    note: str = ""

    def to_metadata(self) -> dict[str, str]:
        """Give the custom metadata; what is unknown is left out, texts above their limit are cut with a digest."""
        values = {
            "v": VERSION,
            "content-key": fitted(self.content_key, _SHORT_LIMIT),
            "identity": fitted(self.identity, _SHORT_LIMIT),
            "task-uuid": None if self.task_uuid is None else str(self.task_uuid),
            "source": fitted(self.source),
            "source-generation": self.source_generation,
            "run-key": fitted(self.run_key) or None,
            "attempt": self.attempt,
            "cost-microusd": self.cost_microusd,
            "factor": None if self.factor is None else fitted(self.factor, _SHORT_LIMIT),
            "pixels": None if self.pixels is None else f"{self.pixels[0]}x{self.pixels[1]}",
            "note": fitted(self.note, _NOTE_LIMIT) or None,
        }
        return {f"{_PREFIX}{key}": str(value) for key, value in values.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str] | None) -> Provenance | None:
        """Read custom metadata.

        :param metadata: an object's custom metadata, whoever wrote it
        :return: None if the object is not ours: version, content key, identity or source is missing
        """
        found = {key.lower(): value for key, value in (metadata or {}).items()}

        def text(key: str) -> str:
            return found.get(f"{_PREFIX}{key}", "")

        if not (text("v") and text("content-key") and text("identity") and text("source")):
            return None
        return cls(
            content_key=text("content-key"),
            identity=text("identity"),
            task_uuid=_uuid(text("task-uuid")),
            source=text("source"),
            source_generation=_number(text("source-generation")),
            run_key=text("run-key"),
            attempt=_number(text("attempt")),
            cost_microusd=_number(text("cost-microusd")),
            factor=text("factor") or None,
            pixels=_pixels(text("pixels")),
            note=text("note"),
        )

    def has_source(self, source: str) -> bool:
        """Whether the picture was made from this source, whichever generation.

        :param source: ``Source.recorded``
        """
        return fitted(self.source) == fitted(source)

    def was_bought_by(self, run_key: str) -> bool:
        """Whether the purchase was this run's."""
        return bool(run_key) and fitted(self.run_key) == fitted(run_key)


class Claim(NamedTuple):
    """The part of a `Provenance` that says whether an image is done: for very many objects.

    :param content_key: as in `Provenance`, as are the next two
    :param cost_microusd: as it is written; see `cost`
    """

    content_key: str
    source: str
    run_key: str
    cost_microusd: str

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Claim | None:
        """Read what `Provenance.from_metadata` reads, several times as fast.

        :return: None exactly where that gives None
        """
        get = metadata.get
        key, source = get("clarity-content-key"), get("clarity-source")
        if key and source and get("clarity-v") and get("clarity-identity"):
            return cls(key, source, get("clarity-run-key", ""), get("clarity-cost-microusd", ""))
        if not any(name[:8].lower() == _PREFIX for name in metadata):
            return None
        found = Provenance.from_metadata(metadata)  # in capitals, perhaps
        if found is None:
            return None
        cost = "" if found.cost_microusd is None else str(found.cost_microusd)
        return cls(found.content_key, found.source, found.run_key, cost)

    @property
    def cost(self) -> int | None:
        """What was paid, in micro-dollars, where known."""
        return _number(self.cost_microusd)

    def has_source(self, source: str) -> bool:
        """See `Provenance.has_source`."""
        return self.source == source or _fits(self.source, source)

    def was_bought_by(self, run_key: str) -> bool:
        """See `Provenance.was_bought_by`."""
        return bool(run_key) and (self.run_key == run_key or _fits(self.run_key, run_key))


def fitted(text: str, limit: int = _LIMIT) -> str:
    """Cut a text that is too long for metadata; two different texts stay different.

    :param text: any text; what is not valid Unicode is replaced
    :param limit: most bytes of UTF-8, at least 100
    :return: the text, or its beginning with the SHA-256 of all of it; cutting twice changes nothing
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    mark = f"…sha256:{hashlib.sha256(data).hexdigest()}"
    return data[: limit - len(mark.encode())].decode("utf-8", "ignore") + mark


def _fits(text: str, other: str) -> bool:
    """Whether two different texts are one when fitted: only a long one is ever cut, and what it is cut to is long, too.

    :param text: as it was read
    """
    return len(text) >= _LIMIT // 4 and fitted(text) == fitted(other)


def _pixels(text: str) -> tuple[int, int] | None:
    width, height = (_number(side) for side in text.partition("x")[::2])
    return None if width is None or height is None else (width, height)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(2**63)) else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
