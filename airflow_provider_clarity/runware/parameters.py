"""From what a user writes to what is bought, with messages that a person can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from airflow_provider_clarity.exceptions import ClarityValidationError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.runware.wire import UpscaleParameters, UpscaleSettings, wire_name

DOCUMENTED_FACTOR: Final = 2
_LARGEST_SHOWN = 40
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_OURS: Final = {
    "taskUUID": "it is made from the source, the destination and the parameters, so that nothing is bought twice",
    "uploadEndpoint": "it is made for each task; upload_via chooses how",
    "deliveryMethod": "it is always async, so that a lost reply loses no picture",
    "includeCost": "it is always on, since the budget needs it",
    "webhookURL": 'it carries a secret: put it into the connection, as the extra "webhook_url"',
    "outputType": "it follows from how the picture is delivered",
    "taskType": "it is always upscale",
    "model": "it is always runware:500@1",
    "inputs": "the picture is the parameter source",
    "outputFormat": "it is the parameter output_format",
    "outputQuality": "it is the parameter output_quality",
    "upscaleFactor": "it is the parameter upscale_factor",
    "ttl": "it is the parameter ttl",
}
_FIELDS: Final = {wire_name(name): name for name in UpscaleSettings.model_fields}
_FACTS: Final = {
    "upscale_factor": "a number above 1 and at most 16; 2 is documented",
    "output_format": "JPG, PNG or WEBP",
    "output_quality": "an integer from 20 to 99",
    "positivePrompt": "a text",
    "negativePrompt": "a text",
    "seed": "an integer from 0 to 9223372036854776000",
    "steps": "an integer of at least 1",
    "scheduler": "one of the 75 names of the model page",
    "CFGScale": "a number of at least 0, in steps of 0.01",
    "strength": "a number from 0 to 1, in steps of 0.01",
    "controlNetWeight": "a number from -4 to 4, in steps of 0.01",
}


def parameters_from_user(
    *,
    upscale_factor: float | None = DOCUMENTED_FACTOR,
    output_format: str | None = None,
    output_quality: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> UpscaleParameters:
    """Check what a user wrote against the model page and return what is bought.

    :param upscale_factor: 2 is documented; above 1 and at most 16, see :func:`warnings_for`; none leaves it out
    :param output_format: ``JPG``, ``PNG`` or ``WEBP``; none leaves it out
    :param output_quality: 20 to 99; none leaves it out
    :param settings: the fields of ``settings``, by wire name or in snake_case; none as a value leaves a field out
    :raises ClarityValidationError: with one sentence for each bad value; no text of the user is repeated but a
        scheduler's name
    """
    problems, by_wire_name = _settings_by_wire_name(settings)
    top: dict[str, Any] = {
        "upscale_factor": upscale_factor,
        "output_format": output_format,
        "output_quality": output_quality,
    }
    problems += _problems(UpscaleParameters, top, prefix="")
    problems += _problems(UpscaleSettings, by_wire_name, prefix="settings.")
    if problems:
        raise ClarityValidationError(
            f"{' '.join(problems)} Nothing was sent and nothing was paid. Correct this and run again."
        )
    return UpscaleParameters.model_validate(top | {"settings": UpscaleSettings.model_validate(by_wire_name)})


def warnings_for(parameters: UpscaleParameters) -> tuple[str, ...]:
    """Return what is allowed but worth a word, one sentence each.

    :param parameters: what is bought
    """
    found = []
    factor = parameters.upscale_factor
    if factor is not None and factor != DOCUMENTED_FACTOR:
        found.append(
            f"upscale_factor={factor:g} is not documented for Clarity (2 is); the service decides whether it takes it."
        )
    settings = parameters.settings
    if settings.negative_prompt and settings.cfg_scale is not None and settings.cfg_scale <= 1:
        found.append(f"The service ignores negativePrompt when CFGScale is at most 1 (it is {settings.cfg_scale:g}).")
    return tuple(found)


def _settings_by_wire_name(settings: object) -> tuple[list[str], dict[str, Any]]:
    """Spell every known setting as the service does; tell which are ours, unknown or given twice."""
    if settings is None:
        return [], {}
    if not isinstance(settings, Mapping):
        return [f"settings must be a dict, not {_shown(settings)}."], {}
    problems: list[str] = []
    known: dict[str, Any] = {}
    for key, value in settings.items():
        name = wire_name(key) if isinstance(key, str) and key.islower() else key
        if name in _OURS:
            problems.append(f"{name} cannot be set in settings: {_OURS[name]}.")
        elif name not in _FIELDS:
            shown = repr(key) if isinstance(key, str) and _NAME.fullmatch(key) else _shown(key)
            problems.append(f"settings has no field {shown}; there are {', '.join(_FIELDS)}.")
        elif name in known:
            problems.append(f"settings.{name} is given twice, under two spellings.")
        elif value is not None:
            known[name] = value
    return problems, known


def _problems(model: type[UpscaleParameters | UpscaleSettings], given: dict[str, Any], *, prefix: str) -> list[str]:
    """Return one sentence for each value that the model refuses."""
    try:
        model.model_validate(given)
    except ValidationError as refused:
        found = {str(error["loc"][0]): str(error["msg"]) for error in refused.errors(include_url=False)}
    else:
        return []
    return [f"{prefix}{name} {_sentence(name, given[name], message)}" for name, message in found.items()]


def _sentence(name: str, value: object, message: str) -> str:
    """Say what is wrong with one value, without repeating a text of the user."""
    if name == "scheduler" and isinstance(value, str):
        said = message.removeprefix("Value error, ")
        return f"{redact(value[:_LARGEST_SHOWN])!r} {said}{'' if said.endswith('?') else '.'}"
    hint = ""
    if isinstance(value, str) and name not in ("positivePrompt", "negativePrompt", "scheduler", "output_format"):
        hint = " A template gives a text: set render_template_as_native_obj=True on the DAG."
    return f"must be {_FACTS[name]}, not {_shown(value)}.{hint}"


def _shown(value: object) -> str:
    """Show a number as it is, anything else by its type: a text may hold a secret."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, (int, float)):
        return repr(value)[:_LARGEST_SHOWN]
    names: dict[type, str] = {str: "a text", dict: "a dict", list: "a list", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")
