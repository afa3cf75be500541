"""What a backfill wants: all that its plan is made of, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_clarity.batch.plan.grammar import BatchSource
from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.batch.policy import IfExists
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.runware.wire import UpscaleParameters, wire_name
from airflow_provider_clarity.storage.uris import GsUri


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which images, where to, and what is bought.

    :param source: see :mod:`~.grammar`
    :param destination: a prefix
    :param parameters: what is bought, where a row says nothing else
    :param api_host: host of the API, part of the content key
    :param run_key: whose run it is
    :param pattern: what pictures are called
    :param workspaces: prefixes of ours, never a source
    :param allow_upscaled_sources: whether our own pictures may be upscaled again
    """

    source: BatchSource
    destination: GsUri
    parameters: UpscaleParameters
    api_host: str
    run_key: str
    if_exists: IfExists = "skip"
    pattern: NamePattern = field(default_factory=NamePattern)
    workspaces: tuple[GsUri, ...] = ()
    allow_upscaled_sources: bool = False


def extension_of(parameters: UpscaleParameters) -> str:
    """Give the extension of the pictures, without the dot."""
    return (parameters.output_format or "JPG").lower()


def over(parameters: UpscaleParameters, own: Mapping[str, Any]) -> UpscaleParameters:
    """Put what a row says over what the operator says, settings key by key.

    :param own: see :attr:`.rows.Row.own_parameters`
    :raises ClarityValidationError: with one sentence for each bad value
    """
    if not own:
        return parameters
    settings: dict[str, Any] = dict(parameters.settings.canonical())
    for key, value in (own.get("settings") or {}).items():
        settings[wire_name(key) if key.islower() else key] = value
    return parameters_from_user(
        upscale_factor=own.get("upscale_factor", parameters.upscale_factor),
        output_format=own.get("output_format", parameters.output_format),
        output_quality=own.get("output_quality", parameters.output_quality),
        settings=settings,
    )


class Overrides:
    """`over`, remembering the answers: the rows of a manifest mostly say the same.

    :param parameters: the operator's
    """

    def __init__(self, parameters: UpscaleParameters) -> None:
        self._parameters = parameters
        self._canonical = parameters.canonical()
        self._known: dict[str, tuple[UpscaleParameters, dict[str, Any]]] = {}

    def of(self, own: Mapping[str, Any]) -> tuple[UpscaleParameters, dict[str, Any]]:
        """Give the parameters and their canonical form."""
        if not own:
            return self._parameters, self._canonical
        key = json.dumps(own, sort_keys=True)
        if key not in self._known:
            if len(self._known) >= 1000:  # noqa: PLR2004 - a bound on memory, not a limit
                self._known.clear()
            parameters = over(self._parameters, own)
            self._known[key] = (parameters, parameters.canonical())
        return self._known[key]
