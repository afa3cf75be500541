"""The lines of a JSONL object, streamed at one generation, each with its place.

Invariant: places are bytes from the beginning, so that a line is found again with one ranged read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

_CHUNK: Final = 1024 * 1024
LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes: the largest picture that may go inline is 10 MiB, as base64 a third more."""
_BOM: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line, without its newline.

    :param number: from 1
    :param start: its first byte
    :param text: its bytes
    """

    number: int
    start: int
    text: bytes

    @property
    def after(self) -> int:
        """Where the next line begins."""
        return self.start + len(self.text) + 1


def generation_of(store: ObjectStore, uri: GsUri, wanted: int | None = None) -> int:
    """Give the generation to read, which is read to the end whatever happens to the object meanwhile.

    :param wanted: the one that an earlier try began with
    :raises ClarityInputError: it is not there, or not any more
    """
    found = store.stat(uri, generation=wanted)
    if found is None and wanted is None:
        raise ClarityInputError(f"The manifest {uri} does not exist. Nothing was bought. Write it first.")
    if found is None:
        raise ClarityInputError(
            f"The manifest {uri} was replaced or deleted since this run began with it. What is in flight stays paid. "
            "Put it back under another name and start another run with that."
        )
    return found.generation


def read_lines(store: ObjectStore, uri: GsUri, generation: int, *, start: int = 0, number: int = 1,
               end: int | None = None, chunk: int = _CHUNK) -> Iterator[Line]:  # fmt: skip
    """Give the lines from a place on.

    :param start: where a line begins
    :param number: the number of that line
    :param end: the lines that begin from here on are left out
    :param chunk: bytes a request
    :raises ClarityInputError: this generation is gone, or a line is longer than any row can be
    """
    rest, place = b"", start
    while True:
        data = store.read(uri, generation=generation, start=place, length=chunk)
        if data is None:
            generation_of(store, uri, generation)  # says what happened
            data = b""
        place += len(data)
        pieces = (rest + data).split(b"\n")
        rest = pieces.pop()
        over = len(data) < chunk
        for text in pieces if not over else [*pieces, rest] if rest else pieces:
            if end is not None and start >= end:
                return
            shown = text.removeprefix(_BOM) if not start else text
            yield Line(number, start + len(text) - len(shown), shown)
            start += len(text) + 1
            number += 1
        if over:
            return
        if len(rest) > LONGEST_LINE:
            raise ClarityInputError(
                f"Line {number} of {uri} has more than {LONGEST_LINE // 1024 // 1024} MiB. Nothing of it is bought. "
                "A manifest has one JSON object in each line."
            )
