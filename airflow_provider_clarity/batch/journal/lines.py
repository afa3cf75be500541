"""The stored form of a segment: a header and lines, each a JSON object on a line of its own.

    segments/00000007.jsonl
      {"v": 1, "kind": "work", "runner": ..., "epoch": 2, "seq": 7, "at": ..., "checkpoint": 5, "totals": {...}}
      {"kind": "intent", "position": 11, ...}       a POST is about to leave
      {"kind": "news", "identity": ..., ...}        what became of attempts
      {"kind": "end", "position": 3, ...}           how it ended for an image
      {"kind": "planned", "number": 2, ...}         a part of the plan was stored
      {"kind": "learned", "name": "window", ...}    what the next runner should know
      {"kind": "state", ...} {"kind": "open", ...}  only in a checkpoint: all that is known after the lines above

Invariants: what is written reads back equal; a line or key that is not known is passed over, a header of a newer
version never: who cannot read what was bought buys nothing. No line holds a key, a presigned URL or a picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_clarity.batch.journal import messages
from airflow_provider_clarity.batch.journal.totals import Totals
from airflow_provider_clarity.batch.record import Attempt, Failure, TaskRecord
from airflow_provider_clarity.exceptions import ClarityLostError

VERSION: Final = 1
_NEWLINE: Final = b"\n"

SegmentKind = Literal["takeover", "work", "released"]
RowOutcome = Literal["delivered", "recovered", "done", "stale", "foreign", "failed", "not_submitted"]
Spans = tuple[tuple[int, int], ...]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Header(_Stored):
    """The first line of a segment.

    :param kind: ``takeover`` begins an epoch, ``released`` ends it: nothing of that runner is on its way any more
    :param runner: who wrote it; no other has the same
    :param epoch: from 1; each takeover begins the next
    :param seq: from 1, without a gap
    :param at: epoch seconds
    :param checkpoint: sequence of the newest segment that holds a whole state; its own, where it is one
    :param totals: after this segment
    :param counts: images that are over, by outcome, such as ``delivered`` or ``failed.provider``
    :param adopted: of those delivered or recovered, the ones that somebody else had bought
    :param planned: rows in the parts that are stored
    """

    v: int = VERSION
    kind: SegmentKind
    runner: str
    epoch: int = Field(ge=1)
    seq: int = Field(ge=1)
    at: float
    checkpoint: int = Field(ge=1)
    totals: Totals = Totals()
    counts: dict[str, int] = Field(default_factory=dict)
    adopted: int = 0
    planned: int = 0


class Intent(_Stored):
    """A POST is about to leave.

    :param position: of the image in the plan
    :param first: whether this run is the first to record the attempt: then its cost is ours
    :param recorded: whether the image has a task record in the bucket, too
    :param record: all that is known of its purchases, the attempt that is about to be sent as the last
    """

    kind: Literal["intent"] = "intent"
    position: int = Field(ge=0)
    first: bool
    recorded: bool = False
    record: TaskRecord


class News(_Stored):
    """What became of attempts.

    :param attempts: those that changed, each as it is now
    :param recorded: whether the image has a task record in the bucket by now
    """

    kind: Literal["news"] = "news"
    identity: str
    attempts: tuple[Attempt, ...] = ()
    recorded: bool = False


class End(_Stored):
    """How it ended for one image.

    :param why: for ``not_submitted``: ``budget``, ``deadline`` or ``stopped``
    :param failure: for ``failed``, and why something is ``stale`` or ``foreign``
    :param attempt: its last attempt; 0 for none
    :param uri: the final object, or where an undelivered picture is kept
    :param cost_microusd: what this run paid for it; None where nobody knows
    :param adopted: somebody else bought it: the cost is in no sum of this run
    :param extra: what a row of the result carries besides
    """

    kind: Literal["end"] = "end"
    position: int = Field(ge=0)
    outcome: RowOutcome
    why: str | None = None
    failure: Failure | None = None
    attempt: int = 0
    task_uuid: str | None = None
    uri: str | None = None
    size: tuple[int, int] | None = None
    cost_microusd: int | None = 0
    seconds: float = 0.0
    adopted: bool = False
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def counted_as(self) -> str:
        """The key under which it is counted."""
        if self.outcome == "failed":
            return f"failed.{self.failure.kind if self.failure else 'provider'}"
        return f"not_submitted.{self.why or 'stopped'}" if self.outcome == "not_submitted" else self.outcome


class Planned(_Stored):
    """A part of the plan was stored.

    :param number: of the part; each greater than the one before
    :param first: position of its first row: the number of rows before it
    :param rows: how many it has
    :param settled: positions that the plan itself found settled
    :param counts: those by outcome: ``done``, ``stale``, ``foreign``
    :param passed_over: objects that are no rows, by reason, since the beginning
    :param last: whether the plan is complete with it
    """

    kind: Literal["planned"] = "planned"
    number: int
    first: int = Field(ge=0)
    rows: int = Field(ge=0)
    settled: Spans = ()
    counts: dict[str, int] = Field(default_factory=dict)
    passed_over: dict[str, int] = Field(default_factory=dict)
    last: bool = False


class Learned(_Stored):
    """Something that the next runner should know, such as the window.

    :param name: a later value under the same name replaces it
    :param value: any JSON; None takes it away
    """

    kind: Literal["learned"] = "learned"
    name: str
    value: Any = None


class KeptState(_Stored):
    """Of a checkpoint: all but the images that are open. See :class:`~.state.RunState`."""

    kind: Literal["state"] = "state"
    ended: Spans = ()
    counts: dict[str, int] = Field(default_factory=dict)
    settled: Totals = Totals()
    adopted: int = 0
    planned: int = 0
    part: int | None = None
    complete: bool = False
    passed_over: dict[str, int] = Field(default_factory=dict)
    learned: dict[str, Any] = Field(default_factory=dict)


class KeptOpen(_Stored):
    """Of a checkpoint: an image that is open. See :class:`~.state.OpenItem`."""

    kind: Literal["open"] = "open"
    position: int
    ours: tuple[int, ...] = ()
    held_by: int = 0
    recorded: bool = False
    record: TaskRecord


Line = Intent | News | End | Planned | Learned
_LINES: Final[Mapping[str, type[Line | KeptState | KeptOpen]]] = {
    "intent": Intent, "news": News, "end": End, "planned": Planned, "learned": Learned,
    "state": KeptState, "open": KeptOpen,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment.

    :param kept: of a checkpoint: the state after the lines
    :param kept_open: of a checkpoint: the images that are open after the lines
    """

    header: Header
    lines: tuple[Line, ...] = ()
    kept: KeptState | None = None
    kept_open: tuple[KeptOpen, ...] = ()


def encode(segment: Segment) -> bytes:
    """Write a segment as it is stored."""
    kept = () if segment.kept is None else (segment.kept, *segment.kept_open)
    rows: Iterable[BaseModel] = (segment.header, *segment.lines, *kept)
    return b"".join(map(encode_line, rows))


def encode_line(row: BaseModel) -> bytes:
    """Write one line. None is left out, but for an end: a cost that nobody knows is not a cost of nothing."""
    return row.model_dump_json(exclude_none=not isinstance(row, End)).encode() + _NEWLINE


def decode(data: bytes, where: str) -> Segment:
    """Read a stored segment.

    :param where: its URI, for the message
    :raises ClarityLostError: it is damaged, or a newer version of this package wrote it
    """
    try:
        return _decoded(data, where)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()})[:3])
        raise ClarityLostError(messages.unreadable(where, f"it is damaged ({fields})")) from None
    except (ValueError, TypeError, AttributeError):  # no JSON, no UTF-8, no objects
        raise ClarityLostError(messages.unreadable(where, "it is damaged")) from None


def decode_header(data: bytes, where: str) -> Header:
    """Read the header of a stored segment, of which ``data`` is the beginning.

    :raises ClarityLostError: as :func:`decode`
    """
    return decode(data.partition(_NEWLINE)[0], where).header


def _decoded(data: bytes, where: str) -> Segment:
    first, *rest = data.decode().split("\n")
    value = json.loads(first)
    version = value.get("v")
    if isinstance(version, int) and version > VERSION:
        raise ClarityLostError(messages.unreadable(where, f"a newer version of this package wrote it (v {version})"))
    if version != VERSION:
        raise ValueError("no version")
    header = Header.model_validate(value)
    found = [_line(json.loads(text)) for text in rest if text]
    kept = [line for line in found if isinstance(line, KeptState)]
    if (header.checkpoint == header.seq) and rest and not kept:
        raise ValueError("a checkpoint without a state")
    return Segment(
        header,
        tuple(line for line in found if isinstance(line, Line)),
        kept[0] if kept else None,
        tuple(line for line in found if isinstance(line, KeptOpen)),
    )


def _line(value: dict[str, Any]) -> Line | KeptState | KeptOpen | None:
    kind = _LINES.get(value["kind"])
    return kind.model_validate(value) if kind is not None else None
