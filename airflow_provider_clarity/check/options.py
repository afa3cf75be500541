"""The command line, as data. Pure but for the file of ``--image``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.endpoints import UploadVia
from airflow_provider_clarity.storage.uris import GsUri

PROGRAM = "python -m airflow_provider_clarity.check"
TO_STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; docs/check.md says what each means.

    :param bucket: the destination: a bucket, or a prefix in it
    :param source_bucket: where sources are, if they are to be tried
    :param timeout: seconds to wait for the picture
    :param ask_again_after: seconds after which the service is asked once more
    :param json: a file, ``-`` for stdout, None for no JSON
    """

    bucket: GsUri
    source_bucket: GsUri | None
    clarity_conn_id: str
    gcp_conn_id: str
    impersonation_chain: str | None
    upload_via: UploadVia
    user_project: str | None
    buy_one: bool
    image: Path | None
    probe_duplicate: bool
    yes: bool
    timeout: float
    ask_again_after: float
    json: str | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a bad one ends the program with 2 and says why on stderr."""
    parser = make_parser()
    found = parser.parse_args(arguments)
    for name in ("image", "probe_duplicate"):
        if getattr(found, name) and not found.buy_one:
            parser.error(f"--{name.replace('_', '-')} means nothing without --buy-one")
    if found.image is not None and not found.image.is_file():
        parser.error("--image: there is no such file")
    return Options(**vars(found))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with every option."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Checks key, credentials and buckets as a DAG will use them. Costs nothing without --buy-one.",
        epilog="Exit codes: 0 nothing failed, 1 a check failed, 2 bad usage, 130 interrupted. See docs/check.md.",
    )
    add = parser.add_argument
    add("--bucket", type=_prefix, required=True, metavar="gs://B[/PREFIX/]", help="the destination")
    add("--source-bucket", type=_prefix, metavar="gs://B[/PREFIX/]", help="where sources are; one of them is read")
    add("--clarity-conn-id", default="clarity_default", metavar="ID", help="default: %(default)s")
    add("--gcp-conn-id", default="google_cloud_default", metavar="ID", help="default: %(default)s")
    add("--impersonation-chain", metavar="ACCOUNT[,ACCOUNT]", help="as the operator's impersonation_chain")
    add("--upload-via", choices=get_args(UploadVia), default="auto", help="as the operator's (default: %(default)s)")
    add("--user-project", metavar="PROJECT", help="who pays for requests to a requester-pays bucket")
    add("--buy-one", action="store_true", help="buy exactly one picture and say what the service did")
    add("--image", type=Path, metavar="FILE", help="what to upscale; without it a small picture made here")
    add("--probe-duplicate", action="store_true", help="send the task once more at the end: may cost a second picture")
    add("--yes", action="store_true", help="buy without asking")
    add("--timeout", type=_seconds, default=900.0, metavar="S", help="for the picture (default: %(default)g)")
    add("--ask-again-after", type=_seconds, default=60.0, metavar="S", help="after success (default: %(default)g)")
    add("--json", nargs="?", const=TO_STDOUT, metavar="FILE", help="the results as JSON; without FILE to stdout")
    return parser


def _prefix(text: str) -> GsUri:
    try:
        uri = GsUri.parse(text)
    except ClarityInputError as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return uri if uri.is_prefix else GsUri(uri.bucket, f"{uri.name}/")


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError("must be a number of at least 0")
    return value
