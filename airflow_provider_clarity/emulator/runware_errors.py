"""Errors as the service words them, and the envelope that carries them beside results.

The form follows captured replies: ``code``, ``message``, ``parameter``, ``type``, ``min``, ``max``, ``multiplier``,
``allowedValues``, ``documentation``, ``taskUUID``. Invariants: without an error the envelope has no ``errors`` key;
with one it has both keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PAGE = "https://runware.ai/docs/models/clarity"
_STATUS_OF_CODE = {
    "invalidApiKey": 401,
    "missingApiKey": 401,
    "unauthorized": 401,
    "insufficientCredits": 402,
    "paymentRequired": 402,
    "forbidden": 403,
    "permissionDenied": 403,
    "rateLimitExceeded": 429,
    "internalServerError": 500,
    "serviceUnavailable": 503,
}


@dataclass(frozen=True)
class ApiError:
    """One error.

    :param body: as it goes out
    :param status: the HTTP status of a reply that holds nothing else
    """

    body: Mapping[str, Any]
    status: int

    @property
    def code(self) -> str:
        """The code of the error."""
        return str(self.body["code"])


@dataclass
class Reply:
    """An envelope in the making.

    :param acknowledged: tasks that were accepted, whether or not they are named in ``data``
    :param mixed_ok: whether a reply that holds both results and errors has the status 200
    """

    data: list[dict[str, Any]] = field(default_factory=list)
    errors: list[ApiError] = field(default_factory=list)
    acknowledged: int = 0
    mixed_ok: bool = True

    @property
    def status(self) -> int:
        """The HTTP status."""
        bad = [error.status for error in self.errors if error.status != 200]
        if not bad or ((self.data or self.acknowledged) and self.mixed_ok):
            return 200
        return bad[0]

    def payload(self) -> dict[str, Any]:
        """Return the body."""
        payload: dict[str, Any] = {"data": self.data}
        if self.errors:
            payload["errors"] = [dict(error.body) for error in self.errors]
        return payload


def error(code: str, message: str, *, status: int | None = None, **more: Any) -> ApiError:  # noqa: ANN401 - JSON
    """Return an error; keys of ``more`` that are None are left out."""
    body = {"code": code, "message": message} | {key: value for key, value in more.items() if value is not None}
    return ApiError(body=body, status=_STATUS_OF_CODE.get(code, 400) if status is None else status)


def conflict(task_uuid: str) -> ApiError:
    """Return the answer to a task UUID that was taken before."""
    message = "The provided 'taskUUID' is already in use. Each task must have a unique UUID."
    return error("conflictTaskUUID", message, parameter="taskUUID", type="string", taskUUID=task_uuid)


def too_many(task_uuid: str | None) -> ApiError:
    """Return the answer where the queue is full; without a task UUID nobody is named."""
    return error("rateLimitExceeded", "Queue capacity exceeded. Please retry later.", taskUUID=task_uuid)


def not_found(task_uuid: str) -> ApiError:
    """Return the answer for a task UUID that is not known (any more)."""
    message = "No task was found for the provided 'taskUUID'."
    return error("taskNotFound", message, status=200, parameter="taskUUID", taskUUID=task_uuid)
