"""What a submit makes of every reply, good, mixed, broken or missing, against a real server."""

from __future__ import annotations

import asyncio

import pytest
from stub import KEY, Answer, Request, Stub, acknowledge, answer, error, task

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityQuotaError, ClarityValidationError
from airflow_provider_clarity.runware import ClarityClient, SubmitReply


def statuses(reply: SubmitReply) -> list[str]:
    return [outcome.status for outcome in reply.outcomes]


async def test_an_acknowledged_array_is_accepted_in_the_order_it_was_given(client: ClarityClient, stub: Stub) -> None:
    """Matching by position would give one task's purchase to another: the service promises no order."""
    tasks = [task() for _ in range(5)]
    stub.then(lambda request: answer({"data": list(reversed(acknowledged(request)))}))
    reply = await client.submit(tasks)
    assert [outcome.task_uuid for outcome in reply.outcomes] == [one.task_uuid for one in tasks]
    assert set(statuses(reply)) == {"accepted"}
    assert (reply.throttled, reply.stop) == (False, None)


def acknowledged(request: Request) -> list[dict[str, str]]:
    return [{"taskType": "imageUpscale", "taskUUID": uuid.replace("-", "").upper()} for uuid in request.uuids]


async def test_the_request_carries_key_and_honest_name_and_an_array(client: ClarityClient, stub: Stub) -> None:
    """Without the array the service answers 400; a borrowed User-Agent would lead its support astray."""
    await client.submit([one := task(upload_endpoint="https://storage.example/x?X-Goog-Signature=s")])
    request = stub.requests[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("airflow-provider-clarity/")
    assert request.tasks == [one.wire()]


LOST = {
    "reset": Answer(reset=True),
    "html": Answer(200, b"<html>Bad gateway</html>"),
    "html 502": Answer(502, b"<html>Bad gateway</html>"),
    "503 after acceptance": Answer(503, b""),
    "truncated": Answer(200, b'{"data": [', length=100),
    "half a document": Answer(200, b'{"data": ['),
    "too slow": Answer(200, b'{"data": []}', delay=60),
    "dripping": Answer(200, b'{"data": []' + b" " * 600 + b"}", drip=0.1),
    "empty data": answer({"data": []}),
    "empty object": answer({}),
    "empty errors": answer({"data": [], "errors": []}),
    "error without a task": answer({"data": [], "errors": [error("invalidWidth")]}, 400),
    "500 without a task": answer({"errors": [error("internalServerError")]}, 500),
    "HTML 401 of a proxy": Answer(401, b"<html>Log in</html>"),
    "redirect": Answer(307, b"", {"Location": "http://127.0.0.1:1/"}),
    "redirect to nonsense": Answer(307, b"", {"Location": "data:image/png;base64,AAAA"}),
}


@pytest.mark.parametrize("name", LOST)
async def test_a_reply_that_names_no_task_leaves_the_outcome_unknown(name: str, stub: Stub) -> None:
    """Anything but *unknown* here buys twice (failed) or waits for nothing (accepted)."""
    stub.then(LOST[name])
    patience = 2 if name in ("too slow", "dripping") else 30  # a busy machine must not be what ends the others
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=patience) as client:
        reply = await client.submit([task(), task()])
    assert statuses(reply) == ["unknown", "unknown"]
    assert reply.stop is None
    assert len(stub.requests) == 1, "the client sent it again by itself"


async def test_a_service_that_is_not_there_is_an_outcome() -> None:
    """An exception here would lose the outcomes of the other arrays."""
    async with ClarityClient(api_key=KEY, base_url="http://127.0.0.1:9/v1", timeout=2) as client:
        assert statuses(await client.submit([task()])) == ["unknown"]


async def test_each_task_of_a_mixed_reply_gets_its_own_outcome(client: ClarityClient, stub: Stub) -> None:
    """One bad image must not fail the rest of its array, nor be forgotten in it."""
    good, bad, before, absent = [task() for _ in range(4)]

    def mixed(_: Request) -> Answer:
        errors = [
            error("conflictTaskUUID", str(before.task_uuid), parameter="taskUUID"),
            error("failedToTransferImage", str(bad.task_uuid)),
        ]
        return answer({"data": [{"taskUUID": str(good.task_uuid), "taskType": "upscale"}], "errors": errors}, 400)

    stub.then(mixed)
    reply = await client.submit([absent, before, bad, good])
    assert statuses(reply) == ["unknown", "conflict", "failed", "accepted"]
    failure = reply.outcomes[2].error
    assert failure
    assert (failure.kind, failure.retryable, failure.task_uuid) == ("input", False, bad.task_uuid)


@pytest.mark.parametrize("status", [200, 400, 409, 500, 503])
async def test_a_conflict_is_an_acknowledgement_at_any_status(status: int, client: ClarityClient, stub: Stub) -> None:
    """The official SDK gives up here and loses a paid picture."""
    stub.then(lambda request: answer({"errors": [error("conflictTaskUUID", request.uuids[0])]}, status))
    assert statuses(await client.submit([task()])) == ["conflict"]


async def test_a_task_named_in_data_and_in_errors_was_accepted(client: ClarityClient, stub: Stub) -> None:
    """A duplicate inside one array is acknowledged once and refused once: the picture exists."""

    def both(request: Request) -> Answer:
        uuid = request.uuids[0]
        return answer({"data": [{"taskUUID": uuid}], "errors": [error("conflictTaskUUID", uuid)]}, 400)

    stub.then(both)
    assert statuses(await client.submit([task()])) == ["accepted"]


async def test_a_sync_reply_brings_the_result_along(client: ClarityClient, stub: Stub) -> None:
    """After a sync task getResponse may say nothing: the result in the reply is the only one."""
    item = {"taskType": "imageUpscale", "imageUUID": "i", "imageURL": "https://im.runware.ai/i.jpg", "cost": 0.0038}
    stub.then(lambda request: answer({"data": [{**item, "taskUUID": request.uuids[0]}]}))
    reply = await client.submit([task(delivery_method="sync")])
    result = reply.outcomes[0].result
    assert result
    assert (result.image_url, result.cost) == (item["imageURL"], item["cost"])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"errors": [error("invalidApiKey", parameter="apiKey", taskType="authentication")]}),
        (401, {"message": "Unauthorized"}),
        (401, {"errors": [error("somethingNew")]}),
        (401, {"error": True, "errorMessageContentId": 1212, "errorId": 19, "errorMessage": "Invalid api key"}),
        (403, {"errors": [error("organizationSuspended")]}),
    ],
)
async def test_a_refused_key_refuses_the_array_and_stops(
    status: int, body: object, client: ClarityClient, stub: Stub
) -> None:
    """Nothing was accepted: the same UUIDs may be sent with the right key, and sending more is pointless."""
    stub.then(answer(body, status))
    reply = await client.submit([task(), task()])
    assert statuses(reply) == ["refused", "refused"]
    assert isinstance(reply.stop, ClarityAuthError)


async def test_no_credit_refuses_the_named_task_and_stops(client: ClarityClient, stub: Stub) -> None:
    """The rest of the array is not named: it may have been accepted before the money ran out."""
    first, second = task(), task()
    stub.then(answer({"data": [], "errors": [error("thirdPartyInsufficientCredits", str(first.task_uuid))]}, 400))
    reply = await client.submit([first, second])
    assert statuses(reply) == ["refused", "unknown"]
    assert isinstance(reply.stop, ClarityQuotaError)


@pytest.mark.parametrize(("status", "code"), [(429, "rateLimitExceeded"), (503, "serviceUnavailable"), (429, "")])
async def test_a_named_throttle_is_refused_and_slows_down(
    status: int, code: str, client: ClarityClient, stub: Stub
) -> None:
    """*failed* would make the next send a new purchase under a new UUID."""
    stub.then(lambda request: answer({"errors": [error(code, request.uuids[0])]}, status, Retry_After="3"))
    reply = await client.submit([task(), task()])
    assert statuses(reply) == ["refused", "unknown"]
    assert (reply.throttled, reply.retry_after) == (True, 3.0)


@pytest.mark.parametrize("status", [429, 503, 504])
async def test_a_throttle_without_a_body_slows_down(status: int, client: ClarityClient, stub: Stub) -> None:
    """The window shrinks by this flag; without it the API is flooded."""
    stub.then(Answer(status, b"slow down", {"Retry-After": "7"}))
    reply = await client.submit([task()])
    assert (statuses(reply), reply.throttled, reply.retry_after) == (["unknown"], True, 7.0)


@pytest.mark.parametrize("code", ["internalServerError", "somethingNew", ""])
async def test_a_named_server_fault_says_nothing_certain(code: str, client: ClarityClient, stub: Stub) -> None:
    """A 500 may come after acceptance; counting it as failed would buy again under a new UUID."""
    stub.then(lambda request: answer({"errors": [error(code, request.uuids[0])]}, 500))
    assert statuses(await client.submit([task()])) == ["unknown"]


async def test_many_tasks_leave_in_arrays_of_a_hundred_over_few_sockets(client: ClarityClient, stub: Stub) -> None:
    """One socket a task slows httpx down; one array for all makes one lost reply a large loss."""
    tasks = [task() for _ in range(950)]
    reply = await client.submit(tasks)
    assert set(statuses(reply)) == {"accepted"}
    assert sorted(len(sent) for sent in stub.sent) == [50] + [100] * 9
    assert stub.most_open <= 5
    assert sorted(uuid for sent in stub.sent for uuid in sent) == sorted(str(one.task_uuid) for one in tasks)


async def test_an_inline_picture_goes_alone(client: ClarityClient, stub: Stub) -> None:
    """Two large pictures in one body could exceed what the service takes, and fail together."""
    await client.submit([task(), task("data:image/png;base64," + "A" * 100_000), task(), task()])
    assert sorted(len(sent) for sent in stub.sent) == [1, 1, 2]


async def test_an_array_that_is_too_large_is_halved_until_it_fits(client: ClarityClient, stub: Stub) -> None:
    """A limit of the service that nobody documents must not stop the run."""

    def at_most_two(request: Request) -> Answer:
        return acknowledge(request) if len(request.tasks) <= 2 else Answer(413, b"<html>too large</html>")

    stub.handler = at_most_two
    reply = await client.submit([task() for _ in range(7)])
    assert set(statuses(reply)) == {"accepted"}


async def test_a_single_task_that_is_too_large_fails_as_input(client: ClarityClient, stub: Stub) -> None:
    """Halving ends at one; trying for ever would hang the run."""
    stub.handler = lambda _: Answer(413)
    reply = await client.submit([task()])
    assert statuses(reply) == ["failed"]
    assert reply.outcomes[0].error
    assert reply.outcomes[0].error.kind == "input"
    assert len(stub.requests) == 1


async def test_after_a_stop_no_further_array_leaves(stub: Stub) -> None:
    """Five hundred submits with a refused key would look like an attack."""
    stub.handler = lambda _: answer({"errors": [error("invalidApiKey")]}, 401)
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=5, max_connections=1) as client:
        reply = await client.submit([task() for _ in range(350)])
    assert len(stub.requests) == 1
    assert set(statuses(reply)) == {"refused"}


async def test_two_tasks_of_one_uuid_are_refused_before_anything_is_sent(client: ClarityClient, stub: Stub) -> None:
    """It cannot be told which of the two the reply is about."""
    one = task()
    with pytest.raises(ClarityValidationError):
        await client.submit([one, one])
    assert stub.requests == []


async def test_nothing_to_submit_sends_nothing(client: ClarityClient, stub: Stub) -> None:
    """An empty array is a 400."""
    assert (await client.submit([])).outcomes == ()
    assert stub.requests == []


async def test_cancelling_a_submit_cancels_it(client: ClarityClient, stub: Stub) -> None:
    """A swallowed cancellation keeps a killed task alive."""
    stub.then(Answer(delay=30))
    submitting = asyncio.create_task(client.submit([task()]))
    while not stub.requests:  # noqa: ASYNC110 - the server is not ours to signal
        await asyncio.sleep(0.01)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert (await client.submit([task()])).outcomes[0].status == "accepted", "the socket's place was not given back"


async def test_waiting_for_a_socket_counts_as_time(stub: Stub) -> None:
    """A submit that leaves long after it was decided may overtake its successor's lease."""
    stub.handler = lambda _: Answer(delay=60)
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=3, max_connections=1) as client:
        replies = await asyncio.gather(*(client.submit([task()]) for _ in range(5)))
    assert [statuses(reply) for reply in replies] == [["unknown"]] * 5
    # Whoever gets the socket in the very moment its own time is over may still leave; nobody leaves after that.
    assert len(stub.requests) < 5


async def test_all_arrays_of_a_submit_share_its_time(stub: Stub) -> None:
    """An array that leaves when the time is over may meet a successor's POST of the same tasks."""
    stub.handler = lambda _: Answer(delay=60)
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=2, max_connections=1) as client:
        reply = await client.submit([task() for _ in range(250)])
    assert len(stub.requests) == 1
    assert statuses(reply) == ["unknown"] * 100 + ["refused"] * 150


async def test_the_halves_of_an_array_share_its_time(stub: Stub) -> None:
    """Each half of a half would have a minute of its own."""
    stub.handler = lambda request: Answer(413, delay=0) if len(request.tasks) > 1 else Answer(delay=60)
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=2) as client:
        reply = await client.submit([task() for _ in range(4)])
    assert statuses(reply) == ["unknown"] + ["refused"] * 3
