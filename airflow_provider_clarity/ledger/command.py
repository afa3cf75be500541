"""The command: reads a workspace, shows it, and deletes what may go where that was asked for.

Exit codes: 0 done, 1 something could not be read or deleted, 2 bad usage. Invariants: nothing is deleted without
``--yes``; whatever is printed has passed ``redact``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.ledger import access, report
from airflow_provider_clarity.ledger.deleting import Garbage, delete, garbage_of
from airflow_provider_clarity.ledger.options import PROGRAM, Options, parse
from airflow_provider_clarity.ledger.survey import survey
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.store import ObjectStore

_OK: Final = 0
_FAILED: Final = 1
_PATIENCE: Final = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, and return the exit code."""
    options = parse(arguments)
    logging.getLogger("google").setLevel(logging.CRITICAL)
    try:
        client = access.client()
        try:
            store = ObjectStore(client, user_project=options.user_project, patience=_PATIENCE)
            return _show(store, options) if options.command == "show" else _gc(store, options)
        finally:
            client.close()
    except ClarityError as error:
        sys.stderr.write(f"{PROGRAM}: error: {redact(error.message)}\n")
        return _FAILED


def _show(store: ObjectStore, options: Options) -> int:
    seen = survey(store, options.workspace, deep=options.deep)
    if options.json:
        _print_json({"workspace": str(options.workspace.root)} | report.as_json(seen))
    else:
        _print(str(options.workspace.root), *report.as_lines(seen))
    return _FAILED if seen.problems else _OK


def _gc(store: ObjectStore, options: Options) -> int:
    seen = survey(store, options.workspace)
    garbage = garbage_of(seen, time.time())
    done, problems = delete(store, garbage.objects) if options.yes else (0, [])
    problems = [redact(one) for one in (*seen.problems, *problems)]
    if options.json:
        _print_json(
            {
                "v": report.VERSION,
                "workspace": str(options.workspace.root),
                "dry_run": not options.yes,
                "staging": [str(one.uri) for one in garbage.staging],
                "ledgers": [str(one.root) for one in garbage.ledgers],
                "objects": len(garbage.objects),
                "deleted": done,
                "problems": problems,
            }
        )
    else:
        _print(*_lines(garbage), *(f"problem: {one}" for one in problems), _conclusion(garbage, done, yes=options.yes))
    return _FAILED if problems else _OK


def _lines(garbage: Garbage) -> list[str]:
    staging = [f"staging  {one.uri}" for one in garbage.staging]
    return staging + [f"ledger   {one.root} ({len(one.objects)} objects)" for one in garbage.ledgers]


def _conclusion(garbage: Garbage, done: int, *, yes: bool) -> str:
    number = len(garbage.objects)
    if not number:
        return "Nothing may be deleted."
    return f"{done} of {number} object(s) deleted." if yes else f"{number} object(s) may go; --yes deletes them."


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _print_json(document: dict[str, Any]) -> None:
    _print(json.dumps(document, indent=2, ensure_ascii=False))
