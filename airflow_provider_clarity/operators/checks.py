"""What an operator can refuse by itself, before a connection is opened. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_clarity.exceptions import ClarityInputError, ClarityValidationError
from airflow_provider_clarity.redact import redact

_LEAST_TTL = 60
_NOTHING = "Nothing was sent and nothing was paid."
_LONGEST_SHOWN = 60


@contextmanager
def about(name: str) -> Iterator[None]:
    """Say which parameter it is that an input error within tells of."""
    try:
        yield
    except ClarityInputError as error:
        raise ClarityInputError(f"{name}: {error.message}") from None


def _shown(value: object) -> str:
    shown = repr(redact(value) if isinstance(value, str) else value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse what is none of a few values."""
    if value not in allowed:
        known = ", ".join(repr(one) for one in allowed)
        raise ClarityValidationError(f"{name}={_shown(value)} is not known. {_NOTHING} Use one of {known}.")


def check_count(name: str, value: object, *, at_least: int) -> None:
    """Refuse what is no integer, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ClarityValidationError(
            f"{name}={_shown(value)} is no integer of at least {at_least}. {_NOTHING} Give {at_least} or more."
        )


def seconds_of(name: str, value: float | timedelta, *, positive: bool = False) -> float:
    """Return a time as seconds; refuse what is none."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        seconds = math.nan
    else:
        seconds = float(value)
    if not 0 <= seconds < math.inf or (positive and seconds == 0):
        least = "above 0" if positive else "from 0"
        raise ClarityValidationError(
            f"{name}={_shown(value)} is no time to wait. {_NOTHING} Give seconds {least}, or a timedelta."
        )
    return seconds


def check_text(name: str, value: object) -> None:
    """Refuse what is no text, or an empty one: a template that came to nothing, mostly."""
    if not isinstance(value, str) or not value.strip():
        shown = "empty" if isinstance(value, str) else f"a {type(value).__name__}"
        raise ClarityValidationError(
            f"{name} is {shown}, not a text. {_NOTHING} If it is a template, look at what it renders to."
        )


def check_upscale(operator: Any, choices: Mapping[str, tuple[str, ...]]) -> None:  # noqa: ANN401 - an operator's attributes
    """Refuse what no service needs to be asked about.

    :param operator: with the attributes of :class:`~.upscale.UpscaleOperator`
    :param choices: the values that an attribute may have, by its name
    :raises ClarityValidationError: saying which, what is safe and what to do
    """
    for name in ("source", "destination", "clarity_conn_id", "gcp_conn_id"):
        check_text(name, getattr(operator, name))
    for name in ("workspace", "user_project"):
        if getattr(operator, name) is not None:
            check_text(name, getattr(operator, name))
    for name, allowed in choices.items():
        check_choice(name, getattr(operator, name), allowed)
    if operator.upload_via == "worker" and operator.input_via == "signed_url":
        raise ClarityValidationError(
            'upload_via="worker" lets no URL into your buckets out, and input_via="signed_url" asks for one. '
            f'{_NOTHING} Use input_via="inline", or another upload_via.'
        )
    check_count("max_attempts", operator.max_attempts, at_least=1)
    if operator.ttl is not None:
        check_count("ttl", operator.ttl, at_least=_LEAST_TTL)
    for name in ("item_timeout", "defer_after"):
        seconds_of(name, getattr(operator, name))
    seconds_of("timeout", operator.timeout, positive=True)
    if operator.settings is not None and not isinstance(operator.settings, Mapping):
        raise ClarityValidationError(
            f"settings is a {type(operator.settings).__name__}, not a dict. {_NOTHING} Write it like "
            '{"strength": 0.3}; a template that renders to a dict needs render_template_as_native_obj=True on the DAG.'
        )
