"""The command line of ``clarity-demo``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TEXT = """\
Upscale six photographs with a real Airflow on this machine, and look at the pictures. Needs no account and no key and
pays nothing: an emulator stands in for Runware and for Cloud Storage. Only the pictures and their page stay. With
--backfill it is three days of drawn pictures instead: a worker is killed on the way, and the bill is compared with what
the service says that it sold."""
_CODES = """\
exit codes: 0 all pictures are delivered and checked; 1 they are not, or it was interrupted; 2 it could not start"""
_PICTURES = Path("pictures")
_BACKFILL = Path("pictures/backfill")


@dataclass(frozen=True)
class Options:
    """What was asked for.

    :param keep: whether to stay until Ctrl-C, for a look at Airflow
    :param out: the folder for the pictures
    :param images: the folder with the photographs; ``None`` for those of the checkout
    :param backfill: three days of drawn pictures instead of the photographs
    """

    keep: bool
    out: Path
    images: Path | None
    backfill: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; what is not understood ends the program with 2.

    :param arguments: without the program's name; those of the process where left out
    """
    parser = argparse.ArgumentParser(prog="clarity-demo", description=_TEXT, epilog=_CODES)
    parser.add_argument(
        "--backfill", action="store_true", help="three days of drawn pictures, a killed worker, and the bill"
    )
    parser.add_argument("--keep", action="store_true", help="leave Airflow running until Ctrl-C and say how to sign in")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where the pictures and their page go (default: {_PICTURES}/, with --backfill {_BACKFILL}/)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        default=None,
        metavar="DIR",
        help="other photographs: a folder of PNG, JPEG or WEBP files (default: the six of the checkout)",
    )
    found = parser.parse_args(arguments)
    if found.backfill and found.images:
        parser.error("--images is for the photographs: with --backfill the pictures are drawn")
    out = found.out or (_BACKFILL if found.backfill else _PICTURES)
    return Options(keep=found.keep, out=out, images=found.images, backfill=found.backfill)
