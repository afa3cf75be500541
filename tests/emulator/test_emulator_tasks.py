"""The life of tasks: accepted once, run in slots, found again, billed."""

from __future__ import annotations

import threading
import time
import uuid

import httpx
import pytest
from emulator_api import Api, task, until
from emulator_process import EmulatorProcess
from emulator_receiver import Receiver


def test_an_asynchronous_task_is_acknowledged_runs_and_succeeds(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, held: str
) -> None:
    """The way of every purchase of this project, from the acknowledgement to the bill."""
    wanted = task(held)
    reply = api.post([wanted])
    assert reply.json() == {"data": [{"taskType": "upscale", "taskUUID": wanted["taskUUID"]}]}
    assert api.look(wanted["taskUUID"])["data"][0]["status"] == "processing"
    receiver.release()
    item = api.wait(wanted["taskUUID"])
    assert (item["status"], item["taskType"], item["cost"]) == ("success", "upscale", 0.0013)
    assert uuid.UUID(item["imageUUID"]).version == uuid.UUID(item["inputImageUUID"]).version == 4
    assert api.look(wanted["taskUUID"])["data"] == [item]
    accounts = emulator.accounts()
    assert accounts["purchases"] == {
        wanted["taskUUID"]: {"count": 1, "cost": 0.0013, "source": held, "status": "success"}
    }
    assert (accounts["submits"], accounts["billed_usd"], accounts["conflicts"]) == (1, 0.0013, 0)
    assert accounts["polls"] == accounts["poll_posts"] == accounts["posts"] - 1
    assert accounts["slot_seconds"] >= 0.05


def test_the_accounts_have_exactly_their_documented_keys(emulator: EmulatorProcess) -> None:
    """Other tests rest on them."""
    assert set(emulator.accounts()) == {
        "posts",
        "poll_posts",
        "submits",
        "polls",
        "conflicts",
        "status_429",
        "slot_seconds",
        "purchases",
        "billed_usd",
        "uploads",
    }


def test_a_synchronous_task_is_answered_with_its_result(api: Api) -> None:
    """Without a status, as captured; and the cost only where it was asked for."""
    wanted = task(deliveryMethod=None, includeCost=None)
    item = api.post([wanted]).json()["data"][0]
    assert item["taskUUID"] == wanted["taskUUID"]
    assert item["imageURL"].startswith("http://127.0.0.1:")
    assert "status" not in item
    assert "cost" not in item


def test_a_synchronous_task_that_fails_is_an_error_of_the_reply(api: Api) -> None:
    """The one case in which a task's failure is an HTTP status."""
    reply = api.post([task("bm90IGEgcGljdHVyZQ==", deliveryMethod="sync")])
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, "failedToTransferImage")


@pytest.mark.parametrize("rule", ["result", "empty"])
def test_a_synchronous_task_is_found_again_or_not(api: Api, emulator: EmulatorProcess, rule: str) -> None:
    """Two sources contradict each other on it."""
    emulator.switches({"poll_after_sync": rule})
    wanted = task(deliveryMethod="sync")
    api.post([wanted])
    assert len(api.look(wanted["taskUUID"])["data"]) == (1 if rule == "result" else 0)


def test_one_post_asks_for_many_and_counts_each(api: Api, emulator: EmulatorProcess) -> None:
    """Arrays of looks are how this project polls; a look at a stranger takes nothing away from the others."""
    tasks = [task() for _ in range(5)]
    assert len(api.post(tasks).json()["data"]) == 5
    stranger = str(uuid.uuid4())
    looked = api.look(*(one["taskUUID"] for one in tasks), stranger)
    assert [item["taskUUID"] for item in looked["data"]] == [one["taskUUID"] for one in tasks]
    accounts = emulator.accounts()
    assert (accounts["posts"], accounts["poll_posts"], accounts["polls"], accounts["submits"]) == (2, 1, 6, 5)


def test_a_uuid_in_flight_is_refused_and_not_bought_again(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, held: str
) -> None:
    """Whatever is true of finished tasks: neither case nor other parameters make it another purchase."""
    emulator.switches({"conflict_after_done": "accept"})
    wanted = task(held)
    api.post([wanted])
    for again in (wanted, wanted | {"taskUUID": wanted["taskUUID"].upper()}, wanted | {"outputFormat": "PNG"}):
        reply = api.post([again])
        error = reply.json()["errors"][0]
        assert (reply.status_code, error["code"], error["parameter"]) == (400, "conflictTaskUUID", "taskUUID")
        assert error["taskUUID"] == again["taskUUID"]
    receiver.release()
    api.wait(wanted["taskUUID"])
    accounts = emulator.accounts()
    assert (accounts["conflicts"], accounts["billed_usd"]) == (3, 0.0013)
    assert accounts["purchases"][wanted["taskUUID"]]["count"] == 1


def test_a_uuid_twice_in_one_array_is_bought_once(api: Api, emulator: EmulatorProcess) -> None:
    """The second of the two conflicts."""
    wanted = task()
    reply = api.post([wanted, wanted]).json()
    assert (len(reply["data"]), [error["code"] for error in reply["errors"]]) == (1, ["conflictTaskUUID"])
    assert emulator.accounts()["purchases"][wanted["taskUUID"]]["count"] == 1


@pytest.mark.parametrize("rule", ["conflict", "accept", 1.0])
def test_a_uuid_that_is_done_conflicts_for_ever_never_or_for_a_while(
    api: Api, emulator: EmulatorProcess, rule: str | float
) -> None:
    """The great unknown of the service; with ``accept`` the accounts show that it was paid twice."""
    emulator.switches({"conflict_after_done": rule})
    wanted = task()
    api.post([wanted])
    api.wait(wanted["taskUUID"])
    assert api.post([wanted]).status_code == (200 if rule == "accept" else 400)
    if rule == 1.0:
        time.sleep(1.0)
        assert api.post([wanted]).status_code == 200
    api.wait(wanted["taskUUID"])
    twice = rule != "conflict"
    bought = emulator.accounts()["purchases"][wanted["taskUUID"]]
    assert bought["count"] == (2 if twice else 1)
    assert bought["cost"] == pytest.approx(0.0026 if twice else 0.0013)


@pytest.mark.parametrize(("rule", "errors"), [("empty", 0), ("taskNotFound", 1)])
def test_an_unknown_uuid_is_silence_or_an_error(api: Api, emulator: EmulatorProcess, rule: str, errors: int) -> None:
    """Seen in the field is silence; the code for the other is known to exist."""
    emulator.switches({"unknown_uuid": rule})
    for kind in ("getResponse", "getTaskDetails"):
        reply = api.look(str(uuid.uuid4()), kind=kind)
        assert reply["data"] == []
        assert [error["code"] for error in reply.get("errors", [])] == ["taskNotFound"] * errors


@pytest.mark.parametrize("switch", ["result_retention_s", "details_retention_s"])
def test_results_are_forgotten_after_a_while(api: Api, emulator: EmulatorProcess, switch: str) -> None:
    """How long the service remembers is not documented; polling and the archive forget each on its own."""
    asked, other = "getResponse", "getTaskDetails"
    if switch == "details_retention_s":
        asked, other = other, asked
    wanted = task()
    api.post([wanted])
    api.wait(wanted["taskUUID"])
    assert len(api.look(wanted["taskUUID"], kind=asked)["data"]) == 1
    emulator.switches({switch: 0})
    assert api.look(wanted["taskUUID"], kind=asked) == {"data": []}
    assert len(api.look(wanted["taskUUID"], kind=other)["data"]) == 1
    assert api.post([wanted]).status_code == 400


def test_a_running_task_is_never_forgotten_by_age(api: Api, emulator: EmulatorProcess, held: str) -> None:
    """Retention counts from the end."""
    emulator.switches({"result_retention_s": 0})
    wanted = task(held)
    api.post([wanted])
    assert api.look(wanted["taskUUID"])["data"][0]["status"] == "processing"


def test_the_archive_holds_request_and_result(api: Api, receiver: Receiver, held: str) -> None:
    """The recovery path: the request as it came, the result in the form of polling."""
    wanted = task(held)
    api.post([wanted])
    running = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
    assert running["response"] == {"data": [{"taskType": "upscale", "taskUUID": wanted["taskUUID"]}]}
    receiver.release()
    item = api.wait(wanted["taskUUID"])
    details = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
    assert (details["taskType"], details["taskUUID"]) == ("getTaskDetails", wanted["taskUUID"])
    assert details["response"] == {"data": [item]}
    assert details["request"] == [wanted]


def test_the_archive_keeps_no_inline_picture(api: Api) -> None:
    """Ten thousand of them would fill the memory; their kind stands in their place."""
    for inline, kind in ((None, "data:image/png"), ("bm90IGEgcGljdHVyZQ==", "base64")):
        wanted = task(inline)
        api.post([wanted])
        details = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
        assert details["request"] == [wanted | {"inputs": {"image": kind}}]


def test_the_archive_shows_a_recorded_conflict_instead_of_the_result(api: Api) -> None:
    """The trap of the real archive: the last response of that UUID is the refusal, while polling knows better."""
    wanted = task()
    api.post([wanted])
    api.post([wanted])
    assert api.wait(wanted["taskUUID"])["status"] == "success"
    details = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]
    assert [error["code"] for error in details["response"]["errors"]] == ["conflictTaskUUID"]


@pytest.mark.parametrize("place", ["errors", "data"])
def test_a_failed_task_lies_in_errors_or_in_data(api: Api, emulator: EmulatorProcess, place: str) -> None:
    """Both forms are described; the status of the reply is 200 in both."""
    emulator.switches({"failed_in": place})
    wanted = task("bm90IGEgcGljdHVyZQ==")
    api.post([wanted])
    api.wait(wanted["taskUUID"])
    reply = api.post([{"taskType": "getResponse", "taskUUID": wanted["taskUUID"]}])
    assert reply.status_code == 200
    item = reply.json()[place][0]
    assert (item["status"], item["taskUUID"]) == ("error", wanted["taskUUID"])
    assert (item if place == "errors" else item["error"])["code"] == "failedToTransferImage"
    archived = api.look(wanted["taskUUID"], kind="getTaskDetails")["data"][0]["response"]["errors"][0]
    assert archived["code"] == "failedToTransferImage"


@pytest.mark.parametrize(("form", "items"), [("item", 1), ("empty", 0)])
def test_an_acknowledgement_names_the_task_or_nothing(
    api: Api, emulator: EmulatorProcess, form: str, items: int
) -> None:
    """A reply of no items may be an acknowledgement: the task was accepted in both cases."""
    emulator.switches({"ack": form})
    wanted = task()
    reply = api.post([wanted])
    assert (reply.status_code, len(reply.json()["data"])) == (200, items)
    assert api.wait(wanted["taskUUID"])["status"] == "success"


@pytest.mark.parametrize(("rule", "echoed"), [("same", "upscale"), ("imageUpscale", "imageUpscale")])
def test_the_echoed_type_is_the_sent_or_the_legacy_one(
    api: Api, emulator: EmulatorProcess, rule: str, echoed: str
) -> None:
    """The examples of the model page answer another name than was sent."""
    emulator.switches({"echo_task_type": rule})
    wanted = task()
    assert api.post([wanted]).json()["data"][0]["taskType"] == echoed
    assert api.wait(wanted["taskUUID"])["taskType"] == echoed


def test_the_legacy_type_and_its_input_are_taken(api: Api) -> None:
    """What the older official clients still send."""
    modern = task()
    legacy = modern | {"taskType": "imageUpscale", "inputImage": modern["inputs"]["image"]}
    del legacy["inputs"]
    assert api.post([legacy]).status_code == 200
    item = api.wait(legacy["taskUUID"])
    assert (item["status"], item["taskType"]) == ("success", "imageUpscale")


@pytest.mark.parametrize("billed", [False, True])
def test_a_failed_task_is_billed_or_not(api: Api, emulator: EmulatorProcess, billed: bool) -> None:  # noqa: FBT001
    """Whether the service charges for a failure is unknown; where it does, the error says how much."""
    emulator.switches({"bill_failed": billed})
    item = api.buy(inputs={"image": "bm90IGEgcGljdHVyZQ=="})
    assert item["status"] == "error"
    assert item.get("cost") == (0.0013 if billed else None)
    accounts = emulator.accounts()
    assert accounts["billed_usd"] == (0.0013 if billed else 0)
    assert [purchase["status"] for purchase in accounts["purchases"].values()] == ["error"]


def test_the_price_is_that_of_the_moment_of_acceptance(api: Api, emulator: EmulatorProcess) -> None:
    """A change in mid-run touches what comes after it only."""
    first, second = task(), task()
    api.post([first])
    emulator.switches({"price": 0.25})
    api.post([second])
    assert api.wait(first["taskUUID"])["cost"] == 0.0013
    assert api.wait(second["taskUUID"])["cost"] == 0.25
    assert emulator.accounts()["billed_usd"] == 0.2513


def test_the_key_can_change_in_mid_run_to_another_made_up_one(api: Api, emulator: EmulatorProcess) -> None:
    """A key that was revoked: the old one is refused, the new one taken, and a real key is not."""
    old = emulator.api_key
    emulator.switches({"api_key": "emulator-new"})
    assert api.post([task()], key=old).status_code == 401
    assert api.post([task()], key="emulator-new").status_code == 200
    with pytest.raises(Exception, match="400"):
        emulator.switches({"api_key": "a-real-one"})
    emulator.reset()
    assert api.post([task()]).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"nothing": 1}, {"slots": 0}, {"ack": "maybe"}, {"bill_failed": 1}, {"upload_lag_s": -1}, {"price": None}]
)
def test_a_switch_that_cannot_be_is_refused_and_none_is_set(
    emulator: EmulatorProcess, api: Api, wrong: dict[str, object]
) -> None:
    """A mistyped switch in a test must fail the test, not pass it."""
    base = emulator.runware_url.removesuffix("/v1")
    before = emulator.switches()
    reply = api.http.post(f"{base}/_emulator/switches", json={"size_multiple": 8} | wrong)
    assert reply.status_code == 400
    assert next(iter(wrong)) in reply.json()["error"]
    assert emulator.switches() == before


def test_reset_forgets_everything(api: Api, emulator: EmulatorProcess, held: str) -> None:
    """Tests share one process; what one leaves must not reach the next. A waiting submit is let go."""
    emulator.switches({"slots": 1, "bill_failed": True})
    emulator.faults([{"operation": "poll", "fault": "forget"}])
    wanted = [task(held) for _ in range(20)]
    api.post(wanted)
    replies: list[httpx.Response] = []

    def ask() -> None:
        with Api(emulator) as other:
            replies.append(other.post([task(held, deliveryMethod="sync")]))

    waiting = threading.Thread(target=ask)
    waiting.start()
    until(lambda: len(emulator.accounts()["purchases"]) == 21)
    emulator.reset()
    waiting.join(5)
    assert replies[0].json()["errors"][0]["code"] == "taskCancelled"
    assert emulator.accounts()["purchases"] == {}
    assert (emulator.faults(), emulator.switches()["slots"], emulator.switches()["bill_failed"]) == ([], 16, False)
    assert api.look(wanted[0]["taskUUID"]) == {"data": []}
