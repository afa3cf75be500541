"""The ends of a run by position, on disk: ends come in the order in which they happened, rows in that of the plan.

Two temporary files: the lines one after another, and for each position where its line begins, in 8 bytes. So a
million images need 8 MB of disk for the places and nothing in memory.
"""

from __future__ import annotations

import struct
import tempfile
from types import TracebackType
from typing import Final, Self

from airflow_provider_clarity.batch.journal.lines import End, encode_line

_PLACE: Final = struct.Struct("<Q")


class Ends:
    """A place for ends; a context manager that removes its files."""

    def __enter__(self) -> Self:
        self._lines = tempfile.TemporaryFile()
        self._places = tempfile.TemporaryFile()
        self._size = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lines.close()
        self._places.close()

    def add(self, end: End) -> None:
        """Keep an end, unless there is one of that position: the first stays."""
        if self._place(end.position):
            return
        line = encode_line(end)
        self._lines.seek(self._size)
        self._lines.write(line)
        self._places.seek(end.position * _PLACE.size)
        self._places.write(_PLACE.pack(self._size + 1))  # 0 is what the holes of a file read as
        self._size += len(line)

    def at(self, position: int) -> End | None:
        """Return the end of a position."""
        place = self._place(position)
        if not place:
            return None
        self._lines.seek(place - 1)
        return End.model_validate_json(self._lines.readline())

    def _place(self, position: int) -> int:
        self._places.seek(position * _PLACE.size)
        data = self._places.read(_PLACE.size)
        return int(_PLACE.unpack(data)[0]) if len(data) == _PLACE.size else 0
