"""The command line, as data. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.uris import GsUri

PROGRAM: Final = "python -m airflow_provider_clarity.ledger"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; docs/ledger.md says what each means.

    :param workspace: its root, and the bucket that keeps the task records
    """

    command: Literal["show", "gc"]
    workspace: Workspace
    user_project: str | None
    json: bool
    deep: bool = False
    yes: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a bad one ends the program with 2 and says why on stderr."""
    found = vars(make_parser().parse_args(arguments))
    root: GsUri = found.pop("workspace")
    tasks: str | None = found.pop("tasks_bucket")
    return Options(workspace=Workspace(root, tasks or ""), **found)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with every option."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Shows what a workspace in Cloud Storage holds, and deletes what nobody needs any more.",
        epilog="Exit codes: 0 done, 1 something could not be read or deleted, 2 bad usage. See docs/ledger.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="show|gc")
    show = commands.add_parser("show", help="runs, what is in flight, lost, undelivered or unknown, and what was spent")
    gc = commands.add_parser("gc", help="list what may be deleted; with --yes delete it")
    for command in (show, gc):
        add = command.add_argument
        add(
            "workspace",
            type=_workspace,
            metavar="gs://BUCKET[/WORKSPACE]",
            help="default: _clarity/",
        )
        add(
            "--tasks-bucket",
            type=_bucket,
            metavar="gs://B",
            help="of the destinations, if it is another",
        )
        add("--user-project", metavar="PROJECT", help="who pays for requests to a requester-pays bucket")
        add("--json", action="store_true", help="JSON on stdout")
    show.add_argument("--deep", action="store_true", help="read every task record, one by one")
    gc.add_argument("--yes", action="store_true", help="delete; without it nothing is")
    return parser


def _workspace(text: str) -> GsUri:
    uri = _uri(text)
    return Workspace(uri).root if uri.name else Workspace.for_destination(uri).root


def _bucket(text: str) -> str:
    return _uri(text).bucket


def _uri(text: str) -> GsUri:
    try:
        return GsUri.parse(text)
    except ClarityInputError as error:
        raise argparse.ArgumentTypeError(error.message) from None
