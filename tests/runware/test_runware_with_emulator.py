"""The client against the emulator: a second reading of the same pages, by somebody else."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from emulator_process import EmulatorProcess

from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityError,
    ClarityInputError,
    ClarityTimeoutError,
)
from airflow_provider_clarity.runware import (
    ClarityClient,
    PollHub,
    UpscaleInputs,
    UpscaleResult,
    UpscaleTask,
    parameters_from_user,
    run_task,
)


def _png(side: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + b"\x20\x80\xe0" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


PICTURE = "data:image/png;base64," + base64.b64encode(_png()).decode()


def task(**more: Any) -> UpscaleTask:
    parameters = parameters_from_user(output_format="PNG", settings={"strength": 0.34, "cfg_scale": 5.5})
    return UpscaleTask(task_uuid=uuid4(), parameters=parameters, inputs=UpscaleInputs(image=PICTURE), **more)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--service-time", "0.05", "--slots", "64") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    running.reset()
    return running


@pytest.fixture
async def client(emulator: EmulatorProcess) -> AsyncIterator[ClarityClient]:
    async with ClarityClient(api_key=emulator.api_key, base_url=emulator.runware_url, timeout=1) as connected:
        yield connected


FASTER = 10


async def run(client: ClarityClient, one: UpscaleTask) -> UpscaleResult:
    """Buy a picture with all waits, and the clock, ten times as fast."""
    return await run_task(
        client,
        one,
        timeout=300,
        clock=lambda: FASTER * time.monotonic(),
        sleep=lambda seconds: asyncio.sleep(seconds / FASTER),
    )


def bought(emulator: EmulatorProcess) -> dict[str, int]:
    return {uuid: purchase["count"] for uuid, purchase in emulator.accounts()["purchases"].items()}


async def test_a_picture_is_bought_fetched_and_twice_as_large(client: ClarityClient, emulator: EmulatorProcess) -> None:
    """The whole way, with every field that the settings have."""
    one = task()
    result = await run(client, one)
    assert result.image_url
    assert result.cost_usd
    picture = await client.fetch_image(result.image_url, max_bytes=1_000_000)
    assert struct.unpack(">II", picture[16:24]) == (16, 16)
    assert bought(emulator) == {str(one.task_uuid): 1}


@pytest.mark.parametrize(("output_type", "field"), [("base64Data", "image_base64_data"), ("dataURI", "image_data_uri")])
async def test_a_picture_may_come_inline(
    output_type: Any, field: str, client: ClarityClient, emulator: EmulatorProcess
) -> None:
    """For the hook: no URL has to be reachable."""
    result = await run(client, task(output_type=output_type))
    assert getattr(result, field)
    assert sum(bought(emulator).values()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "reset_before",
        "reset_after",
        "status_500",
        "status_503",
        "status_503_after",
        "status_429",
        "status_429_retry_after",
        "html",
        "truncated",
        "empty_errors",
        "hang",
        "slow_drip",
    ],
)
@pytest.mark.parametrize("operation", ["submit", "poll"])
async def test_no_fault_buys_twice_or_loses_the_picture(
    operation: str, fault: str, client: ClarityClient, emulator: EmulatorProcess
) -> None:
    """The promise of the package, at its lowest layer."""
    emulator.faults([{"operation": operation, "fault": fault, "times": 1}])
    one = task()
    result = await run(client, one)
    assert result.image_url
    assert bought(emulator) == {str(one.task_uuid): 1}
    assert [planned["fired"] for planned in emulator.faults()] == [1]


@pytest.mark.parametrize(
    "switches",
    [
        {"ack": "empty"},
        {"echo_task_type": "imageUpscale"},
        {"unknown_uuid": "taskNotFound"},
        {"failed_in": "data"},
    ],
    ids=repr,
)
async def test_every_answer_to_an_open_question_is_understood(
    switches: dict[str, Any], client: ClarityClient, emulator: EmulatorProcess
) -> None:
    """What the documents leave open, the service may answer either way tomorrow."""
    emulator.switches(switches)
    one = task()
    assert (await run(client, one)).image_url
    assert bought(emulator) == {str(one.task_uuid): 1}


@pytest.mark.parametrize("failed_in", ["errors", "data"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [("timeoutProvider", ClarityTimeoutError), ("failedToTransferImage", ClarityInputError)],
)
async def test_a_failed_task_raises_its_kind(
    failed_in: str, code: str, kind: type[ClarityError], client: ClarityClient, emulator: EmulatorProcess
) -> None:
    """In errors or in data: both are documented."""
    emulator.switches({"failed_in": failed_in})
    emulator.faults([{"operation": "poll", "fault": f"error:{code}", "times": 1}])
    with pytest.raises(kind):
        await run(client, task())


async def test_a_second_send_of_a_uuid_is_a_conflict(client: ClarityClient, emulator: EmulatorProcess) -> None:
    """The service's own guard against paying twice."""
    one = task()
    statuses = [(await client.submit([one])).outcomes[0].status for _ in range(3)]
    assert statuses == ["accepted", "conflict", "conflict"]
    assert bought(emulator) == {str(one.task_uuid): 1}


async def test_a_wrong_key_buys_nothing(emulator: EmulatorProcess) -> None:
    """And says where the right one belongs."""
    async with ClarityClient(api_key="emulator-wrong", base_url=emulator.runware_url) as client:
        with pytest.raises(ClarityAuthError, match="password"):
            await run(client, task())
        with pytest.raises(ClarityAuthError):
            await client.account()
    assert bought(emulator) == {}


@pytest.mark.parametrize("shape", ["object", "number"])
async def test_the_balance_is_read(shape: str, client: ClarityClient, emulator: EmulatorProcess) -> None:
    """Both shapes are in the documents."""
    emulator.switches({"balance": shape})
    assert isinstance((await client.account()).balance, float)


async def test_the_hub_waits_for_many_with_few_posts(client: ClarityClient, emulator: EmulatorProcess) -> None:
    """Through real sockets, and with none left open."""
    tasks = [task() for _ in range(120)]
    reply = await client.submit(tasks)
    assert {outcome.status for outcome in reply.outcomes} == {"accepted"}

    async def connect() -> ClarityClient:
        return ClarityClient(api_key=emulator.api_key, base_url=emulator.runware_url)

    hub = PollHub.join(connect, base_url=emulator.runware_url, api_key=emulator.api_key)
    begun = time.monotonic()
    results = await asyncio.gather(*(hub.wait([one.task_uuid], timeout=60) for one in tasks))
    assert {state.status for result in results for state in result.settled.values()} == {"success"}
    assert emulator.accounts()["poll_posts"] <= 2 * (2 + time.monotonic() - begun)
    assert sum(bought(emulator).values()) == 120
    assert hub.idle
