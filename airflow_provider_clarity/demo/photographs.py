"""Which photographs the demo uploads, and which DAG it runs: found before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError

DAG_FILE = "mapped_handful.py"
LARGEST_SIDE = 2048
"""Clarity's pictures end at 4096 pixels a side; of a larger photograph the factor would not be 2."""

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent
_FORMATS = ("PNG", "JPEG", "WEBP")
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp"))
_SIDEWAYS = frozenset((5, 6, 7, 8))
_ORIENTATION = 0x0112
_NEXT = "Nothing was started. Run clarity-demo in a checkout of the project, or name a folder with --images."


@dataclass(frozen=True)
class Photograph:
    """One photograph.

    :param path: where it is
    :param width: in pixels, as it is to be looked at
    :param height: the same
    :param credit: whose it is; empty where nobody said
    """

    path: Path
    width: int
    height: int
    credit: str = ""

    @property
    def name(self) -> str:
        """The name of its file, and of its object."""
        return self.path.name


def find_photographs(asked: Path | None, *, current: Path, checkout: Path = _CHECKOUT) -> list[Photograph]:
    """Find the photographs and look at each.

    :param asked: the folder that was asked for
    :param current: the current directory
    :param checkout: where the package lies if it is installed from a checkout
    :return: at least one, by name
    :raises DemoError: there are none, or one cannot be used
    """
    folders = [asked] if asked else [root / "dags_examples" / "images" for root in (checkout, current)]
    for folder in folders:
        if folder.is_dir() and (paths := _pictures_in(folder)):
            credits_ = read_credits(folder / "CREDITS.md")
            return _checked([_look(path, credits_.get(path.name, "")) for path in paths])
    if asked:
        raise DemoError(f"There is no PNG, JPEG or WEBP file in {asked}. {_NEXT}", COULD_NOT_START)
    raise DemoError(
        "The photographs of the demo are in the source checkout only, and this is none. " + _NEXT, COULD_NOT_START
    )


def find_dag(*, package: Path = _PACKAGE, checkout: Path = _CHECKOUT) -> Path:
    """Find the mapped example: in the checkout, or where the wheel has its copy.

    :param package: the folder of this module
    :param checkout: where the package lies if it is installed from a checkout
    :raises DemoError: it is in neither
    """
    for path in (checkout / "dags_examples" / DAG_FILE, package / "dags" / DAG_FILE):
        if path.is_file():
            return path
    raise DemoError(
        f"The example DAG {DAG_FILE} is missing from this installation. Nothing was started. Install the package anew.",
        COULD_NOT_START,
    )


def read_credits(path: Path) -> dict[str, str]:
    """Read who made which photograph: the first and the last column of a Markdown table.

    :param path: of the list; it may be missing
    """
    if not path.is_file():
        return {}
    rows = re.findall(
        r"^\|\s*([^|\s]+\.\w+)\s*\|.*\|\s*([^|]+?)\s*\|\s*$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return dict(rows)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Return width and height as a person sees them.

    :param picture: with its EXIF
    """
    width, height = picture.size
    return (height, width) if picture.getexif().get(_ORIENTATION) in _SIDEWAYS else (width, height)


def _pictures_in(folder: Path) -> Sequence[Path]:
    """List the photographs of a folder, without the pictures that an earlier demo put beside them."""
    found = [path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in _SUFFIXES]
    names = {path.stem for path in found}
    return sorted(path for path in found if path.stem.removesuffix("-2x") not in names - {path.stem})


def _look(path: Path, credit: str) -> Photograph:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            width, height = upright_size(picture)
            picture.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DemoError(f"{path} is no picture that can be read ({error}). {_NEXT}", COULD_NOT_START) from None
    return Photograph(path, width, height, credit)


def _checked(photographs: list[Photograph]) -> list[Photograph]:
    for one in photographs:
        if max(one.width, one.height) > LARGEST_SIDE:
            raise DemoError(
                f"{one.path} has {one.width} x {one.height} pixels; pictures end at 4096 a side, so that it cannot be "
                f"doubled. Nothing was started. Use photographs of at most {LARGEST_SIDE} pixels a side.",
                COULD_NOT_START,
            )
    twice = _first_twice(one.path.stem for one in photographs)
    if twice is not None:
        raise DemoError(
            f"Two photographs are called {twice}; both would become {twice}.jpg. Nothing was started. Rename one.",
            COULD_NOT_START,
        )
    return photographs


def _first_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
