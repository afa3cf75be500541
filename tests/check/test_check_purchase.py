"""``--buy-one``: exactly one picture is bought, and what the service did is told."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
from desk import Desk, Ended

BUY = ("--buy-one", "--yes", "--ask-again-after", "0.2")


def service(ended: Ended) -> dict[str, Any]:
    """What the JSON on stdout says of the service."""
    found: dict[str, Any] = json.loads(ended.out)["service"]
    return found


@pytest.mark.parametrize(
    ("via", "content_type"), [("auto", "image/jpeg"), ("resumable_session", None), ("worker", None)]
)
def test_one_picture_is_bought_and_what_was_seen_is_told(desk: Desk, via: str, content_type: str | None) -> None:
    """By every way in and out; the second send is not tried unasked."""
    ended = desk.check(*BUY, "--upload-via", via, "--json")
    assert ended.code == 0, ended
    assert desk.bought == 1
    assert desk.emulator.accounts()["submits"] == 1
    seen = service(ended)
    (uuid,) = desk.emulator.accounts()["purchases"]
    assert seen["task_uuid"] == uuid
    assert seen["content_type"] == content_type
    assert (seen["ratio"], seen["cost_usd"], seen["image_url_there"]) == ([2, 2], 0.0013, True)
    assert (seen["get_response_later"], seen["second_send"]) == ("success", None)
    assert seen["seconds_to_success"] > 0
    assert ended.status("second send") == "skip"
    assert f"One picture was bought for $0.0013: task {uuid}." in ended.err


def test_other_answers_of_the_service_are_told_as_they_are(desk: Desk) -> None:
    """The report is there to learn from: it must show what differs."""
    desk.emulator.switches(
        {
            "image_url_with_upload": False,
            "upload_content_type": "octet",
            "size_multiple": 8,
            "upload_lag_s": 2.5,
        }
    )
    desk.emulator.faults([{"operation": "poll", "fault": "missing_cost"}])
    ended = desk.check(*BUY, "--json")
    assert ended.code == 0, ended
    seen = service(ended)
    assert seen["image_url_there"] is False
    assert seen["content_type"] == "application/octet-stream"
    assert seen["upload_there_at_success"] is False
    assert seen["upload_seconds_after_success"] > 0
    assert seen["cost_from"] == "details"


def test_a_result_that_is_forgotten_at_once_is_found_in_the_archive(desk: Desk) -> None:
    """Else the check would wait for something that can never come, and call a paid picture lost."""
    desk.emulator.switches({"result_retention_s": 0})
    ended = desk.check(*BUY, "--json")
    assert ended.code == 0, ended
    seen = service(ended)
    assert seen["success_in"] == "getTaskDetails"
    assert (seen["get_response_later"], seen["get_task_details_later"]) == ("silent", "success")
    assert desk.bought == 1


@pytest.mark.parametrize(("answer", "bought"), [("conflict", 1), ("accept", 2)])
def test_the_second_send_is_tried_only_on_request(desk: Desk, answer: str, bought: int) -> None:
    """It may be paid: the report says so, and the words at the end do not hide it."""
    desk.emulator.switches({"conflict_after_done": answer})
    ended = desk.check(*BUY, "--probe-duplicate", "--json")
    assert ended.code == 0, ended
    assert desk.bought == bought
    assert service(ended)["second_send"] == ("conflict" if bought == 1 else "accepted")
    assert ("may be billed too" in ended.err) == (bought == 2)


@pytest.mark.parametrize("fault", ["reset_after", "status_503_after", "truncated"])
def test_a_lost_reply_is_not_answered_by_another_send(desk: Desk, fault: str) -> None:
    """The task is found by asking for it."""
    desk.emulator.faults([{"operation": "submit", "fault": fault}])
    ended = desk.check(*BUY, "--json")
    assert ended.code == 0, ended
    assert service(ended)["answer"] == "unknown"
    assert desk.emulator.accounts()["submits"] == desk.bought == 1


def test_silence_ends_without_another_send(desk: Desk) -> None:
    """Nobody can tell whether it was bought, and that is what is said, with the UUID."""
    desk.emulator.faults([{"operation": "submit", "fault": "reset_before"}])
    ended = desk.check(*BUY, "--timeout", "3")
    assert ended.code == 1
    assert ended.status("purchase") == "FAIL"
    assert "It cannot be told whether task" in ended.out
    assert desk.emulator.accounts()["submits"] == 1
    assert desk.bought == 0


def test_a_set_up_that_failed_buys_nothing(desk: Desk) -> None:
    """A picture that could not take its final name would be lost money."""
    desk.emulator.faults([{"operation": "store.rewrite", "fault": "status_403"}])
    ended = desk.check(*BUY)
    assert ended.code == 1
    assert "nothing was paid: 'rewrite' failed" in ended.line("source")
    assert ended.status("purchase") == "skip"
    assert desk.emulator.accounts()["submits"] == 0


def test_a_failed_task_is_a_failure_and_is_not_bought_again(desk: Desk) -> None:
    """What the service said is shown."""
    desk.emulator.faults([{"operation": "poll", "fault": "error:timeoutProvider"}])
    ended = desk.check(*BUY)
    assert ended.code == 1
    assert "timeoutProvider" in ended.line("purchase")
    assert ended.status("picture") == "skip"
    assert desk.bought == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cleans_up_and_says_what_is_paid(desk: Desk, number: int) -> None:
    """Source, upload and all else are deleted; the task that is paid is named."""
    desk.emulator.faults([{"operation": "poll", "fault": "forget", "rate": 1}])
    process = desk.start("--bucket", "gs://print-pictures", *BUY)
    try:
        until = time.monotonic() + 40
        while not (uploads := desk.emulator.accounts()["uploads"]) or not any(u["status"] for u in uploads.values()):
            assert time.monotonic() < until, "nothing was uploaded"
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        while not any(fault["fired"] for fault in desk.emulator.faults()):
            assert time.monotonic() < until, "nothing was asked"
            time.sleep(0.1)
        process.send_signal(number)
        ended = desk.end(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert ended.code == 130, ended
    assert ended.status("clean-up") == "ok"
    (uuid,) = desk.emulator.accounts()["purchases"]
    assert f"task {uuid}" in ended.out.splitlines()[-1]
    assert "stays paid" in ended.out.splitlines()[-1]
