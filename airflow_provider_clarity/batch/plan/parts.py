"""The stored parts of a plan: written once, before anything of them is submitted; read again by position.

Invariants: a part is created where there is none and never changed, so whoever plans, there is one plan: a runner
that finds another's part of the same number takes it and plans on after it. Positions are those of the stored parts.
A part holds no secret. ``v`` is its version: a fixture of each release loads for ever, a newer one is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow, Settled
from airflow_provider_clarity.batch.plan.rows import OWN_PARAMETERS, encode_line, encode_text
from airflow_provider_clarity.batch.plan.wanted import Overrides
from airflow_provider_clarity.exceptions import ClarityPlanError
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

VERSION: Final = 1
_TYPE: Final = "application/jsonl"
_SETTLED: Final[Mapping[str | None, Settled]] = {"done": "done", "stale": "stale", "foreign": "foreign"}


class Parts:
    """The folder of a plan.

    :param root: a prefix, ``.../plan/``
    :param parameters: the operator's, which rows that say nothing else are bought with
    """

    def __init__(self, store: ObjectStore, root: GsUri, parameters: UpscaleParameters) -> None:
        self._store = store
        self._root = root
        self._overrides = Overrides(parameters)
        self._last_read: tuple[int, bytes] | None = None
        self._size: int | None = None

    def keep(self, part: PlanPart) -> PlanPart:
        """Store a part, unless there is one of its number.

        :return: the part that is stored now: this one, or the one that another runner was faster with
        """
        data = encode_part(part)
        try:
            self._store.create(self._uri(part.number), data, if_generation_match=0, content_type=_TYPE)
        except GenerationConflict:  # another's, or the first sending of this very call
            stored = self.part(part.number)
            if stored is None:
                raise
            return stored
        self._last_read = (part.number, data)
        self._size = part.size
        return part

    def part(self, number: int) -> PlanPart | None:
        """Read a whole part; None if it is not stored."""
        data = self._data(number)
        return None if data is None else decode_part(data, self._overrides, self._uri(number))

    def stored(self, first: int = 0) -> Iterator[PlanPart]:
        """Read what is stored, one part after another."""
        number = first
        while (part := self.part(number)) is not None:
            yield part
            if part.last:
                return
            number += 1

    def rows(self, positions: Iterable[int]) -> dict[int, PlanRow]:
        """Read the rows of these positions, each part once and only these lines of it.

        :raises ClarityPlanError: there is no such row
        """
        wanted = sorted(set(positions))
        if not wanted:
            return {}
        size = self._rows_a_part()
        found: dict[int, PlanRow] = {}
        lines: Sequence[bytes] = ()
        read = -1
        for position in wanted:
            number, place = divmod(position, size)
            if number != read:
                data = self._data(number)
                lines = () if data is None else data.split(b"\n")
                read = number
            if place + 1 >= len(lines) or not lines[place + 1]:
                raise ClarityPlanError(
                    f"The plan under {self._root} has no row {position}. Nothing was bought for it. Was a part of it "
                    "deleted? Clear the task to plan again."
                )
            found[position] = _decode_row(lines[place + 1], position, self._overrides)
        return found

    def _rows_a_part(self) -> int:
        if self._size is None:
            data = self._data(0)
            if data is None:
                raise ClarityPlanError(f"There is no plan under {self._root}. Clear the task to plan again.")
            self._size = int(_header(data, self._uri(0))["size"])
        return self._size

    def _data(self, number: int) -> bytes | None:
        """Read a part as it is stored; the last one is kept, since rows are mostly asked for in turn."""
        if self._last_read is not None and self._last_read[0] == number:
            return self._last_read[1]
        uri = self._uri(number)
        found = self._store.stat(uri)
        data = None if found is None else self._store.read(uri, generation=found.generation)
        if data is not None:
            self._last_read = (number, data)
        return data

    def _uri(self, number: int) -> GsUri:
        return self._root.child(f"{number:05}.jsonl")


def encode_part(part: PlanPart) -> bytes:
    """Give the stored form: a header line, then a line for each row."""
    header: dict[str, Any] = {
        "v": VERSION,
        "part": part.number,
        "size": part.size,
        "rows": len(part.rows),
        "after": part.after,
        "last": part.last,
        "passed_over": dict(part.passed_over),
    }
    if part.generation is not None:
        header["generation"] = part.generation
    lines = [encode_line(header)]
    try:
        lines += [_encode_listed(row) if row.line is None and not row.own else _encode_row(row) for row in part.rows]
        return "".join(lines).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON lets in
        return "".join([lines[0], *map(_encode_row, part.rows)]).encode()


def decode_part(data: bytes, overrides: Overrides, uri: GsUri) -> PlanPart:
    """Read the stored form.

    :param overrides: over the operator's parameters
    :param uri: for messages
    :raises ClarityPlanError: a newer release wrote it, or it is damaged
    """
    header = _header(data, uri)
    lines = data.split(b"\n")[1:-1]
    if header.get("rows") != len(lines):
        raise _damaged(uri)
    try:
        number, size = int(header["part"]), int(header["size"])
        return PlanPart(
            number,
            tuple(_decode_row(line, number * size + place, overrides) for place, line in enumerate(lines)),
            str(header["after"]),
            bool(header["last"]),
            {str(reason): int(times) for reason, times in header["passed_over"].items()},
            size,
            None if header.get("generation") is None else int(header["generation"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _damaged(uri) from None


def _header(data: bytes, uri: GsUri) -> dict[str, Any]:
    try:
        header = json.loads(data.partition(b"\n")[0])
        version = int(header["v"])
    except (KeyError, ValueError, TypeError):
        raise _damaged(uri) from None
    if version > VERSION:
        raise ClarityPlanError(
            f"{uri} has version {version}, which a newer release of this package wrote. Nothing of it is bought here. "
            "Run this with that release, or clear the task to plan again."
        )
    return dict(header)


def _encode_listed(row: PlanRow) -> str:
    """Do what `_encode_row` does, several times as fast, for what a listing gave: a plan may have a million of them."""
    if row.asked or row.attempt or row.extra or row.hidden:
        return _encode_row(row)
    generation = "" if row.generation is None else f',"generation":{row.generation}'
    size = "" if row.size is None else f',"size":{row.size}'
    outcome = "" if row.outcome is None else f',"outcome":"{row.outcome}"'
    return (
        f'{{"v":{VERSION},"source":{encode_text(row.source)},"destination":{encode_text(row.destination)}'
        f"{generation}{size}{outcome}}}\n"
    )


def _encode_row(row: PlanRow) -> str:
    line: dict[str, Any] = {"v": VERSION, "source": row.source, "destination": row.destination}
    optional = {
        "generation": row.generation,
        "size": row.size,
        "outcome": row.outcome,
        "asked": row.asked or None,
        "attempt": row.attempt or None,
        "line": row.line,
        "hidden": row.hidden or None,
        "extra": dict(row.extra) or None,
    }
    line |= {key: value for key, value in optional.items() if value is not None}
    return encode_line(line | dict(row.own))


def _decode_row(line: bytes, position: int, overrides: Overrides) -> PlanRow:
    value: dict[str, Any] = json.loads(line)
    get = value.get
    own: dict[str, Any] = {key: value[key] for key in OWN_PARAMETERS if key in value}
    parameters, _ = overrides.of(own)
    place = get("line")
    return PlanRow(
        position,
        value["source"],
        get("generation"),
        value["destination"],
        parameters,
        _SETTLED.get(get("outcome")),
        asked=bool(get("asked")),
        attempt=get("attempt") or 0,
        extra=get("extra") or {},
        own=own,
        size=get("size"),
        line=None if place is None else (int(place[0]), int(place[1])),
        hidden=bool(get("hidden")),
    )


def _damaged(uri: GsUri) -> ClarityPlanError:
    return ClarityPlanError(
        f"{uri} is no part of a plan that this package wrote. Nothing of it is bought. Clear the task to plan again."
    )
