"""What the Runware half remembers: tasks, produced images, and the world they live in.

Invariants: a task is keyed by its UUID in lower case; of its request no inline picture is kept; a produced picture lies
in a file, so that ten thousand of them do not lie in memory.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow_provider_clarity.emulator.accounts import Accounts
from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.runware_errors import ApiError
from airflow_provider_clarity.emulator.runware_slots import Slots
from airflow_provider_clarity.emulator.switches import Switches

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """A produced picture in its file.

    :param size: its pixels, width and height
    :param source_size: the pixels of what it was made from
    """

    path: Path
    media_type: str
    size: tuple[int, int]
    source_size: tuple[int, int]


@dataclass(frozen=True)
class Produced:
    """A picture that can be asked for.

    :param expires: when its time to live is over (monotonic seconds)
    :param subject: what a fault's ``match`` is searched in
    """

    picture: Picture
    expires: float | None
    subject: str


@dataclass(eq=False)
class Task:
    """One accepted upscale task.

    :param request: as it came, without an inline picture
    :param image: the input, until it was read
    :param source: what accounts and faults know it by
    :param sync: whether the submit waits for the result
    :param price: what it costs if it succeeds, US dollars
    :param conflict: the last refusal of its UUID, which the archive shows instead of its result
    """

    request: dict[str, Any]
    image: str
    source: str
    sync: bool
    price: float
    status: Literal["processing", "success", "error"] = "processing"
    error: ApiError | None = None
    picture: Picture | None = None
    conflict: ApiError | None = None
    finished_at: float | None = None
    image_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    input_image_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def uuid(self) -> str:
        """Its UUID, as it was sent."""
        return str(self.request["taskUUID"])

    @property
    def subject(self) -> str:
        """What a fault's ``match`` is searched in."""
        return f"{self.uuid} {self.source}"

    def forgotten(self, retention: float | None) -> bool:
        """Whether it finished so long ago (seconds) that the service has forgotten it."""
        return (
            retention is not None and self.finished_at is not None and time.monotonic() - self.finished_at >= retention
        )


@dataclass
class World:
    """Everything the parts of the Runware half share; ``reset`` empties it."""

    switches: Switches
    faults: Faults
    base_url: str
    accounts: Accounts = field(default_factory=Accounts)
    tasks: dict[str, Task] = field(default_factory=dict)
    images: dict[str, Produced] = field(default_factory=dict)
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.slots = Slots(self.switches)

    def task(self, task_uuid: str) -> Task | None:
        """Return the task with this UUID."""
        return self.tasks.get(task_uuid.lower())

    def image(self, image_uuid: str) -> Produced | None:
        """Return a produced picture, unless its time to live is over."""
        produced = self.images.get(image_uuid.lower())
        if produced is None or (produced.expires is not None and time.monotonic() >= produced.expires):
            return None
        return produced

    def reset(self) -> None:
        """Forget accounts, tasks, images, faults; switches get their first values."""
        self.switches.reset()
        self.faults.clear()
        self.accounts, self.slots = Accounts(), Slots(self.switches)
        self.tasks.clear()
        self.images.clear()


def input_of(request: Mapping[str, Any]) -> str:
    """Return the input of an upscale task in either form; empty where there is none."""
    inputs = request.get("inputs")
    given = inputs.get("image") if isinstance(inputs, dict) else None
    given = request.get("inputImage") if given is None else given
    return given if isinstance(given, str) else ""


def source_of(image: str) -> str:
    """Return what may be known of an input: a URL without its query, a UUID, or what kind of inline data it is."""
    if image.startswith("data:"):
        return image[:64].partition(",")[0].partition(";")[0]
    if UUID.fullmatch(image):
        return image
    if image.startswith(("http://", "https://")):
        parts = urlsplit(image)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"
    return "base64"


def without_inline(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with an inline picture replaced by its kind."""
    image = input_of(request)
    if image.startswith(("http://", "https://")) or UUID.fullmatch(image):
        return dict(request)
    kept = dict(request)
    if "inputImage" in kept:
        kept["inputImage"] = source_of(image)
    if isinstance(kept.get("inputs"), dict):
        kept["inputs"] = kept["inputs"] | {"image": source_of(image)}
    return kept
