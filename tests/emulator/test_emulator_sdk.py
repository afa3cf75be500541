"""The official SDK, unchanged, over both of its transports: an independent reader of what the emulator answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emulator_api import Api, opened, task
from emulator_process import EmulatorProcess
from runware import Runware, RunwareError
from websockets.sync.client import connect


def _client(emulator: EmulatorProcess, transport: str, **more: Any) -> Runware:
    urls = {"http_base_url": emulator.runware_url, "ws_base_url": emulator.runware_url.replace("http", "ws", 1)}
    return Runware(api_key=emulator.api_key, transport=transport, **urls, **more)


def _wanted(**changes: Any) -> dict[str, Any]:
    return task(deliveryMethod=None, taskUUID=None, **changes)


@pytest.mark.parametrize("transport", ["rest", "websocket"])
@pytest.mark.parametrize("delivery", ["async", "sync"])
async def test_the_sdk_gets_its_picture(api: Api, emulator: EmulatorProcess, transport: str, delivery: str) -> None:
    """Submit, polling and result as the vendor's own client reads them."""
    async with _client(emulator, transport) as client:
        (result,) = await client.run(_wanted() | {"deliveryMethod": delivery})
    assert result["cost"] == 0.0013
    assert opened(api.http.get(result["imageURL"]).content).size == (48, 32)
    assert emulator.accounts()["purchases"][result["taskUUID"]]["count"] == 1


@pytest.mark.parametrize("transport", ["rest", "websocket"])
async def test_the_sdk_understands_a_refusal(emulator: EmulatorProcess, transport: str) -> None:
    """Code, parameter and task UUID arrive where the SDK looks for them."""
    async with _client(emulator, transport) as client:
        with pytest.raises(RunwareError) as caught:
            await client.run(_wanted(outputFormat="TIFF"))
    assert (caught.value.code, caught.value.parameter) == ("validation", "outputFormat")


async def test_the_sdk_understands_a_failed_task_and_a_wrong_key(emulator: EmulatorProcess) -> None:
    """A failure in the poll, and 401."""
    emulator.faults([{"operation": "poll", "fault": "error:sensitiveContentDetected"}])
    async with _client(emulator, "rest") as client:
        with pytest.raises(RunwareError) as caught:
            await client.run(_wanted())
        assert caught.value.code == "safety"
        emulator.switches({"api_key": "emulator-another"})
        with pytest.raises(RunwareError) as caught:
            await client.account_management({"operation": "getDetails"})
        assert caught.value.code == "auth"


async def test_the_sdk_reads_the_account_the_archive_and_a_result(emulator: EmulatorProcess) -> None:
    """The utilities around an upscale."""
    async with _client(emulator, "rest") as client:
        (result,) = await client.run(_wanted())
        (account,) = await client.account_management({"operation": "getDetails"})
        again = await client.get_response({"taskUUID": result["taskUUID"]})
        details = await client.get_task_details({"taskUUID": result["taskUUID"]})
    assert account["balance"]["amount"] == pytest.approx(99.9987)
    assert result["imageURL"] in json.dumps(again)
    assert result["imageURL"] in json.dumps(details)


async def test_the_sdk_loses_a_paid_task_after_a_lost_reply_as_it_does_in_the_field(emulator: EmulatorProcess) -> None:
    """The known failure this project exists for can be shown: its retry meets the conflict and gives up."""
    emulator.faults([{"operation": "submit", "fault": "reset_after"}])
    async with _client(emulator, "rest", retry_delay=10) as client:
        with pytest.raises(RunwareError) as caught:
            await client.run(_wanted())
    assert caught.value.code == "validation"
    assert [one["count"] for one in emulator.accounts()["purchases"].values()] == [1]


def test_a_websocket_answers_nothing_before_the_key(emulator: EmulatorProcess) -> None:
    """A task sent too early, or after a wrong key, buys nothing; a ping does not wait for a picture."""
    with connect(emulator.runware_url.replace("http", "ws", 1), proxy=None) as socket:

        def ask(*tasks: dict[str, Any]) -> dict[str, Any]:
            socket.send(json.dumps(tasks))
            answer: dict[str, Any] = json.loads(socket.recv(timeout=10))
            return answer

        assert ask(task())["errors"][0]["code"] == "invalidApiKey"
        assert ask({"taskType": "authentication", "apiKey": "emulator-wrong"}, task())["errors"]
        assert emulator.accounts()["purchases"] == {}
        assert ask({"taskType": "authentication", "apiKey": emulator.api_key})["data"][0]["connectionSessionUUID"]
        socket.send(json.dumps([task(deliveryMethod="sync")]))
        assert ask({"taskType": "ping", "ping": True})["data"] == [{"taskType": "ping", "pong": True}]
        assert json.loads(socket.recv(timeout=10))["data"][0]["imageURL"]
