"""Uploads and webhooks: the one PUT to ``uploadEndpoint``, in every way it can go."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from emulator_api import Api, opened, task, until
from emulator_process import EmulatorProcess
from emulator_receiver import Receiver
from google.cloud import storage
from google.oauth2 import service_account


def _upload(api: Api, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    """Buy with an endpoint, wait for the end and for the PUT."""
    wanted = task(uploadEndpoint=f"{receiver.url}/staging/one.jpg?X-Goog-Signature=secret", **changes)
    api.post([wanted])
    item = api.wait(wanted["taskUUID"])
    until(lambda: wanted["taskUUID"] in api.emulator.accounts()["uploads"])
    return item


def test_the_whole_picture_is_put_once(api: Api, receiver: Receiver) -> None:
    """The raw bytes are the body, the query stays, and the same picture is behind the image URL."""
    item = _upload(api, receiver)
    (put,) = receiver.of("PUT")
    assert put.path == "/staging/one.jpg?X-Goog-Signature=secret"
    assert opened(put.body).size == (48, 32)
    assert put.body == api.http.get(item["imageURL"]).content
    accounts = api.emulator.accounts()
    assert accounts["uploads"] == {item["taskUUID"]: {"puts": 1, "status": 200, "bytes": len(put.body)}}
    assert "secret" not in str(accounts)


@pytest.mark.parametrize(
    ("rule", "content_type"), [("none", None), ("image", "image/png"), ("octet", "application/octet-stream")]
)
def test_the_content_type_of_the_put(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, rule: str, content_type: str | None
) -> None:
    """Nobody knows which one the service sends: an endpoint must take all three."""
    emulator.switches({"upload_content_type": rule})
    _upload(api, receiver, outputFormat="PNG")
    assert [put.content_type for put in receiver.of("PUT")] == [content_type]


@pytest.mark.parametrize("there", [True, False])
def test_the_image_url_comes_beside_the_upload_or_not(
    api: Api,
    emulator: EmulatorProcess,
    receiver: Receiver,
    there: bool,  # noqa: FBT001
) -> None:
    """Without it a lost upload cannot be recovered; without an endpoint it always comes."""
    emulator.switches({"image_url_with_upload": there})
    item = _upload(api, receiver)
    assert item["status"] == "success"
    assert ("imageURL" in item) is there
    assert "imageURL" in api.buy()


@pytest.mark.parametrize("waits", [False, True])
def test_success_comes_before_the_upload_or_after_it(
    api: Api,
    emulator: EmulatorProcess,
    receiver: Receiver,
    waits: bool,  # noqa: FBT001
) -> None:
    """While the PUT is on its way the task is already a success, or still runs."""
    emulator.switches({"success_waits_for_upload": waits})
    receiver.hold("PUT")
    wanted = task(uploadEndpoint=f"{receiver.url}/one")
    api.post([wanted])
    until(lambda: receiver.of("PUT"))
    assert api.look(wanted["taskUUID"])["data"][0]["status"] == ("processing" if waits else "success")
    receiver.release()
    assert api.wait(wanted["taskUUID"])["status"] == "success"


def test_the_upload_may_lag_behind_success(api: Api, emulator: EmulatorProcess, receiver: Receiver) -> None:
    """Staging is still empty when the result is seen: for so many seconds, and not for ever."""
    emulator.switches({"upload_lag_s": 0.4})
    wanted = task(uploadEndpoint=f"{receiver.url}/one")
    started = time.monotonic()
    api.post([wanted])
    until(lambda: receiver.of("PUT"))
    assert time.monotonic() - started >= 0.45


@pytest.mark.parametrize("rule", ["success", "uploadFailed"])
def test_a_refused_put_leaves_a_success_or_fails_the_task(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, rule: str
) -> None:
    """Unknown of the service; in neither case is the PUT repeated."""
    emulator.switches({"refused_upload": rule})
    receiver.status = 403
    item = _upload(api, receiver)
    assert item["status"] == ("success" if rule == "success" else "error")
    assert item.get("code") == (None if rule == "success" else "uploadFailed")
    time.sleep(0.1)
    assert len(receiver.of("PUT")) == 1
    accounts = emulator.accounts()
    assert accounts["uploads"][item["taskUUID"]]["status"] == 403
    assert accounts["billed_usd"] == (0.0013 if rule == "success" else 0)


@pytest.mark.parametrize(
    ("fault", "status"),
    [("refuse_403", 403), ("expire", 400), ("cut", 200), ("wrong_pixels", 200), ("wrong_bytes", 200)],
)
def test_upload_faults_spoil_the_upload_and_not_the_picture(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, fault: str, status: int
) -> None:
    """What lies in staging is nothing, half, of the wrong size or no picture; the image URL still has the right one."""
    emulator.faults([{"operation": "upload", "fault": fault, "match": "data:image/png"}])
    item = _upload(api, receiver, outputFormat="PNG")
    bodies = [put.body for put in receiver.of("PUT")]
    right = api.http.get(item["imageURL"]).content
    assert opened(right).size == (48, 32)
    assert item["status"] == "success"
    assert emulator.accounts()["uploads"][item["taskUUID"]]["status"] == status
    assert [one["fired"] for one in emulator.faults()] == [1]
    if fault in ("refuse_403", "expire"):
        assert bodies == []
    elif fault == "cut":
        assert bodies == [right[: len(right) // 2]]
    elif fault == "wrong_pixels":
        assert opened(bodies[0]).size == (24, 16)
    else:
        with pytest.raises(OSError, match="cannot identify"):
            opened(bodies[0])


def test_an_endpoint_that_is_not_on_loopback_gets_nothing(api: Api) -> None:
    """The task succeeds, the accounts show a PUT without an answer."""
    item = api.buy(uploadEndpoint="https://storage.example.com/one.jpg")
    until(lambda: api.emulator.accounts()["uploads"])
    assert item["status"] == "success"
    assert api.emulator.accounts()["uploads"][item["taskUUID"]] == {"puts": 1, "status": None, "bytes": 0}


def test_a_presigned_url_of_the_other_half_is_an_endpoint(api: Api, emulator: EmulatorProcess) -> None:
    """Both halves together, with Google's own signer; and a reset of this half leaves the object there."""
    credentials = service_account.Credentials.from_service_account_file(
        emulator.service_account_file, scopes=["https://www.googleapis.com/auth/devstorage.read_write"]
    )
    client = storage.Client(
        project="emulator-project", credentials=credentials, client_options={"api_endpoint": emulator.storage_url}
    )
    blob = client.bucket("pictures").blob("staging/one.jpg")
    url = blob.generate_signed_url(
        version="v4", method="PUT", expiration=dt.timedelta(hours=1), api_access_endpoint=emulator.storage_url
    )
    item = api.buy(uploadEndpoint=url)
    until(lambda: emulator.accounts()["uploads"])
    assert emulator.accounts()["uploads"][item["taskUUID"]]["status"] == 200
    expected = api.http.get(item["imageURL"]).content
    emulator.reset()
    assert blob.download_as_bytes() == expected
    client.close()


@pytest.mark.parametrize("form", ["flat", "data"])
def test_a_webhook_is_told_of_success_and_failure(
    api: Api, emulator: EmulatorProcess, receiver: Receiver, form: str
) -> None:
    """Flat or wrapped, the sources differ; without a delivery method such a task is acknowledged at once."""
    emulator.switches({"webhook_body": form})
    hook = f"{receiver.url}/hook?token=t"
    good, bad = task(webhookURL=hook, deliveryMethod=None), task("bm90", webhookURL=hook)
    assert "imageURL" not in api.post([good]).json()["data"][0]
    until(lambda: len(receiver.of("POST")) == 1)
    api.post([bad])
    until(lambda: len(receiver.of("POST")) == 2)
    told = [one.json() for one in receiver.of("POST")]
    if form == "data":
        assert [list(body) for body in told] == [["data"], ["errors"]]
        told = [body[key][0] for body, key in zip(told, ("data", "errors"), strict=True)]
    assert [one["taskUUID"] for one in told] == [good["taskUUID"], bad["taskUUID"]]
    assert (told[0]["status"], told[1]["code"]) == ("success", "failedToTransferImage")
