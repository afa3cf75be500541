"""The switches: what is unknown of the real service, and what may change while it runs.

Every switch has one line in the table of ``README.md``. Invariant: a switch that does not exist, or a value that it
cannot have, is refused, and then none of the request is set.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_clarity.emulator.keys import API_KEY_PREFIX


class SwitchError(ValueError):
    """A switch was set to what it cannot be; the message says what is allowed."""


@dataclass
class Switches:
    """All switches of one emulator; the defaults are the friendliest documented behaviour."""

    api_key: str = dataclasses.field(repr=False)
    slots: int = 16
    queue: int | None = None
    price: float = 0.0013
    conflict_after_done: Literal["conflict", "accept"] | float = "conflict"
    result_retention_s: float | None = None
    details_retention_s: float | None = None
    poll_after_sync: Literal["result", "empty"] = "result"
    unknown_uuid: Literal["empty", "taskNotFound"] = "empty"
    failed_in: Literal["errors", "data"] = "errors"
    ack: Literal["item", "empty"] = "item"
    mixed_status: Literal["ok", "error"] = "ok"
    named_429: bool = True
    echo_task_type: Literal["same", "imageUpscale"] = "same"
    image_url_with_upload: bool = True
    success_waits_for_upload: bool = False
    refused_upload: Literal["success", "uploadFailed"] = "success"
    upload_lag_s: float = 0.0
    upload_content_type: Literal["none", "image", "octet"] = "image"
    size_multiple: Literal[1, 8] = 1
    upscale_factor: Literal["range", "two"] = "range"
    bill_failed: bool = False
    balance: Literal["object", "number"] = "object"
    webhook_body: Literal["flat", "data"] = "flat"
    max_tasks: int | None = None
    max_body_bytes: int | None = None

    def __post_init__(self) -> None:
        self._initial = dataclasses.asdict(self)

    def set(self, values: Mapping[str, Any]) -> None:
        """Set some of them, or none.

        :raises SwitchError: if one does not exist or cannot have its value
        """
        for name, value in values.items():
            if name not in self._initial:
                raise SwitchError(f"unknown switch {name}; there are {', '.join(self._initial)}")
            problem = _problem(name, value)
            if problem:
                raise SwitchError(f"{name} must be {problem}")
        for name, value in values.items():
            setattr(self, name, value)

    def describe(self) -> dict[str, Any]:
        """Return every switch with its value."""
        return dataclasses.asdict(self)

    def reset(self) -> None:
        """Set each to what it was at the start."""
        for name, value in self._initial.items():
            setattr(self, name, value)


_CHOICES: dict[str, tuple[object, ...]] = {
    "poll_after_sync": ("result", "empty"),
    "unknown_uuid": ("empty", "taskNotFound"),
    "failed_in": ("errors", "data"),
    "ack": ("item", "empty"),
    "mixed_status": ("ok", "error"),
    "echo_task_type": ("same", "imageUpscale"),
    "refused_upload": ("success", "uploadFailed"),
    "upload_content_type": ("none", "image", "octet"),
    "size_multiple": (1, 8),
    "upscale_factor": ("range", "two"),
    "balance": ("object", "number"),
    "webhook_body": ("flat", "data"),
}
_BOOLEANS = {"named_429", "image_url_with_upload", "success_waits_for_upload", "bill_failed"}
_COUNTS = {"slots": 1, "queue": 0, "max_tasks": 1, "max_body_bytes": 1}
_OPTIONAL = {"queue", "result_retention_s", "details_retention_s", "max_tasks", "max_body_bytes"}


def _problem(name: str, value: object) -> str | None:
    """Return what the switch must be, if it cannot be this."""
    if value is None and name in _OPTIONAL:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    if name in _CHOICES:
        fits = value in _CHOICES[name] and not isinstance(value, bool)
        rule = f"one of {', '.join(map(str, _CHOICES[name]))}"
    elif name in _BOOLEANS:
        fits, rule = isinstance(value, bool), "true or false"
    elif name in _COUNTS:
        fits = isinstance(value, int) and number and value >= _COUNTS[name]
        rule = f"an integer of at least {_COUNTS[name]}"
    elif name == "api_key":
        fits, rule = (
            isinstance(value, str) and value.startswith(API_KEY_PREFIX),
            f"a text beginning with {API_KEY_PREFIX}",
        )
    elif name == "conflict_after_done":
        fits, rule = number or value in ("conflict", "accept"), "conflict, accept or seconds"
    else:
        fits, rule = number, "a number of at least 0"
    return None if fits else rule + " or null" * (name in _OPTIONAL)
