"""Every field that goes to the service and comes back, as models: the only place where its camelCase lives.

Outward the models are strict: an unknown key, a value outside the documented range, a text where a number belongs are
refused here, before anything is paid. Inward they are tolerant: an unknown key is ignored, a value of the wrong type is
dropped, and nothing raises.

Source: https://runware.ai/docs/models/clarity; the ``upscaleFactor`` has been widened since (see
:data:`MAX_UPSCALE_FACTOR`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from airflow_provider_clarity.runware.hosts import is_loopback
from airflow_provider_clarity.runware.schedulers import SCHEDULERS, near_schedulers

MODEL: Final = "runware:500@1"
"""Clarity."""

OutputFormat = Literal["JPG", "PNG", "WEBP"]
OutputType = Literal["URL", "base64Data", "dataURI"]

_ACRONYMS: Final = frozenset({"cfg", "uri", "url", "uuid"})

MAX_SEED: Final = 9_223_372_036_854_776_000
"""As documented; 2**63 as JavaScript rounds it."""
MAX_UPSCALE_FACTOR: Final = 16
"""Ours. The page documents 2 only, the live schema takes any number; beyond this one a typing error is likelier."""


def _two_decimals(value: float) -> float:
    """Hold a value to the documented step of 0.01, forgiving what binary fractions do to it."""
    rounded = round(value, 2)
    if not math.isclose(value, rounded, rel_tol=1e-9, abs_tol=1e-9):
        message = "must be a multiple of 0.01"
        raise ValueError(message)
    return rounded


def _known_scheduler(value: str) -> str:
    """Refuse a scheduler that the page does not list, naming those that look like it."""
    if value in SCHEDULERS:
        return value
    near = ", ".join(repr(name) for name in near_schedulers(value))
    message = f"is no scheduler of Clarity; did you mean {near}?" if near else "is no scheduler of Clarity"
    raise ValueError(message)


def _public_url(value: str) -> str:
    """Take an address that the service may be given: https, or http to loopback for an emulator."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not secure or any(character.isspace() for character in value):
        message = "must be an https URL (http only to loopback)"
        raise ValueError(message)
    return value


def plain_number(value: float) -> float:
    """Return a number in its shortest form, so that ``2`` and ``2.0`` are the same purchase.

    :param value: a finite number
    """
    return int(value) if float(value).is_integer() else value


def wire_name(name: str) -> str:
    """Return the service's spelling of one of our names: ``cfg_scale`` is ``CFGScale``, ``task_uuid`` is ``taskUUID``.

    :param name: a name in snake_case
    """
    words = [word.upper() if word in _ACRONYMS else word.capitalize() for word in name.split("_")]
    first = words[0] if words[0].isupper() else words[0].lower()
    return first + "".join(words[1:])


Step = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_two_decimals)]
ServiceUrl = Annotated[str, AfterValidator(_public_url)]


class _Outward(BaseModel):
    """Strict: what is not documented does not leave. The input is kept out of errors, since it may hold secrets."""

    model_config = ConfigDict(
        alias_generator=wire_name,
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


class UpscaleSettings(_Outward):
    """The ``settings`` of a task. What is not given is left to the service.

    :param positive_prompt: what to include
    :param negative_prompt: what to exclude; ignored by the service when ``cfg_scale`` <= 1
    :param seed: 0 to 9223372036854776000
    :param steps: denoising steps, at least 1
    :param scheduler: one of the 75 names of the model page
    :param cfg_scale: guidance, at least 0, in steps of 0.01
    :param strength: 0 to 1, in steps of 0.01; the service's default is 0.8
    :param control_net_weight: -4 to 4, in steps of 0.01; the service's default is 1
    """

    positive_prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    steps: int | None = Field(default=None, ge=1)
    scheduler: Annotated[str, AfterValidator(_known_scheduler)] | None = None
    cfg_scale: Step | None = Field(default=None, ge=0)
    strength: Step | None = Field(default=None, ge=0, le=1)
    control_net_weight: Step | None = Field(default=None, ge=-4, le=4)

    def canonical(self) -> dict[str, str | float]:
        """Return what was given, by wire name, numbers in their shortest form; no defaults."""
        given: dict[str, str | float] = self.model_dump(by_alias=True, exclude_none=True)
        return {name: value if isinstance(value, str) else plain_number(value) for name, value in given.items()}


class UpscaleParameters(_Outward):
    """What is bought: two tasks with the same parameters and the same source buy the same picture.

    :param model: the model's identifier; there is one
    :param upscale_factor: 2 is documented; above 1 and at most 16
    :param output_format: ``JPG`` (the service's default), ``PNG`` or ``WEBP``
    :param output_quality: 20 to 99; the service's default is 95
    :param settings: see :class:`UpscaleSettings`
    """

    model: Literal["runware:500@1"] = MODEL
    upscale_factor: float | None = Field(default=None, gt=1, le=MAX_UPSCALE_FACTOR, allow_inf_nan=False)
    output_format: OutputFormat | None = None
    output_quality: int | None = Field(default=None, ge=20, le=99)
    settings: UpscaleSettings = UpscaleSettings()

    def canonical(self) -> dict[str, Any]:
        """Return what was given, by wire name, numbers in their shortest form; no defaults, no empty settings.

        It is what a purchase is identified by, so it never changes for the same request.
        """
        given: dict[str, Any] = {"model": self.model}
        if self.upscale_factor is not None:
            given["upscaleFactor"] = plain_number(self.upscale_factor)
        if self.output_format is not None:
            given["outputFormat"] = self.output_format
        if self.output_quality is not None:
            given["outputQuality"] = self.output_quality
        if settings := self.settings.canonical():
            given["settings"] = settings
        return given


class UpscaleInputs(_Outward):
    """The ``inputs`` of a task.

    :param image: a UUID, a URL, a data URI or base64; hidden in ``repr``, since a presigned URL is a secret
    """

    image: str = Field(min_length=1, repr=False)


class UpscaleTask(_Outward):
    """One task as it is submitted.

    :param task_uuid: a version 4 UUID, the key under which the service knows the purchase
    :param parameters: what is bought
    :param inputs: the picture
    :param output_type: ``URL``, ``base64Data`` or ``dataURI``
    :param upload_endpoint: where the service PUTs the picture; hidden in ``repr``
    :param webhook_url: whom the service tells; hidden in ``repr``
    :param delivery_method: ``async`` here; the service's own default is ``sync``
    :param ttl: seconds that the output URL lives, at least 60; only with ``output_type="URL"``
    :param include_cost: ask for the cost; on here, since the budget needs it
    """

    task_uuid: UUID
    parameters: UpscaleParameters = UpscaleParameters()
    inputs: UpscaleInputs
    output_type: OutputType = "URL"
    upload_endpoint: ServiceUrl | None = Field(default=None, repr=False)
    webhook_url: ServiceUrl | None = Field(default=None, repr=False)
    delivery_method: Literal["sync", "async"] = "async"
    ttl: int | None = Field(default=None, ge=60)
    include_cost: bool = True

    @field_validator("task_uuid")
    @classmethod
    def _version_four(cls, value: UUID) -> UUID:
        if value.version != 4:  # noqa: PLR2004 - a UUID's version, as the page asks
            message = "must be a version 4 UUID"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _ttl_needs_url(self) -> UpscaleTask:
        if self.ttl is not None and self.output_type != "URL":
            message = "ttl applies only to outputType URL"
            raise ValueError(message)
        return self

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the task."""
        task: dict[str, Any] = {
            "taskType": "upscale",
            "taskUUID": str(self.task_uuid),
            **self.parameters.canonical(),
            "inputs": {"image": self.inputs.image},
            "outputType": self.output_type,
            "deliveryMethod": self.delivery_method,
            "includeCost": self.include_cost,
        }
        optional = {"uploadEndpoint": self.upload_endpoint, "webhookURL": self.webhook_url, "ttl": self.ttl}
        return task | {name: value for name, value in optional.items() if value is not None}


class GetResponseTask(_Outward):
    """Asks for the state of a task.

    :param task_uuid: the UUID of the task asked about
    """

    task_uuid: UUID

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the task."""
        return {"taskType": "getResponse", "taskUUID": str(self.task_uuid)}


class GetTaskDetailsTask(_Outward):
    """Asks the archive for the request and the last response of a task.

    :param task_uuid: the UUID of the task asked about
    """

    task_uuid: UUID

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the task."""
        return {"taskType": "getTaskDetails", "taskUUID": str(self.task_uuid)}


class AccountTask(_Outward):
    """Asks for the account's balance.

    :param task_uuid: a fresh UUID
    """

    task_uuid: UUID

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the task."""
        return {"taskType": "accountManagement", "taskUUID": str(self.task_uuid), "operation": "getDetails"}


def _or_nothing(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Drop a value of the wrong type: the rest of the item is worth more than an exception."""
    try:
        return handler(value)
    except ValidationError:
        return None


_Tolerant = WrapValidator(_or_nothing)
_Text = Annotated[str | None, Field(strict=True), _Tolerant]
_Count = Annotated[int | None, Field(strict=True), _Tolerant]
_Cost = Annotated[float | None, Field(strict=True, ge=0, allow_inf_nan=False), _Tolerant]


class ResultItem(BaseModel):
    """What the service says about a task: an acknowledgement, a state or a result.

    :param task_uuid: the task; the only thing that results are matched by
    :param task_type: ``upscale`` or the legacy ``imageUpscale``; never matched on
    :param status: ``processing``, ``success``; a result of a sync task has none
    :param image_uuid: the output picture; may be there before the picture is
    :param image_url: where it can be fetched; hidden in ``repr``
    :param image_base64_data: the picture itself; hidden in ``repr``
    :param image_data_uri: the picture itself; hidden in ``repr``
    :param cost: USD
    :param input_image_uuid: the source, as the service keeps it (observed, not documented)
    :param progress: percent, while processing
    """

    model_config = ConfigDict(
        alias_generator=wire_name, extra="ignore", frozen=True, validate_by_name=True, validate_by_alias=True
    )

    task_uuid: Annotated[UUID | None, _Tolerant] = None
    task_type: _Text = None
    status: _Text = None
    image_uuid: _Text = None
    image_url: _Text = Field(default=None, repr=False)
    image_base64_data: _Text = Field(default=None, repr=False)
    image_data_uri: _Text = Field(default=None, repr=False)
    cost: _Cost = None
    input_image_uuid: _Text = None
    progress: _Count = None

    @property
    def has_output(self) -> bool:
        """Whether the picture, or an address of it, is in the item."""
        return bool(self.image_url or self.image_base64_data or self.image_data_uri)

    @property
    def succeeded(self) -> bool:
        """Whether the item says that the task is done: by its status, or, where it has none we know, by its output.

        An item with an ``imageUUID`` alone is still being worked on.
        """
        if self.status == "success":
            return True
        return self.has_output and self.status not in IN_FLIGHT


IN_FLIGHT: Final = frozenset({"processing", "pending", "queued", "scheduled", "waiting"})
"""Statuses of a task that is not done; only ``processing`` is documented today."""
