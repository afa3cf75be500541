"""The operator as Airflow runs it, but in this process: connections from the environment, an emulator behind them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from emulator_process import EmulatorProcess
from PIL import Image

from airflow_provider_clarity.operators.upscale import UpscaleOperator
from airflow_provider_clarity.triggers.upscale import UpscaleTrigger


@dataclass
class TaskInstance:
    """What the operator needs of a task instance."""

    dag_id: str = "dag"
    run_id: str = "run"
    task_id: str = "upscale"
    max_tries: int = 0
    map_index: int = -1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@dataclass
class DagRun:
    """What the operator needs of a DAG run."""

    start_date: datetime


@dataclass
class Workshop:
    """A bucket, an account, and operators over them."""

    emulator: EmulatorProcess
    bucket: str
    client: Any

    def upload(self, name: str = "raw/cat.png", content: bytes | None = None, colour: str = "teal") -> str:
        """Put a picture into the bucket."""
        if content is None:
            out = io.BytesIO()
            Image.new("RGB", (40, 30), colour).save(out, "PNG")
            content = out.getvalue()
        self.client.bucket(self.bucket).blob(name).upload_from_string(content, content_type="image/png")
        return f"gs://{self.bucket}/{name}"

    def operator(self, **changes: Any) -> UpscaleOperator:
        """An operator for the uploaded picture."""
        known: dict[str, Any] = {
            "task_id": "upscale",
            "source": f"gs://{self.bucket}/raw/cat.png",
            "destination": f"gs://{self.bucket}/print/",
        }
        return UpscaleOperator(**known | changes)

    def run(self, *, ti: TaskInstance | None = None, dag_run: DagRun | None = None, **changes: Any) -> dict[str, Any]:
        """Run it to its end on this worker."""
        context = {"ti": ti or TaskInstance(), "dag_run": dag_run}
        return self.operator(**changes).execute(context)  # type: ignore[arg-type]

    def picture(self, uri: str) -> Image.Image:
        """Decode a delivered picture."""
        name = uri.removeprefix(f"gs://{self.bucket}/")
        picture = Image.open(io.BytesIO(self.client.bucket(self.bucket).blob(name).download_as_bytes()))
        picture.load()
        return picture

    def counts(self) -> list[int]:
        """How often each bought UUID was accepted."""
        return sorted(purchase["count"] for purchase in self.emulator.accounts()["purchases"].values())


def deferred(workshop: Workshop, ti: TaskInstance | None = None, **changes: Any) -> UpscaleTrigger:
    """Run an operator until it defers, and return its trigger."""
    with pytest.raises(TaskDeferred) as raised:
        workshop.run(ti=ti, deferrable=True, defer_after=0, **changes)
    assert raised.value.method_name == "execute_complete"
    assert isinstance(raised.value.trigger, UpscaleTrigger)
    return raised.value.trigger


def resume(workshop: Workshop, event: dict[str, Any] | None, ti: TaskInstance | None = None, **changes: Any) -> Any:
    """Resume as Airflow does: a new operator, rendered again, that knows the event only."""
    operator = workshop.operator(**{"deferrable": True, "defer_after": 5} | changes)
    return operator.execute_complete({"ti": ti or TaskInstance()}, event)  # type: ignore[typeddict-item]


def event_of(trigger: UpscaleTrigger, **changes: Any) -> dict[str, Any]:
    """What the trigger tells when all is settled."""
    told = {
        "v": 1,
        "status": "settled",
        "run": trigger.run_uri,
        "settled": trigger.task_uuids,
        "deadline": trigger.deadline,
        "message": "",
    }
    return told | changes
