"""The trigger only waits and tells; what it is given and what it tells are an interface between versions."""

from __future__ import annotations

import asyncio
import base64
import importlib
import io
import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from emulator_process import EmulatorProcess
from PIL import Image

from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.wire import UpscaleInputs, UpscaleTask
from airflow_provider_clarity.triggers import upscale
from airflow_provider_clarity.triggers.upscale import UpscaleTrigger

FIXTURES = Path(__file__).parent / "fixtures"


def picture() -> bytes:
    """The smallest picture worth upscaling."""
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    return out.getvalue()


PIXEL = "data:image/png;base64," + base64.b64encode(picture()).decode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    """A service that needs half a second."""
    with EmulatorProcess("--service-time", "0.5", "--render", "none") as process:
        yield process


@pytest.fixture
def connection(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> EmulatorProcess:
    """The default connection leads to the emulator."""
    emulator.reset()
    value = {"conn_type": "clarity", "password": emulator.api_key, "host": emulator.runware_url}
    monkeypatch.setenv("AIRFLOW_CONN_CLARITY_DEFAULT", json.dumps(value))
    return emulator


async def bought(emulator: EmulatorProcess) -> UUID:
    """Buy a picture and return its task."""
    task = uuid.uuid4()
    async with ClarityClient(api_key=emulator.api_key, base_url=emulator.runware_url) as client:
        await client.submit([UpscaleTask(task_uuid=task, inputs=UpscaleInputs(image=PIXEL))])
    return task


def trigger(*tasks: UUID, seconds: float = 30, **changes: Any) -> UpscaleTrigger:
    """A trigger that waits for these."""
    known: dict[str, Any] = {
        "clarity_conn_id": "clarity_default",
        "run": "gs://print/_clarity/tasks/x.json",
        "task_uuids": [str(task) for task in tasks],
        "deadline": time.time() + seconds,
        "sent_at": time.time(),
    }
    return UpscaleTrigger(**known | changes)


async def first_event(waiting: UpscaleTrigger) -> dict[str, Any]:
    """Run it as the triggerer does, until its first event."""
    events = waiting.run()
    try:
        event = await anext(events)
    finally:
        await events.aclose()  # type: ignore[attr-defined]
    payload: dict[str, Any] = event.payload
    return payload


async def test_it_wakes_when_all_is_settled(connection: EmulatorProcess) -> None:
    """Success and failure both settle; the worker sees which."""
    good, bad = await bought(connection), await bought(connection)
    connection.faults([{"operation": "poll", "fault": "error:providerError", "times": 1, "match": str(bad)}])
    waiting = trigger(good, bad)
    event = await first_event(waiting)
    assert event["status"] == "settled"
    assert set(event["settled"]) == {str(good), str(bad)}
    assert (event["v"], event["run"], event["deadline"]) == (1, waiting.run_uri, waiting.deadline)


async def test_it_may_wake_after_the_first_few(connection: EmulatorProcess) -> None:
    """A batch goes on as soon as a part is done."""
    done = await bought(connection)
    event = await first_event(trigger(done, uuid.uuid4(), wake_when={"settled": 1}))
    assert (event["status"], event["settled"]) == ("settled", [str(done)])


@pytest.mark.usefixtures("connection")
async def test_it_wakes_at_its_deadline() -> None:
    """Airflow's own limits do not count while deferred."""
    event = await first_event(trigger(uuid.uuid4(), seconds=0.3))
    assert (event["status"], event["settled"]) == ("deadline", [])


@pytest.mark.usefixtures("connection")
async def test_it_wakes_where_silence_would_be_too_long() -> None:
    """Only the worker can say what a silent task is; the task's own time goes on."""
    waiting = trigger(uuid.uuid4(), seconds=60, wake_at=time.time() + 0.3)
    event = await first_event(waiting)
    assert (event["status"], event["deadline"]) == ("deadline", waiting.deadline)


async def test_a_poll_that_fails_is_no_news(connection: EmulatorProcess) -> None:
    """A 503, a reset and an HTML page neither end the wait nor the task."""
    task = await bought(connection)
    kinds = ("status_503", "reset_before", "html")
    connection.faults([{"operation": "poll", "fault": kind, "times": 1} for kind in kinds])
    event = await first_event(trigger(task))
    assert event["status"] == "settled"
    assert [fault["fired"] for fault in connection.faults()] == [1, 1, 1]


async def test_a_refused_key_wakes_the_worker_with_the_reason(
    connection: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: the worker, or a retry with the right key, adopts."""
    task = await bought(connection)
    value = {"conn_type": "clarity", "password": "emulator-wrong", "host": connection.runware_url}
    monkeypatch.setenv("AIRFLOW_CONN_CLARITY_DEFAULT", json.dumps(value))
    event = await first_event(trigger(task))
    assert event["status"] == "unreachable"
    assert "key" in event["message"]
    assert "emulator-wrong" not in json.dumps(event)


async def test_a_missing_connection_wakes_the_worker_with_the_reason() -> None:
    """An exception in a trigger would fail the task with Airflow's words instead of ours."""
    event = await first_event(trigger(uuid.uuid4(), clarity_conn_id="nobody"))
    assert event["status"] == "unreachable"
    assert "nobody" in event["message"]


async def test_what_went_wrong_inside_wakes_the_worker(connection: EmulatorProcess) -> None:
    """Whatever it is, the worker can still adopt what is in flight."""
    event = await first_event(trigger(uuid.uuid4(), task_uuids=["no uuid"]))
    assert event["status"] == "unreachable"
    assert connection.accounts()["polls"] == 0


async def test_many_triggers_share_their_polls(connection: EmulatorProcess) -> None:
    """A hundred deferred tasks must not poll a hundred times as often as one."""
    tasks = [await bought(connection) for _ in range(100)]
    before = connection.accounts()["poll_posts"]
    events = await asyncio.gather(*(first_event(trigger(task)) for task in tasks))
    assert {event["status"] for event in events} == {"settled"}
    assert connection.accounts()["poll_posts"] - before <= 20


def test_what_is_stored_loads_again() -> None:
    """A triggerer that restarts makes the trigger anew from its row."""
    waiting = trigger(uuid.uuid4(), wake_when={"settled": 3}, first_look=5.0)
    path, arguments = waiting.serialize()
    assert path == f"{UpscaleTrigger.__module__}.UpscaleTrigger"
    stored = json.loads(json.dumps(arguments))
    assert UpscaleTrigger(**stored).serialize() == (path, arguments)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_every_released_row_loads(path: Path) -> None:
    """Triggers in flight while the triggerer is upgraded must not fail their tasks."""
    stored = json.loads(path.read_text())
    assert stored.items() <= UpscaleTrigger(**stored).serialize()[1].items()


def test_it_watches_one_array_at_most() -> None:
    """Airflow stores and logs the arguments: they stay small."""
    assert len(trigger(*(uuid.uuid4() for _ in range(300))).task_uuids) == 100


async def test_what_is_heavy_is_imported_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first trigger of a process would hold up all others while it imports."""
    where: list[threading.Thread] = []
    monkeypatch.setattr(upscale, "_loaded", False)
    monkeypatch.setattr(importlib, "import_module", lambda _: where.append(threading.current_thread()))
    await upscale._load()
    await upscale._load()
    assert len(where) == 1
    assert where[0] is not threading.main_thread()
