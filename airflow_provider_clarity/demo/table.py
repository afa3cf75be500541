"""The table at the end: what became of each image, aligned for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_clarity.demo.photographs import Photograph

_HEAD = ("image", "before", "after", "where it is", "cost", "seconds")
_RIGHT = (1, 2, 4, 5)


@dataclass(frozen=True)
class Delivery:
    """A picture that was delivered and checked.

    :param photograph: its source
    :param path: the picture, in the folder
    :param size: its width and height
    :param uri: where it lies in the bucket
    :param cost_usd: what the service said that it cost; ``None`` where it said nothing
    :param seconds: from the submit to the delivery
    :param detail: a place worth enlarging, as shares of width and height
    """

    photograph: Photograph
    path: Path
    size: tuple[int, int]
    uri: str
    cost_usd: float | None
    seconds: float
    detail: tuple[float, float] = (0.5, 0.5)


def table(photographs: Sequence[Photograph], deliveries: Sequence[Delivery]) -> str:
    """Lay out a row for each photograph, also for one that was not delivered.

    :param photographs: all that were asked for
    :param deliveries: those that came
    """
    by_name = {one.photograph.name: one for one in deliveries}
    return "\n".join(aligned([_HEAD, *(_row(one, by_name.get(one.name)) for one in photographs)], right=_RIGHT))


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int]) -> list[str]:
    """Lay out rows as lines, with a rule below the head.

    :param rows: the head, then the others
    :param right: the columns that end at the right, such as numbers
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths, right) for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def pixels(size: tuple[int, int]) -> str:
    """Return a size for a person.

    :param size: width and height
    """
    return f"{size[0]} x {size[1]}"


def dollars(cost: float | None) -> str:
    """Return a cost for a person.

    :param cost: in US dollars, ``None`` where it is not known
    """
    return "not stated" if cost is None else f"${cost:.4f}"


def _row(photograph: Photograph, delivery: Delivery | None) -> tuple[str, ...]:
    before = pixels((photograph.width, photograph.height))
    if delivery is None:
        return photograph.name, before, "-", "not delivered", "-", "-"
    after = pixels(delivery.size)
    return photograph.name, before, after, delivery.uri, dollars(delivery.cost_usd), f"{delivery.seconds:.1f}"


def _line(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    cells = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
