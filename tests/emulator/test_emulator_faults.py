"""Faults: each is asked for by name, does what it says, and is counted."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from emulator_api import Api, opened, task, until
from emulator_process import EmulatorProcess
from emulator_receiver import Receiver

from airflow_provider_clarity.emulator.faults import FaultError, Faults

BEFORE = ["status_429", "status_429_retry_after", "status_500", "status_503", "reset_before", "hang_before", "html"]
AFTER = ["reset_after", "status_503_after", "hang", "truncated", "slow_drip", "empty_errors"]
STATUS = {
    "status_429": 429,
    "status_429_retry_after": 429,
    "status_500": 500,
    "status_503": 503,
    "status_503_after": 503,
    "html": 200,
    "slow_drip": 200,
    "empty_errors": 200,
}


def _one(api: Api, operation: str, fault: str, **more: Any) -> None:
    api.emulator.faults([{"operation": operation, "fault": fault, **more}])


def _fired(api: Api) -> list[int]:
    return [fault["fired"] for fault in api.emulator.faults()]


def _check(fault: str, reply: httpx.Response) -> None:
    """Check what is particular to the reply of this fault."""
    assert reply.status_code == STATUS[fault]
    if fault == "html":
        assert reply.headers["content-type"].startswith("text/html")
        assert b"<html>" in reply.content
    elif fault == "empty_errors":
        assert reply.json()["errors"] == []
        assert len(reply.json()["data"]) == 1
    elif fault == "slow_drip":
        assert len(reply.json()["data"]) == 1
    else:
        assert reply.json()["data"] == []
        assert len(reply.json()["errors"]) == 1
    assert reply.headers.get("retry-after") == ("3" if fault == "status_429_retry_after" else None)


def _provoke(api: Api, operation: str, fault: str, tasks: list[dict[str, Any]]) -> None:
    value = {"status_429_retry_after": 3, "slow_drip": 0.01, "hang": 0.05, "hang_before": 0.05}.get(fault)
    _one(api, operation, fault, **({} if value is None else {"value": value}))
    started = time.monotonic()
    if fault in STATUS:
        _check(fault, api.post(tasks))
    else:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed" if fault == "truncated" else "disconnected"):
            api.post(tasks)
    assert time.monotonic() - started >= {"slow_drip": 0.2, "hang": 0.05, "hang_before": 0.05}.get(fault, 0)
    assert _fired(api) == [1]


@pytest.mark.parametrize("fault", BEFORE)
def test_a_submit_fault_before_acceptance_buys_nothing(api: Api, emulator: EmulatorProcess, fault: str) -> None:
    """The same UUID can be sent again and is bought once; the fault was counted, and fired once only."""
    wanted = task()
    _provoke(api, "submit", fault, [wanted])
    accounts = emulator.accounts()
    assert (accounts["purchases"], accounts["submits"]) == ({}, 1)
    assert accounts["status_429"] == (1 if "429" in fault else 0)
    assert api.post([wanted]).status_code == 200
    assert _fired(api) == [1]


@pytest.mark.parametrize("fault", AFTER)
def test_a_submit_fault_after_acceptance_has_bought(api: Api, emulator: EmulatorProcess, fault: str) -> None:
    """The lost reply: the task runs, and sending it again is a conflict, not a second purchase."""
    wanted = task()
    _provoke(api, "submit", fault, [wanted])
    assert emulator.accounts()["purchases"][wanted["taskUUID"]]["count"] == 1
    assert api.post([wanted]).json()["errors"][0]["code"] == "conflictTaskUUID"
    assert api.wait(wanted["taskUUID"])["status"] == "success"
    assert emulator.accounts()["billed_usd"] == 0.0013


@pytest.mark.parametrize("fault", BEFORE + AFTER)
def test_a_poll_fault_changes_no_task(api: Api, fault: str) -> None:
    """A look that failed is no news: the next one tells all."""
    wanted = task()
    api.post([wanted])
    _provoke(api, "poll", fault, [{"taskType": "getResponse", "taskUUID": wanted["taskUUID"]}])
    assert api.wait(wanted["taskUUID"])["status"] == "success"


@pytest.mark.parametrize("fault", ["status_503", "reset_before", "hang"])
def test_the_account_can_be_out_of_reach(api: Api, fault: str) -> None:
    """For the test button of a connection."""
    _provoke(api, "account", fault, [{"taskType": "ping"}])
    assert api.post([{"taskType": "ping"}]).status_code == 200


@pytest.mark.parametrize("named", [True, False])
def test_a_429_names_the_refused_tasks_or_none(api: Api, emulator: EmulatorProcess, named: bool) -> None:  # noqa: FBT001
    """Unknown of the service; a poll's 429 never names one, since that would read as the end of the task."""
    emulator.switches({"named_429": named})
    _one(api, "submit", "status_429")
    _one(api, "poll", "status_429")
    tasks = [task(), task()]
    errors = api.post(tasks).json()["errors"]
    assert [error.get("taskUUID") for error in errors] == ([one["taskUUID"] for one in tasks] if named else [None])
    assert [error.get("taskUUID") for error in api.look(tasks[0]["taskUUID"])["errors"]] == [None]


def test_a_match_in_an_array_spoils_the_whole_reply(api: Api, emulator: EmulatorProcess) -> None:
    """One named task is enough; an array without it is answered."""
    first, second, third = task(), task(), task()
    _one(api, "submit", "reset_after", match=second["taskUUID"])
    assert api.post([third]).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        api.post([first, second])
    assert set(emulator.accounts()["purchases"]) == {one["taskUUID"] for one in (first, second, third)}


def test_a_match_is_part_of_the_source_too(api: Api) -> None:
    """A test knows its pictures by name; on a poll the task is known by what it was submitted with."""
    bad, good = task("http://127.0.0.1:9/bad.png?secret=1"), task("http://127.0.0.1:9/good.png")
    _one(api, "submit", "error:insufficientCredits", match="bad.png")
    _one(api, "poll", "forget", match="good.png")
    reply = api.post([bad, good])
    assert [error["taskUUID"] for error in reply.json()["errors"]] == [bad["taskUUID"]]
    assert api.look(good["taskUUID"]) == {"data": []}
    assert _fired(api) == [1, 1]


@pytest.mark.parametrize(
    ("code", "status"), [("insufficientCredits", 402), ("rateLimitExceeded", 429), ("sensitiveContentDetected", 400)]
)
def test_a_submit_is_refused_with_any_code(api: Api, emulator: EmulatorProcess, code: str, status: int) -> None:
    """The named task is not accepted; its neighbour is; alone, the reply has the status of the code."""
    wanted, neighbour = task(), task()
    _one(api, "submit", f"error:{code}", match=wanted["taskUUID"], times=2)
    reply = api.post([wanted, neighbour]).json()
    assert [(error["code"], error["taskUUID"]) for error in reply["errors"]] == [(code, wanted["taskUUID"])]
    assert api.post([wanted]).status_code == status
    assert set(emulator.accounts()["purchases"]) == {neighbour["taskUUID"]}
    assert api.post([wanted]).status_code == 200


def test_a_task_ends_with_any_code_for_ever(api: Api, emulator: EmulatorProcess, receiver: Receiver, held: str) -> None:
    """Running or done, it is failed from then on, in the archive too, and costs nothing."""
    for source in (held, None):
        wanted = task(source)
        api.post([wanted])
        if source is None:
            assert api.wait(wanted["taskUUID"])["status"] == "success"
        _one(api, "poll", "error:timeoutProvider", match=wanted["taskUUID"])
        for _ in range(2):
            error = api.look(wanted["taskUUID"])["errors"][0]
            assert (error["code"], error["status"]) == ("timeoutProvider", "error")
        archived = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]["response"]
        assert archived["errors"][0]["code"] == "timeoutProvider"
        receiver.release()
        until(lambda: emulator.accounts()["slot_seconds"] > 0)  # the end of its run must not bring it back
        assert api.look(wanted["taskUUID"])["errors"][0]["code"] == "timeoutProvider"
    assert emulator.accounts()["billed_usd"] == 0
    assert _fired(api) == [1, 1]


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_task_that_is_made_to_fail_uploads_nothing(
    api: Api,
    emulator: EmulatorProcess,
    receiver: Receiver,
    held: str,
    looked_at: bool,  # noqa: FBT001
) -> None:
    """The fault is drawn at a look, or, if nobody looks while it runs, before the upload."""
    _one(api, "poll", "error:providerError")
    wanted = task(held, uploadEndpoint=f"{receiver.url}/never")
    api.post([wanted])
    if looked_at:
        assert api.look(wanted["taskUUID"])["errors"][0]["code"] == "providerError"
    receiver.release()
    until(lambda: emulator.accounts()["slot_seconds"] > 0)
    assert api.wait(wanted["taskUUID"])["code"] == "providerError"
    assert api.buy(uploadEndpoint=f"{receiver.url}/another")["status"] == "success"
    until(lambda: receiver.of("PUT"))
    assert [put.path for put in receiver.of("PUT")] == ["/another"]
    assert _fired(api) == [1]


def test_a_share_of_the_tasks_fails_whoever_looks_how_often(api: Api, emulator: EmulatorProcess) -> None:
    """``work`` is drawn once a task, when its work is done: looks before and after it draw nothing."""
    emulator.faults([{"operation": "work", "fault": "error:providerError", "rate": 0.5}])
    tasks = [task() for _ in range(40)]
    api.post(tasks)
    ended = [api.wait(one["taskUUID"]) for one in tasks]
    for one in tasks:
        api.look(one["taskUUID"])
    failed = sum(one.get("code") == "providerError" for one in ended)
    statuses = [purchase["status"] for purchase in emulator.accounts()["purchases"].values()]
    assert 5 < failed < 35
    assert _fired(api) == [failed]
    assert statuses.count("error") == failed
    assert emulator.accounts()["uploads"] == {}


def test_forget_is_silence_for_so_many_looks(api: Api) -> None:
    """Polling and the archive answer nothing, as about a stranger; each look counts."""
    wanted, neighbour = task(), task()
    api.post([wanted, neighbour])
    _one(api, "poll", "forget", times=2, match=wanted["taskUUID"])
    looked = api.look(wanted["taskUUID"], neighbour["taskUUID"])
    assert [item["taskUUID"] for item in looked["data"]] == [neighbour["taskUUID"]]
    assert api.look(wanted["taskUUID"], kind="getTaskDetails") == {"data": []}
    assert len(api.look(wanted["taskUUID"])["data"]) == 1
    assert _fired(api) == [2]


def test_flap_shows_a_finished_task_as_running_again(api: Api) -> None:
    """It fires on finished tasks only, and the next look has the result again."""
    wanted = task()
    api.post([wanted])
    _one(api, "poll", "flap")
    assert api.wait(wanted["taskUUID"])["status"] == "success"
    looks = [api.look(wanted["taskUUID"])["data"][0]["status"] for _ in range(2)]
    assert looks == ["success", "success"]
    assert _fired(api) == [1]


def test_duplicate_gives_the_same_task_more_than_once(api: Api, receiver: Receiver, held: str) -> None:
    """A running one twice; a finished one as in the documented example, a stale item before it."""
    wanted = task(held)
    api.post([wanted])
    _one(api, "poll", "duplicate")
    assert [item["status"] for item in api.look(wanted["taskUUID"])["data"]] == ["processing"] * 2
    receiver.release()
    api.wait(wanted["taskUUID"])
    _one(api, "poll", "duplicate")
    doubled = api.look(wanted["taskUUID"])["data"]
    assert [item["status"] for item in doubled] == ["processing", "success", "success"]
    assert doubled[1] == doubled[2]


def test_missing_cost_leaves_the_cost_out_of_one_look(api: Api) -> None:
    """The archive still knows it, unless the fault comes twice."""
    wanted = task()
    api.post([wanted])
    _one(api, "poll", "missing_cost")
    assert "cost" not in api.wait(wanted["taskUUID"])
    details = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
    assert details["response"]["data"][0]["cost"] == 0.0013
    _one(api, "poll", "missing_cost")
    details = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
    assert "cost" not in details["response"]["data"][0]


@pytest.mark.parametrize("fault", ["status_404", "html", "slow_drip"])
def test_an_image_url_fails_once_and_then_gives_the_picture(api: Api, fault: str) -> None:
    """Fetching a result is its own risk; the picture itself is not harmed."""
    url = api.buy()["imageURL"]
    _one(api, "image", fault, value=0.01)
    started = time.monotonic()
    reply = api.http.get(url)
    assert reply.status_code == (404 if fault == "status_404" else 200)
    if fault == "html":
        assert reply.headers["content-type"].startswith("text/html")
    if fault == "slow_drip":
        assert time.monotonic() - started >= 0.2
        assert opened(reply.content).size == (48, 32)
    assert _fired(api) == [1]
    assert opened(api.http.get(url).content).size == (48, 32)


def test_image_faults_match_the_task(api: Api) -> None:
    """Two results: only the named one's URL fails."""
    first, second = task(), task()
    api.post([first, second])
    _one(api, "image", "status_404", match=second["taskUUID"])
    urls = [api.wait(one["taskUUID"])["imageURL"] for one in (first, second)]
    assert [api.http.get(url).status_code for url in urls] == [200, 404]


def test_both_servers_share_one_registry(api: Api, emulator: EmulatorProcess) -> None:
    """A test posts a fault to whichever it has at hand."""
    posted = [{"operation": "store.insert", "fault": "status_503", "times": 2}]
    api.http.post(f"{emulator.storage_url}/_emulator/faults", json=posted)
    assert emulator.faults() == [posted[0] | {"fired": 0}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "buy", "fault": "hang"},
        {"operation": "submit", "fault": "forget"},
        {"operation": "submit", "fault": "error"},
        {"operation": "submit", "fault": "hang:now"},
        {"operation": "submit", "fault": "hang", "times": 0},
        {"operation": "submit", "fault": "hang", "rate": 2},
        {"operation": "submit", "fault": "hang", "rate": 0.5, "times": 1},
        {"operation": "submit", "fault": "hang", "match": ""},
        {"operation": "submit", "fault": "hang", "seconds": 0},
        {"operation": "submit", "fault": "hang", "seconds": 1, "times": 1},
        {"operation": "submit", "fault": "hang", "seconds": 1, "rate": 0.5},
        {"operation": "submit", "fault": "hang", "value": -1},
        {"operation": "submit", "fault": "hang", "matches": "a"},
        {"fault": "hang"},
    ],
)
def test_a_fault_that_could_never_fire_is_refused(api: Api, emulator: EmulatorProcess, wrong: dict[str, Any]) -> None:
    """And the whole request with it: a mistyped fault must fail its test."""
    base = emulator.runware_url.removesuffix("/v1")
    reply = api.http.post(f"{base}/_emulator/faults", json=[{"operation": "poll", "fault": "flap"}, wrong])
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert emulator.faults() == []
    with pytest.raises(FaultError):
        Faults().register(wrong)


def test_faults_fire_in_the_order_of_their_registration_and_not_too_often() -> None:
    """Two faults for the same moment take turns; what is used up is passed over."""
    faults = Faults()
    for fault, times in (("status_500", 2), ("hang", 1)):
        faults.register({"operation": "poll", "fault": fault, "times": times})
    candidates = {"status_500", "hang"}
    taken = [faults.take("poll", candidates=candidates, subject="") for _ in range(4)]
    assert [fault and fault.name for fault in taken] == ["status_500", "status_500", "hang", None]
    assert faults.take("submit", candidates=candidates, subject="") is None


def test_a_rate_is_seeded() -> None:
    """The same seed gives the same faults, near the asked share; a clear starts the draws anew."""

    def draws(faults: Faults) -> list[bool]:
        faults.register({"operation": "poll", "fault": "hang", "rate": 0.3})
        return [faults.take("poll", candidates={"hang"}, subject="") is not None for _ in range(1000)]

    faults = Faults(seed=1)
    first = draws(faults)
    assert faults.describe()[0]["fired"] == sum(first)
    faults.clear()
    assert draws(faults) == first == draws(Faults(seed=1))
    assert draws(Faults(seed=2)) != first
    assert 250 < sum(first) < 350


def test_a_fault_for_some_seconds_fires_each_time_until_then() -> None:
    """An outage has an end, however often it is met."""
    now = [100.0]
    faults = Faults(monotonic=lambda: now[0])
    faults.register({"operation": "poll", "fault": "status_503", "seconds": 60})

    def takes() -> bool:
        return faults.take("poll", candidates={"status_503"}, subject="") is not None

    now[0] = 1000.0  # nobody came by before
    assert [takes() for _ in range(5)] == [True] * 5
    now[0] = 1059.9
    assert takes()
    now[0] = 1060.0
    assert not takes()
    assert faults.describe() == [{"operation": "poll", "fault": "status_503", "fired": 6, "seconds": 60}]
