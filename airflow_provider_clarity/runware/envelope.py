"""Every form of answer of the service, read into one. Pure, and never raises.

The forms that the documents and captures show: ``data`` as a list or as one object; ``errors`` as a list, an object or
empty; ``error`` as an object, a list, a text or ``true`` (the old form with ``errorId`` and ``errorMessage``); a bare
error object; an item that carries its own ``error``; a flat item without an envelope (webhooks); ``{"data": []}``; and
bodies that are no JSON at all. Sources: https://runware.ai/docs/platform/errors, /platform/task-polling,
/platform/webhooks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.runware.errors import TaskError, task_error

Item = Mapping[str, Any]

_LONGEST_MESSAGE: Final = 500
_MESSAGE_FIELDS: Final = ("message", "errorMessage", "detail", "title")
_CODE_OF_STATUS: Final = {
    401: "unauthorized",
    402: "paymentRequired",
    403: "forbidden",
    413: "payloadTooLarge",
    429: "tooManyRequests",
    503: "serviceUnavailable",
}
_CODE_OF_OLD_ID: Final = {19: "invalidApiKey"}
_FAILED: Final = ("error", "failed")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A reply, read.

    :param items: the objects of ``data``, without those that carry an error
    :param errors: all errors, wherever they were
    :param readable: whether the body was JSON in one of the known forms
    """

    items: tuple[Item, ...] = ()
    errors: tuple[TaskError, ...] = ()
    readable: bool = False


def parse(status: int, body: bytes) -> Envelope:
    """Read the body of a reply.

    :param status: the HTTP status; it names an error that has no code of its own
    :param body: as it came
    :return: an envelope that is not ``readable``, when the body is no JSON or none of the known forms
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Envelope()
    return read(value, status)


def read(value: object, status: int = 200) -> Envelope:
    """Read a reply that is decoded already, such as the ``response`` inside of ``getTaskDetails``.

    :param value: decoded JSON
    :param status: see :func:`parse`
    """
    if isinstance(value, list):
        parts = [_read_object(element, status) for element in value if isinstance(element, dict)]
    elif isinstance(value, dict):
        parts = [_read_object(value, status)]
    else:
        parts = []
    return Envelope(
        items=tuple(item for part in parts for item in part.items),
        errors=tuple(error for part in parts for error in part.errors),
        readable=any(part.readable for part in parts),
    )


def as_uuid(value: object) -> UUID | None:
    """Read a UUID in any case, with or without hyphens.

    :param value: anything
    :return: none, when it is no UUID
    """
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _read_object(value: Item, status: int) -> Envelope:
    if "data" not in value and "errors" not in value:
        return _read_flat(value, status)
    items: list[Item] = []
    errors: list[TaskError] = []
    for element in _objects(value.get("data")):
        if _carries_error(element):
            errors.extend(_item_errors(element, status))
        else:
            items.append(element)
    errors.extend(_errors(value.get("errors"), status, None))
    if value.get("error"):
        errors.extend(_item_errors(value, status))
    return Envelope(tuple(items), tuple(errors), readable=True)


def _read_flat(value: Item, status: int) -> Envelope:
    """Read an object without an envelope: a webhook's item, or an error."""
    if _carries_error(value):
        return Envelope(errors=tuple(_item_errors(value, status)), readable=True)
    if "code" in value or (_message(value) and as_uuid(value.get("taskUUID")) is None):
        return Envelope(errors=(_error(value, status, None),), readable=True)
    if as_uuid(value.get("taskUUID")) is not None:
        return Envelope(items=(value,), readable=True)
    return Envelope()


def _carries_error(item: Item) -> bool:
    return bool(item.get("error")) or item.get("status") in _FAILED


def _item_errors(item: Item, status: int) -> Iterator[TaskError]:
    """Read the error that an item carries; it belongs to the item's task where it names none itself."""
    task_uuid = as_uuid(item.get("taskUUID"))
    carried = item.get("error")
    if isinstance(carried, (dict, list, str)) and carried:
        yield from _errors(carried, status, task_uuid)
    else:
        yield _error(item, status, task_uuid)


def _errors(value: object, status: int, task_uuid: UUID | None) -> Iterator[TaskError]:
    for element in value if isinstance(value, list) else [value]:
        if isinstance(element, dict) and element:
            yield from _one_or_nested(element, status, task_uuid)
        elif isinstance(element, str) and element:
            yield _error({"message": element}, status, task_uuid)


def _one_or_nested(element: Item, status: int, task_uuid: UUID | None) -> Iterator[TaskError]:
    """Read an element of ``errors``; some carry the error one level deeper, as an item does."""
    nested = element.get("error")
    if isinstance(nested, dict) and nested and "code" not in element:
        yield _error(nested, status, as_uuid(element.get("taskUUID")) or task_uuid)
    else:
        yield _error(element, status, task_uuid)


def _error(value: Item, status: int, task_uuid: UUID | None) -> TaskError:
    return task_error(
        _code(value) or _CODE_OF_STATUS.get(status, ""),
        _message(value),
        parameter=_parameter(value.get("parameter")),
        task_uuid=as_uuid(value.get("taskUUID")) or task_uuid,
        cost=_cost(value.get("cost")),
    )


def _cost(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _code(value: Item) -> str:
    code = value.get("code", value.get("errorId"))
    if isinstance(code, bool) or not isinstance(code, (str, int)):
        return ""
    if isinstance(code, int):
        return _CODE_OF_OLD_ID.get(code, f"errorId{code % 10**9}")
    return redact(_printable(code[:100]))


def _message(value: Item) -> str:
    texts = (value.get(name) for name in _MESSAGE_FIELDS)
    text = next((text for text in texts if isinstance(text, str) and text), "")
    return redact(_printable(text[: 4 * _LONGEST_MESSAGE]))[:_LONGEST_MESSAGE]


def _parameter(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    return tuple(_printable(name[:100]) for name in names if isinstance(name, str) and name)


def _printable(text: str) -> str:
    """Make a text safe to write: half surrogates cannot be encoded, control characters forge log lines."""
    shown = text.encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else " " for character in shown)


def _objects(value: object) -> list[Item]:
    elements = value if isinstance(value, list) else [value]
    return [element for element in elements if isinstance(element, dict) and element]
