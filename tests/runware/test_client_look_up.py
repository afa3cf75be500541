"""What a look-up and the account make of every reply, against a real server."""

from __future__ import annotations

import pytest
from stub import KEY, Answer, Request, Stub, answer, error, uuids

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityProviderError, ClarityRateLimitError
from airflow_provider_clarity.runware import ClarityClient

URL = "https://im.runware.ai/image/os/a/ws/2/ii/x.jpg"


async def test_each_task_of_a_poll_gets_its_own_state(client: ClarityClient, stub: Stub) -> None:
    """A failed neighbour must not hide a result; a missing row is silence, not failure."""
    done, busy, failed, failed_in_data, _ = asked = uuids(5)

    def mixed(_: Request) -> Answer:
        data = [
            {"taskUUID": str(busy), "status": "processing", "imageUUID": "already", "progress": 25},
            {"taskUUID": str(failed_in_data), "status": "error", "error": {"code": "promptBlocked", "message": "no"}},
            {"taskUUID": str(done), "taskType": "imageUpscale", "status": "success", "imageURL": URL, "cost": 0.0013},
        ]
        return answer({"data": data, "errors": [error("timeoutProvider", str(failed), status="error")]})

    stub.then(mixed)
    states = (await client.get_response(asked)).states
    assert [states[uuid].status for uuid in asked] == ["success", "processing", "failed", "failed", "silent"]
    kinds = [(states[uuid].error.kind, states[uuid].error.retryable) for uuid in (failed, failed_in_data)]  # type: ignore[union-attr]
    assert kinds == [("timeout", True), ("safety", False)]
    assert states[done].result
    assert states[done].result.cost == 0.0013


@pytest.mark.parametrize("code", ["taskNotFound", "taskExpired", "taskFailedOrNotFound", "conflictTaskUUID"])
@pytest.mark.parametrize("status", [200, 400, 404])
async def test_a_task_the_service_does_not_know_is_silent(
    code: str, status: int, client: ClarityClient, stub: Stub
) -> None:
    """Taken as a failure it would be bought again, though it may be running."""
    stub.then(lambda request: answer({"errors": [error(code, request.uuids[0])]}, status))
    (uuid,) = asked = uuids(1)
    assert (await client.get_response(asked)).states[uuid].status == "silent"


NO_NEWS = {
    "reset": Answer(reset=True),
    "html": Answer(200, b"<html>"),
    "500": Answer(500, b"oops"),
    "500 with an empty envelope": answer({"data": []}, 500),
    "400 about something": answer({"data": [], "errors": [error("invalidBody")]}, 400),
    "200 with an error without a task": answer({"data": [], "errors": [error("internalServerError")]}),
    "empty object": answer({}),
    "408": answer({"data": []}, 408),
}


@pytest.mark.parametrize("name", NO_NEWS)
async def test_a_poll_that_fails_is_no_news(name: str, client: ClarityClient, stub: Stub) -> None:
    """*silent* would allow a second send, *failed* a second purchase."""
    stub.then(NO_NEWS[name])
    reply = await client.get_response(uuids(2))
    assert (reply.states, reply.stop) == ({}, None)


@pytest.mark.parametrize(("status", "code"), [(429, "rateLimitExceeded"), (500, "internalServerError"), (502, "")])
async def test_a_named_refusal_of_the_look_up_is_not_the_tasks_failure(
    status: int, code: str, client: ClarityClient, stub: Stub
) -> None:
    """The poll was throttled; the task is running and paid for."""
    stub.then(lambda request: answer({"errors": [error(code, request.uuids[0])]}, status))
    reply = await client.get_response(uuids(1))
    assert reply.states == {}


@pytest.mark.parametrize("status", [200, 401, 403])
async def test_a_refused_key_stops_looking_up_and_fails_no_task(status: int, client: ClarityClient, stub: Stub) -> None:
    """A rotated key would otherwise end every task in flight."""
    stub.then(lambda request: answer({"errors": [error("invalidApiKey", request.uuids[0])]}, status))
    reply = await client.get_response(uuids(1))
    assert reply.states == {}
    assert isinstance(reply.stop, ClarityAuthError)


async def test_of_contradicting_rows_the_picture_counts(client: ClarityClient, stub: Stub) -> None:
    """The documented example answers one task with processing, success and an error at once."""
    (uuid,) = asked = uuids(1)
    rows = [{"taskUUID": str(uuid), "status": status, "imageURL": URL} for status in ("processing", "success")]
    stub.then(answer({"data": [rows[1], rows[0], rows[1]], "errors": [error("timeoutProvider", str(uuid))]}))
    assert (await client.get_response(asked)).states[uuid].status == "success"


async def test_a_thousand_tasks_are_asked_about_in_ten_posts(client: ClarityClient, stub: Stub) -> None:
    """A POST a task is what makes other clients flood the service."""
    asked = uuids(1000)
    reply = await client.get_response([*asked, *asked])
    assert len(stub.requests) == 10
    assert len(reply.states) == 1000


async def test_a_poll_that_is_too_large_is_halved(client: ClarityClient, stub: Stub) -> None:
    """The service's limit of tasks is documented nowhere."""
    stub.handler = lambda request: Answer(413) if len(request.tasks) > 30 else answer({"data": []})
    assert len((await client.get_response(uuids(100))).states) == 100


async def test_task_details_give_the_recorded_response(client: ClarityClient, stub: Stub) -> None:
    """The archive is the way back to a paid result that getResponse forgot."""
    done, failed, refused, throttled, empty, array = asked = uuids(6)

    def archive(_: Request) -> Answer:
        def row(uuid: object, response: object) -> dict[str, object]:
            request = [{"uploadEndpoint": "https://secret.example"}]
            return {"taskType": "getTaskDetails", "taskUUID": str(uuid), "request": request, "response": response}

        in_array = [{"taskUUID": str(done)}, {"taskUUID": str(array), "imageURL": URL}]
        rows = [
            row(done, {"data": [{"imageURL": URL, "cost": 0.1}]}),
            row(failed, {"errors": [error("promptBlocked", str(failed))]}),
            row(refused, {"errors": [error("conflictTaskUUID", str(refused))]}),
            row(throttled, {"errors": [error("rateLimitExceeded", str(throttled)), error("invalidApiKey")]}),
            row(empty, None),
            row(array, {"data": in_array}),
        ]
        return answer({"data": rows})

    stub.then(archive)
    reply = await client.get_task_details(asked)
    expected = ["success", "failed", "silent", "silent", "silent", "success"]
    assert [reply.states[uuid].status for uuid in asked] == expected
    assert (reply.stop, reply.throttled) == (None, False)
    assert {task["taskType"] for task in stub.requests[0].tasks} == {"getTaskDetails"}


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        (12.5, (12.5, None, "USD")),
        ({"amount": 3, "freeBalance": 1.5, "currency": "EUR"}, (3.0, 1.5, "EUR")),
        ({"amount": "3"}, (None, None, "USD")),
        (None, (None, None, "USD")),
        (True, (None, None, "USD")),
    ],
)
async def test_the_balance_is_read_in_both_shapes(
    balance: object, expected: tuple[object, ...], client: ClarityClient, stub: Stub
) -> None:
    """The 2025 form is a number, the 2026 form an object; a connection test must read both."""
    stub.then(lambda r: answer({"data": [{"taskUUID": r.uuids[0], "organizationName": "o", "balance": balance}]}))
    account = await client.account()
    assert (account.balance, account.free_balance, account.currency) == expected
    assert account.organization == "o"


async def test_a_key_without_permission_for_the_account_says_so(client: ClarityClient, stub: Stub) -> None:
    """The key may be good for upscaling: the message must not send its owner to make another."""
    stub.then(answer({"errors": [error("insufficientPermissions")]}, 403))
    with pytest.raises(ClarityAuthError, match="permission to read the account"):
        await client.account()


@pytest.mark.parametrize("reply", [Answer(reset=True), Answer(500, b"oops"), answer({"data": []})])
async def test_an_account_that_cannot_be_read_is_the_providers_error(
    reply: Answer, client: ClarityClient, stub: Stub
) -> None:
    """A connection test that says *fine* here would be a lie."""
    stub.then(reply)
    with pytest.raises(ClarityProviderError):
        await client.account()


async def test_a_throttled_account_is_a_rate_limit(client: ClarityClient, stub: Stub) -> None:
    """It is not the key's fault."""
    stub.then(answer({"errors": [error("rateLimitExceeded")]}, 429))
    with pytest.raises(ClarityRateLimitError):
        await client.account()


async def test_a_closed_client_says_so(stub: Stub) -> None:
    """Reopening silently would leak sockets."""
    client = ClarityClient(api_key=KEY, base_url=stub.url)
    await client.get_response(uuids(1))
    await client.aclose()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.get_response(uuids(1))
