"""Whether what lies in staging is the picture that was paid for.

Invariant: a picture that decodes, is of the right format and larger than its source is never thrown away. What else is
odd about it is noted, and refused only where the user asked for ``verify="strict"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from airflow_provider_clarity.storage.header import Header, NotAPicture, PictureFormat
from airflow_provider_clarity.storage.picture import ends_well, read_header_with
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

Verify = Literal["lenient", "strict"]

_TAIL: Final = 64
_RELOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Staged:
    """A verified picture.

    :param object: the staging object, at the generation that was verified
    :param header: read from its bytes
    :param notes: what a person should know of it
    """

    object: StoredObject
    header: Header
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing lies there (yet)."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something lies there that may not be promoted.

    :param reason: ends the sentence "the uploaded file is refused: ..."
    :param generation: of what was looked at; `land` replaces it
    """

    reason: str
    generation: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `judge` thinks.

    :param refusal: why the picture is refused; None if it is accepted
    :param notes: what is odd about it, in words
    """

    refusal: str | None
    notes: tuple[str, ...] = ()


def judge(
    header: Header,
    *,
    tail_ok: bool,
    expected_format: PictureFormat,
    source_pixels: tuple[int, int] | None,
    factor: float,
    verify: Verify = "lenient",
) -> Verdict:
    """Tell whether a picture may be promoted. Pure.

    :param header: of what was uploaded
    :param tail_ok: whether the file ends as its format does
    :param expected_format: what was asked for
    :param source_pixels: of the source, EXIF applied; None where unknown: then size is not judged
    :param factor: the upscale factor asked for
    :param verify: ``strict`` refuses what ``lenient`` notes
    """
    if not tail_ok:
        return Verdict(f"the {header.format} is cut off at its end")
    if header.format != expected_format:
        return Verdict(f"it is {header.format} instead of {expected_format}")
    if source_pixels is None:
        return Verdict(None)
    upright, turned = (
        _larger(header.pixels, source_pixels, factor),
        _larger((header.height, header.width), source_pixels, factor),
    )
    if not (upright or turned):
        return Verdict(f"it has {_size(header.pixels)} pixels, not more than the source's {_size(source_pixels)}")
    notes = _notes(header.pixels, source_pixels, factor, turned=not upright)
    return Verdict(notes[0] if notes and verify == "strict" else None, notes)


def inspect_staging(
    store: ObjectStore,
    uri: GsUri,
    *,
    expected_format: PictureFormat,
    source_pixels: tuple[int, int] | None,
    factor: float,
    verify: Verify = "lenient",
) -> Staged | Empty | Broken:
    """Look at the staging object: a stat, its beginning (64 KiB, up to 1 MiB), its end.

    :param uri: where the service was to upload to; for the others see `judge`
    """
    for _ in range(_RELOOKS):
        found = store.stat(uri)
        if found is None:
            return Empty()
        if found.size == 0:
            return Broken("it has 0 bytes", found.generation)
        header = read_header_with(partial(_part, store, found), found.size)
        tail = store.read(uri, generation=found.generation, start=max(0, found.size - _TAIL), length=_TAIL)
        if header is None or tail is None:
            continue  # replaced while we looked: look at what is there now
        if isinstance(header, NotAPicture):
            return Broken(header.reason, found.generation)
        verdict = judge(
            header,
            tail_ok=ends_well(header, tail, found.size),
            expected_format=expected_format,
            source_pixels=source_pixels,
            factor=factor,
            verify=verify,
        )
        if verdict.refusal is not None:
            return Broken(verdict.refusal, found.generation)
        return Staged(found, header, verdict.notes)
    return Empty()


def _part(store: ObjectStore, found: StoredObject, start: int, length: int) -> bytes | None:
    return store.read(found.uri, generation=found.generation, start=start, length=length)


def _larger(pixels: tuple[int, int], source: tuple[int, int], factor: float) -> bool:
    at_least = 1 if factor > 1 else 0
    return all(side >= before + at_least for side, before in zip(pixels, source, strict=True))


def _notes(pixels: tuple[int, int], source: tuple[int, int], factor: float, *, turned: bool) -> tuple[str, ...]:
    if turned:
        return (f"it lies turned: {_size(pixels)} pixels from a source of {_size(source)}",)
    wanted = tuple(round(side * factor) for side in source)
    if pixels == wanted:
        return ()
    return (f"it has {_size(pixels)} pixels instead of {_size(wanted)}",)


def _size(pixels: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in pixels)
