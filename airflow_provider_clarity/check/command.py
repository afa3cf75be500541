"""The command: reads the options, runs the checks, prints a line for each, cleans up, says how it ended.

Exit codes: 0 no check failed, 1 one did, 2 bad usage or no leave to buy, 130 interrupted. Invariant: whatever is
printed or written has passed ``Setup.clean``.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from airflow_provider_clarity import __version__
from airflow_provider_clarity.check import bucket, identity, purchase, urls
from airflow_provider_clarity.check.options import PROGRAM, TO_STDOUT, Options, parse
from airflow_provider_clarity.check.picture import PictureFileError, read_picture
from airflow_provider_clarity.check.purchase import Purchase
from airflow_provider_clarity.check.runner import Result, run_checks
from airflow_provider_clarity.check.setup import Setup

_OK: Final = 0
_FAILED: Final = 1
_BAD_USAGE: Final = 2
_INTERRUPTED: Final = 130
_WIDTH: Final = 14


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, and return the exit code."""
    options = parse(arguments)
    logging.disable(logging.CRITICAL)  # what matters is in the lines, and nobody's log may show a URL here
    if options.buy_one and not options.yes and not _may_buy():
        return _BAD_USAGE
    try:
        picture = read_picture(options.image) if options.buy_one else None
    except PictureFileError as error:
        sys.stderr.write(f"{PROGRAM}: error: --image: {error}\n")
        return _BAD_USAGE
    if not _can_write(options.json):
        return _BAD_USAGE
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell that starts it in the background has SIGINT ignored
        signal.signal(number, _as_interrupt)
    setup = Setup(options)
    return _Session(setup, Purchase(setup, picture) if picture else None).run()


def _may_buy() -> bool:
    if not sys.stdin.isatty():
        sys.stderr.write(f"{PROGRAM}: error: --buy-one asks before it buys, and nobody is there to ask: add --yes\n")
        return False
    sys.stderr.write("This buys one picture from Runware (their examples cost $0.0013 to $0.0038). Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    sys.stderr.write("Nothing was done.\n")
    return False


def _can_write(json_file: str | None) -> bool:
    """Whether the report can be kept; better known before a picture is bought."""
    if json_file in (None, TO_STDOUT):
        return True
    try:
        Path(str(json_file)).touch()
    except OSError as error:
        sys.stderr.write(f"{PROGRAM}: error: --json: the file cannot be written: {error.strerror}\n")
        return False
    return True


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Session:
    """One run of the command."""

    def __init__(self, setup: Setup, purchase_: Purchase | None) -> None:
        self._setup = setup
        self._options: Options = setup.options
        self._purchase = purchase_
        self._results: list[Result] = []
        # With the JSON on stdout, people read stderr.
        self._lines: TextIO = sys.stderr if self._options.json == TO_STDOUT else sys.stdout

    def run(self) -> int:
        """Check everything and clean up; return the exit code."""
        interrupted = False
        try:
            for result in self._checks():
                self._say(result)
        except KeyboardInterrupt:
            interrupted = True
            self._print("Interrupted: cleaning up.")
        try:
            if self._setup.touched:
                self._say(bucket.clean_up(self._setup))
        except KeyboardInterrupt:
            interrupted = True
            self._print(f"Interrupted again: objects may be left under {self._setup.folder}")
        failed = any(result.status == "FAIL" for result in self._results)
        self._print(self._conclusion(interrupted=interrupted))
        self._write_json(interrupted=interrupted)
        return _INTERRUPTED if interrupted else _FAILED if failed else _OK

    def _checks(self) -> Iterator[Result]:
        setup = self._setup
        free = [*identity.checks(setup), *bucket.checks(setup), *urls.checks(setup)]
        return run_checks([*free, *(purchase.checks(self._purchase) if self._purchase else ())])

    def _conclusion(self, *, interrupted: bool) -> str:
        counted = {status: sum(one.status == status for one in self._results) for status in ("ok", "FAIL", "skip")}
        counts = f"{counted['ok']} ok, {counted['FAIL']} failed, {counted['skip']} skipped."
        paid = self._purchase.bill() if self._purchase else "Nothing was bought: only --buy-one buys."
        return f"{'Not finished: ' if interrupted else ''}{counts} {paid}"

    def _say(self, result: Result) -> None:
        shown = Result(result.name, result.status, self._setup.clean(result.text))
        self._results.append(shown)
        self._print(f"{shown.status:<4}  {shown.name:<{_WIDTH}}  {shown.text}")

    def _print(self, line: str) -> None:
        self._lines.write(f"{line}\n")
        self._lines.flush()

    def _write_json(self, *, interrupted: bool) -> None:
        if self._options.json is None:
            return
        document = {
            "v": 1,
            "version": __version__,
            "ok": not interrupted and all(one.status != "FAIL" for one in self._results),
            "checks": [{"name": one.name, "status": one.status, "text": one.text} for one in self._results],
            "service": self._purchase.as_json() if self._purchase else None,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if self._options.json == TO_STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            Path(self._options.json).write_text(text, encoding="utf-8")
