"""The envelope: keys, bodies, statuses, arrays."""

from __future__ import annotations

import uuid

import httpx
import pytest
from emulator_api import Api, task
from emulator_process import EmulatorProcess


def _ping() -> dict[str, object]:
    return {"taskType": "ping", "taskUUID": str(uuid.uuid4())}


def test_another_key_is_refused_and_nothing_is_accepted(api: Api, emulator: EmulatorProcess) -> None:
    """401 invalidApiKey in the documented form; a purchase under a wrong key would be a purchase for nobody."""
    reply = api.post([task()], key="emulator-other")
    assert reply.status_code == 401
    assert reply.json()["errors"][0]["code"] == "invalidApiKey"
    assert reply.json()["errors"][0]["taskType"] == "authentication"
    accounts = emulator.accounts()
    assert (accounts["posts"], accounts["purchases"]) == (1, {})


def test_no_key_at_all_is_refused(api: Api, emulator: EmulatorProcess) -> None:
    """A client that forgets the header must hear of it."""
    reply = api.http.post(emulator.runware_url, json=[_ping()])
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (401, "missingApiKey")


def test_the_key_may_come_as_the_first_element(api: Api, emulator: EmulatorProcess) -> None:
    """The second documented way to authenticate."""
    first = {"taskType": "authentication", "apiKey": emulator.api_key}
    reply = api.http.post(emulator.runware_url, json=[first, _ping()])
    assert reply.status_code == 200
    assert [item["taskType"] for item in reply.json()["data"]] == ["authentication", "ping"]
    wrong = api.http.post(emulator.runware_url, json=[first | {"apiKey": "emulator-other"}, _ping()])
    assert wrong.status_code == 401


@pytest.mark.parametrize("body", ["", "not json", "{}", "[]", "[1]", '"text"'])
def test_a_body_that_is_no_array_of_tasks_is_refused(api: Api, emulator: EmulatorProcess, body: str) -> None:
    """The body is always an array of objects."""
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    reply = api.http.post(emulator.runware_url, content=body, headers=headers)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, "invalidRequest")


def test_a_success_has_no_errors_key(api: Api) -> None:
    """The official SDK fails on a key that is there and empty."""
    reply = api.post([_ping()])
    assert reply.status_code == 200
    assert set(reply.json()) == {"data"}
    assert reply.json()["data"][0]["pong"] is True


def test_a_failure_has_both_keys(api: Api) -> None:
    """As the captured replies have it."""
    reply = api.post([task(model="runware:501@1")])
    assert reply.status_code == 400
    assert set(reply.json()) == {"data", "errors"}
    assert reply.json()["data"] == []


@pytest.mark.parametrize(("rule", "status"), [("ok", 200), ("error", 400)])
def test_in_an_array_each_task_is_answered_on_its_own(
    api: Api, emulator: EmulatorProcess, rule: str, status: int
) -> None:
    """One bad task spoils no other; the status of such a reply is unknown, so both are there."""
    emulator.switches({"mixed_status": rule})
    good, bad, ping = task(), task(outputFormat="TIFF"), _ping()
    reply = api.post([bad, good, ping])
    assert reply.status_code == status
    assert {item["taskUUID"] for item in reply.json()["data"]} == {good["taskUUID"], ping["taskUUID"]}
    assert [error["taskUUID"] for error in reply.json()["errors"]] == [bad["taskUUID"]]
    assert set(emulator.accounts()["purchases"]) == {good["taskUUID"]}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"taskType": "imageInference"}, "unsupportedTaskType"), ({"taskType": None}, "missingTaskType")],
)
def test_a_task_of_another_kind_is_refused(api: Api, wrong: dict[str, object], code: str) -> None:
    """The stand-in knows Clarity and what is around it, and says so about the rest."""
    wanted = task() | wrong
    reply = api.post([wanted])
    error = reply.json()["errors"][0]
    assert (reply.status_code, error["code"], error["taskUUID"]) == (400, code, wanted["taskUUID"])


@pytest.mark.parametrize("form", ["object", "number"])
def test_the_account_has_the_balance_in_either_form_and_falls_by_the_bill(
    api: Api, emulator: EmulatorProcess, form: str
) -> None:
    """The documents of two years show two forms; both are met in the field."""
    emulator.switches({"balance": form, "price": 0.5})
    api.buy()
    details = api.post([{"taskType": "accountManagement", "operation": "getDetails", "taskUUID": str(uuid.uuid4())}])
    item = details.json()["data"][0]
    assert item["operation"] == "getDetails"
    assert item["balance"] == ({"amount": 99.5, "currency": "USD"} if form == "object" else 99.5)
    assert emulator.api_key not in details.text


def test_another_account_operation_is_refused(api: Api) -> None:
    """Nobody shall believe that usage figures are stood in for."""
    reply = api.post([{"taskType": "accountManagement", "operation": "getUsage", "taskUUID": str(uuid.uuid4())}])
    assert reply.json()["errors"][0]["code"] == "unsupportedOperation"


@pytest.mark.parametrize(("limit", "status"), [(None, 200), (2, 413)])
def test_an_array_may_have_a_most(api: Api, emulator: EmulatorProcess, limit: int | None, status: int) -> None:
    """No limit is documented; a client that halves must have something to halve for."""
    emulator.switches({"max_tasks": limit})
    assert api.post([task(), task(), task()]).status_code == status
    assert len(emulator.accounts()["purchases"]) == (3 if status == 200 else 0)


@pytest.mark.parametrize(("limit", "status"), [(None, 200), (100, 413)])
def test_a_body_may_have_a_most(api: Api, emulator: EmulatorProcess, limit: int | None, status: int) -> None:
    """The same for its bytes."""
    emulator.switches({"max_body_bytes": limit})
    assert api.post([task()]).status_code == status


def test_only_post_is_answered(api: Api, emulator: EmulatorProcess) -> None:
    """A GET of the endpoint is a mistake of the client, not an empty reply."""
    reply: httpx.Response = api.http.get(emulator.runware_url)
    assert reply.status_code in (404, 405)
