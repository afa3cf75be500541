"""Says what is wrong with a task, in the words and codes of the service.

Codes are ``missing<Param>``, ``invalid<Param>``, ``unsupported<Param>`` and ``unknownParameter``, where ``<Param>`` is
the last part of the field's path; the service reports one error a task. Pure. Invariant: a task for which
:func:`problem` returns None can be accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_clarity.emulator.runware_errors import PAGE, ApiError, error
from airflow_provider_clarity.emulator.runware_fields import (
    FACTOR_TWO,
    INPUT_FIELDS,
    SETTINGS_FIELDS,
    TASK_FIELDS,
    Field,
)

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?", re.IGNORECASE)
_HUGE = 1e30  # JSON knows greater integers, but no field does


def uuid_problem(task: Mapping[str, Any]) -> ApiError | None:
    """Return what is wrong with the task's UUID, or None."""
    given = task.get("taskUUID")
    if given is None:
        return _complain("missing", "taskUUID", "string", None, "Missing required parameter 'taskUUID'.")
    if not isinstance(given, str) or not _UUID4.fullmatch(given):
        shown = given if isinstance(given, str) and len(given) <= 64 else None
        message = "Invalid value for 'taskUUID' parameter. It must be a UUID v4."
        return _complain("invalid", "taskUUID", "string", shown, message)
    return None


def problem(task: Mapping[str, Any], *, factor_two: bool = False) -> ApiError | None:
    """Return the first thing wrong with an upscale task, or None.

    :param task: as it came; the legacy ``imageUpscale`` may give its source as ``inputImage``
    :param factor_two: whether ``upscaleFactor`` can only be 2, as the model page says
    """
    found = uuid_problem(task)
    if found:
        return found
    fields = TASK_FIELDS | ({"upscaleFactor": FACTOR_TWO} if factor_two else {})
    if task.get("taskType") == "imageUpscale":
        legacy = "inputImage" in task
        fields = fields | {"inputImage": Field("string"), "inputs": replace(fields["inputs"], required=not legacy)}
    groups = [("", task, fields)]
    groups += [("inputs.", task["inputs"], INPUT_FIELDS)] if isinstance(task.get("inputs"), dict) else []
    groups += [("settings.", task["settings"], SETTINGS_FIELDS)] if isinstance(task.get("settings"), dict) else []
    for prefix, group, known in groups:
        found = _group_problem(prefix, group, known, task["taskUUID"])
        if found:
            return found
    return None


def _group_problem(prefix: str, group: Mapping[str, Any], known: Mapping[str, Field], uuid: str) -> ApiError | None:
    for name in group:
        if name not in known:
            message = f"Unknown parameter '{prefix}{name}'."
            return error("unknownParameter", message, parameter=prefix + name, documentation=PAGE, taskUUID=uuid)
    for name, field in known.items():
        path = prefix + name
        if group.get(name) is None or (field.required and group[name] == ""):
            if field.required or name in group:
                return _complain("missing", path, field.kind, uuid, f"Missing required parameter '{path}'.")
            continue
        found = _value_problem(path, group[name], field, uuid)
        if found:
            return found
    return None


def _value_problem(path: str, value: object, field: Field, uuid: str) -> ApiError | None:
    wrong = f"Invalid value for '{path}' parameter."
    if not _is(field.kind, value):
        article = "an" if field.kind[0] in "aeiou" else "a"
        return _complain("invalid", path, field.kind, uuid, f"{wrong} It must be {article} {field.kind} value.")
    if field.allowed is not None and value not in field.allowed:
        message = f"{wrong} Supported values are: {', '.join(map(str, field.allowed))}."
        return _complain("unsupported", path, field.kind, uuid, message, allowedValues=list(field.allowed))
    if isinstance(value, int | float) and not _in_range(value, field):
        bounds = {"min": field.least, "max": field.most, "multiplier": field.step}
        limits = ", ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)
        return _complain("invalid", path, field.kind, uuid, f"{wrong} Limits: {limits}.", **bounds)
    return None


def _in_range(value: float, field: Field) -> bool:
    if field.least is not None and value < field.least:
        return False
    if field.most is not None and value > field.most:
        return False
    steps = value / field.step if field.step else 0
    return abs(steps - round(steps)) < 1e-6


def _is(kind: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE
    match kind:
        case "integer":
            return isinstance(value, int | float) and number and float(value).is_integer()
        case "float":
            return number
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "uri":
            return isinstance(value, str) and _URL.fullmatch(value) is not None
        case _:
            return isinstance(value, str)


def _complain(how: str, path: str, kind: str, uuid: str | None, message: str, **more: Any) -> ApiError:  # noqa: ANN401 - JSON
    name = path.rpartition(".")[2]
    return error(
        how + name[0].upper() + name[1:],
        message,
        parameter=path,
        type="string" if kind == "uri" else kind,
        documentation=f"{PAGE}#request-{path.lower().replace('.', '-')}",
        taskUUID=uuid,
        **more,
    )
