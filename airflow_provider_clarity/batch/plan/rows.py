"""A line of any JSONL that the package reads or writes: manifest, plan, result, dead letter.

Invariants: what is written can be read, and the dead letter is a valid source; unknown keys are carried through; a
row of a newer version is an error before anything is bought. Messages name the line and never a value: a source may
be a presigned URL.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airflow_provider_clarity.exceptions import ClarityInputError

VERSION: Final = 1
OWN_PARAMETERS: Final = ("upscale_factor", "output_format", "output_quality", "settings")
"""The keys that say what is bought for this row, over what the operator says."""


def _number(value: object) -> object:
    """Take a generation as Cloud Storage writes it: a text of digits."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


class RowError(BaseModel):
    """Why an image failed, or was not submitted.

    :param kind: the kind of the error, such as ``provider`` or ``lost``
    :param code: the service's own code, where it gave one
    :param message: for a person
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    kind: str
    code: str | None = None
    message: str = ""


class Row(BaseModel):
    """One image.

    :param v: version of the form
    :param source: any source of one image; in what we write, the form that may be stored
    :param generation: of a ``gs://`` source, as it was; the live one is what is upscaled
    :param destination: the exact final object, over the operator's destination and pattern
    :param upscale_factor: over the operator's, as are the next three
    :param settings: key by key over the operator's
    :param attempt: how many purchases there were
    :param outcome: how it ended
    :param cost_usd: what was paid, null where the service did not say
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, hide_input_in_errors=True)

    v: int = VERSION
    source: str = Field(min_length=1, repr=False)
    generation: Annotated[int, BeforeValidator(_number)] | None = None
    destination: str | None = None
    upscale_factor: float | None = Field(default=None, allow_inf_nan=False)
    output_format: str | None = None
    output_quality: int | None = None
    settings: dict[str, Any] | None = None
    attempt: int | None = Field(default=None, ge=0)
    outcome: str | None = None
    error: RowError | None = None
    task_uuid: str | None = None
    cost_usd: float | None = Field(default=None, allow_inf_nan=False)
    width: int | None = None
    height: int | None = None

    @property
    def extra(self) -> Mapping[str, Any]:
        """The keys that this version does not know."""
        return self.model_extra or {}

    @property
    def own_parameters(self) -> dict[str, Any]:
        """What this row says about what is bought, and nothing that it leaves to the operator."""
        return {key: value for key in OWN_PARAMETERS if (value := getattr(self, key)) is not None}

    @property
    def asked(self) -> bool:
        """Whether giving this row as a source asks for another purchase: it failed, or was lost, before."""
        return self.outcome in ("failed", "lost")


def read_row(line: str | bytes, where: str) -> Row | None:
    """Read one line.

    :param where: what a message calls it, such as ``line 3 of gs://raw/rows.jsonl``
    :return: None for an empty line
    :raises ClarityInputError: it is no row, or one of a newer version
    """
    if not line.strip():
        return None
    try:
        value = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ClarityInputError(f"{_capital(where)} is not JSON. {_HINT}") from None
    if not isinstance(value, dict):
        raise ClarityInputError(f"{_capital(where)} is no JSON object. {_HINT}")
    version = value.get("v", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise ClarityInputError(
            f"{_capital(where)} has version {version}, which a newer release of this package wrote. Nothing of it is "
            "bought. Upgrade, or take the version away if you wrote it."
        )
    try:
        return Row.model_validate(value)
    except ValidationError as refused:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'the row'}: {error['msg']}"
            for error in refused.errors(include_url=False, include_input=False, include_context=False)
        )
        raise ClarityInputError(f"{_capital(where)} is no valid row ({problems}). {_HINT}") from None


def read_rows(lines: Iterable[str | bytes], name: str = "the manifest") -> Iterator[Row]:
    """Read lines one after another; empty ones are left out.

    :param name: what a message calls the whole
    :raises ClarityInputError: at the first line that is no row
    """
    for number, line in enumerate(lines, 1):
        row = read_row(line, f"line {number} of {name}")
        if row is not None:
            yield row


def write_row(row: Row) -> str:
    """Give the line of a row, with its newline. What is not known is left out."""
    known = {key: value for key in Row.model_fields if (value := getattr(row, key)) is not None}
    if row.error is not None:
        known["error"] = row.error.model_dump(exclude_none=True)
    return encode_line(known | dict(row.extra))


def encode_line(value: Mapping[str, Any]) -> str:
    """Give a JSON object as one line with its newline, as a person reads it where UTF-8 allows that."""
    text = _READABLE.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON lets in
        text = _ASCII.encode(value)
    return text + "\n"


encode_text: Final[Callable[[str], str]] = json.encoder.encode_basestring
"""A text as JSON, with its quotes, as a person reads it."""
_READABLE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ASCII: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_HINT: Final = 'Nothing of it is bought. A row is a JSON object in one line, such as {"source": "gs://raw/a.jpg"}.'


def _no_number(name: str) -> None:
    raise ValueError(name)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
