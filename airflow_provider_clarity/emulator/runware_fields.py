"""The fields of a Clarity request, as the model page lists them: types, ranges, values, defaults.

Source: https://runware.ai/docs/models/clarity. Two things go beyond that page: ``routing`` (a key the official SDK
knows since October 2026) and ``upscaleFactor``, which the live schema has since widened to a number; the switch
``upscale_factor`` chooses. Invariant: this is data; ``runware_validation.py`` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MODEL = "runware:500@1"
UPSCALE_TYPES = ("upscale", "imageUpscale")
SCHEDULERS = (
    "DDIM", "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "Default", "DPM++", "DPM++ 2M",
    "DPM++ 2M Beta", "DPM++ 2M Exponential", "DPM++ 2M Karras", "DPM++ 2M SDE", "DPM++ 2M SDE Beta",
    "DPM++ 2M SDE Exponential", "DPM++ 2M SDE Karras", "DPM++ 2M SDE Uniform", "DPM++ 2M Uniform", "DPM++ 3M",
    "DPM++ 3M Beta", "DPM++ 3M Exponential", "DPM++ 3M Karras", "DPM++ 3M SDE Uniform", "DPM++ 3M Uniform",
    "DPM++ Beta", "DPM++ Exponential", "DPM++ Karras", "DPM++ SDE", "DPM++ SDE Beta", "DPM++ SDE Exponential",
    "DPM++ SDE Karras", "DPM++ Uniform", "DPM++ Uniform Beta", "DPM++ Uniform Exponential", "DPM++ Uniform Karras",
    "DPMSolverMultistepInverse", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
    "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "Euler", "Euler a", "Euler Beta",
    "Euler DiscreteScheduler", "Euler Exponential", "Euler Karras", "EulerAncestralDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler", "Heun", "HeunDiscreteScheduler", "Heun Karras", "IPNDMScheduler",
    "IPNDM Uniform", "IPNDM Uniform Beta", "IPNDM Uniform Exponential", "IPNDM Uniform Karras",
    "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCM", "LCMScheduler", "LMS",
    "LMSDiscreteScheduler", "LMS Karras", "PNDMScheduler", "TCDScheduler", "UniPC", "UniPC 2M", "UniPC 2M Karras",
    "UniPC 2M Uniform", "UniPC 3M", "UniPC 3M Karras", "UniPC 3M Uniform", "UniPC Karras", "UniPC Uniform",
    "UniPC Uniform Beta", "UniPC Uniform Exponential", "UniPC Uniform Karras",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One field: what it must be.

    :param kind: its type, as an error names it
    :param least: the least number
    :param most: the greatest number
    :param step: numbers are multiples of it
    :param allowed: the values there are
    """

    kind: Literal["string", "integer", "float", "boolean", "object", "uri"]
    required: bool = False
    least: float | None = None
    most: float | None = None
    step: float | None = None
    allowed: tuple[object, ...] | None = None


TASK_FIELDS: dict[str, Field] = {
    "taskType": Field("string", required=True, allowed=UPSCALE_TYPES),
    "taskUUID": Field("string", required=True),
    "model": Field("string", required=True, allowed=(MODEL,)),
    "outputType": Field("string", allowed=("URL", "base64Data", "dataURI")),
    "outputFormat": Field("string", allowed=("JPG", "PNG", "WEBP")),
    "outputQuality": Field("integer", least=20, most=99),
    "webhookURL": Field("uri"),
    "deliveryMethod": Field("string", allowed=("sync", "async")),
    "uploadEndpoint": Field("uri"),
    "ttl": Field("integer", least=60),
    "includeCost": Field("boolean"),
    "upscaleFactor": Field("float", least=2, most=4),
    "inputs": Field("object", required=True),
    "settings": Field("object"),
    "routing": Field("object"),
}
FACTOR_TWO = Field("integer", allowed=(2,))
INPUT_FIELDS = {"image": Field("string", required=True)}
SETTINGS_FIELDS = {
    "positivePrompt": Field("string"),
    "negativePrompt": Field("string"),
    "seed": Field("integer", least=0, most=9223372036854776000),
    "steps": Field("integer", least=1),
    "scheduler": Field("string", allowed=SCHEDULERS),
    "CFGScale": Field("float", least=0, step=0.01),
    "strength": Field("float", least=0, most=1, step=0.01),
    "controlNetWeight": Field("float", least=-4, most=4, step=0.01),
}
