"""What a picture is called: ``name_pattern``, checked once. Pure.

Invariant: where `keeps_order` says so, a name is ``head + path + stem + tail``, head and the beginning of the tail are
the same for all, and two names are the same only for the same path and stem. So a listing of sources and one of their
pictures go almost in step, and :mod:`~.merge` and :mod:`~.collisions` can work while they stream.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Final

from airflow_provider_clarity.exceptions import ClarityValidationError
from airflow_provider_clarity.storage.uris import EXTENSIONS_OF

DEFAULT_PATTERN: Final = "{path}{stem}.{ext}"
FIELDS: Final = ("bucket", "path", "stem", "ext", "generation")
_ENDINGS: Final = frozenset().union(*EXTENSIONS_OF.values())


@dataclass(frozen=True, slots=True)
class NamePattern:
    """How the picture of a source is called under the destination.

    :param text: literal text and the fields ``{bucket} {path} {stem} {ext} {generation}``. ``path`` is the folder of
        the source with its ``/``, relative to the source prefix; of a list or manifest the whole folder. ``ext`` is the
        output's
    :raises ClarityValidationError: it cannot name pictures; the message says why
    """

    text: str = DEFAULT_PATTERN
    _parts: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _ordered: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _parse(self.text)
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_ordered", _where_ordered(parts))

    def name(self, *, bucket: str, path: str, stem: str, ext: str, generation: int | None) -> str:
        """Give the name under the destination.

        :param bucket: of the source
        :param path: the source's folder, ending in ``/`` or empty
        :param stem: the source's name without its extension
        :param ext: the output's extension, without the dot
        :param generation: the source's; 0 stands for one that is not known
        """
        return _rendered(self._parts, bucket=bucket, path=path, stem=stem, ext=ext, generation=generation)

    @property
    def keeps_order(self) -> bool:
        """Whether pictures are listed in the order of their sources, but for what an extension changes."""
        return self._ordered is not None

    @property
    def names_generation(self) -> bool:
        """Whether the source's generation is part of the name."""
        return any(name == "generation" for _, name in self._parts)

    def head(self, bucket: str) -> str:
        """Give what stands before path and stem, where the pattern keeps order."""
        return _rendered(self._before(), bucket=bucket, path="", stem="", ext="", generation=None)

    def tail(self, *, bucket: str, ext: str, generation: int | None) -> str:
        """Give what stands after path and stem, where the pattern keeps order."""
        return _rendered(self._after(), bucket=bucket, path="", stem="", ext=ext, generation=generation)

    def tail_begins(self, *, bucket: str, ext: str) -> str:
        """Give what every tail begins with: all of it, or what stands before the generation."""
        after = self._after()
        names = [name for _, name in after]
        if "generation" not in names:
            return self.tail(bucket=bucket, ext=ext, generation=None)
        at = names.index("generation")
        begins = _rendered(after[:at], bucket=bucket, path="", stem="", ext=ext, generation=None)
        return begins + after[at][0]

    def check(self, output_format: str) -> None:
        """Refuse a pattern whose names would not end as the pictures do.

        :param output_format: ``JPG``, ``PNG`` or ``WEBP``
        :raises ClarityValidationError: it ends otherwise
        """
        example = self.name(bucket="raw", path="", stem="name", ext=output_format.lower(), generation=1)
        if not any(example.lower().endswith(ending) for ending in EXTENSIONS_OF[output_format]):
            raise ClarityValidationError(
                f"name_pattern {self.text!r} gives names such as {example!r}, but pictures will be {output_format}. "
                "Let it end in '.{ext}'."
            )

    def _before(self) -> tuple[tuple[str, str], ...]:
        at = self._at()
        return (*self._parts[:at], (self._parts[at][0], ""))

    def _after(self) -> tuple[tuple[str, str], ...]:
        return self._parts[self._at() + 2 :]

    def _at(self) -> int:
        if self._ordered is None:
            raise ValueError(f"{self.text!r} does not keep order")
        return self._ordered


def _parse(text: str) -> tuple[tuple[str, str], ...]:
    """Give literals, each with the field that follows it (none for the last)."""
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ClarityValidationError(f"name_pattern {text!r} cannot be read: {error}.") from None
    for _, name, spec, conversion in pieces:
        if name is not None and (name not in FIELDS or spec or conversion):
            raise ClarityValidationError(
                f"name_pattern {text!r} has the field {{{name}}}; there are {', '.join(FIELDS)}, as they stand."
            )
    names = {name for _, name, _, _ in pieces}
    if "stem" not in names:
        raise ClarityValidationError(
            f"name_pattern {text!r} has no {{stem}}, so that many pictures would have one name. "
            f"The default is {DEFAULT_PATTERN!r}."
        )
    if text.startswith("/") or "//" in text or "\n" in text or "\r" in text:
        raise ClarityValidationError(f"name_pattern {text!r} has an empty folder or a line break in it.")
    return tuple((literal, name or "") for literal, name, _, _ in pieces)


def _where_ordered(parts: tuple[tuple[str, str], ...]) -> int | None:
    """Give the place of ``{path}`` where ``{path}{stem}`` is once in the pattern and the rest is the same for all."""
    names = [name for _, name in parts]
    if names.count("path") != 1 or names.count("stem") != 1 or names.count("generation") > 1:
        return None
    at = names.index("path")
    if names[at + 1 : at + 2] != ["stem"] or parts[at + 1][0]:
        return None  # something stands between them
    if "ext" in names[:at] or "generation" in names[:at]:
        return None
    if "generation" in names:
        before = parts[names.index("generation")][0]
        if not before or before[-1].isdigit():
            return None  # "1" + "23" is "12" + "3"
    return at


def _rendered(parts: tuple[tuple[str, str], ...], **fields: str | int | None) -> str:
    """Put the fields into the text."""
    return "".join(literal + (str(fields[name] or 0) if name == "generation" else str(fields[name]) if name else "")
                   for literal, name in parts)  # fmt: skip
