"""What a person sees in the terminal: a line for each event, with the seconds since the start."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Screen:
    """Writes at once, so that it reads well through a pipe, too.

    :param out: where to
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._begin = time.monotonic()

    def say(self, sentence: str) -> None:
        """Tell of an event.

        :param sentence: what happened
        """
        self._write(f"{time.monotonic() - self._begin:4.0f} s  {sentence}\n")

    def show(self, block: str) -> None:
        """Set something apart by an empty line.

        :param block: one or more lines
        """
        self._write(f"\n{block}\n" if block else "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
