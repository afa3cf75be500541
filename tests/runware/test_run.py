"""One task from submit to result: bought once, whatever is lost on the way."""

from __future__ import annotations

import asyncio

import pytest
from stub import KEY, Answer, Request, Stub, acknowledge, answer, error, task

from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityInputError,
    ClarityLostError,
    ClarityQuotaError,
    ClarityRateLimitError,
    ClarityTimeoutError,
)
from airflow_provider_clarity.runware import ClarityClient, UpscaleResult, run_task


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Service:
    """A service that accepts, works for a while and remembers; a test replaces what it answers."""

    def __init__(self, stub: Stub, clock: Clock, *, seconds: float = 5) -> None:
        self.clock = clock
        self.seconds = seconds
        self.bought: dict[str, float] = {}
        self.submits: list[str] = []
        self.faults: dict[str, list[Answer]] = {}
        self.remembers = True
        stub.handler = self.handle

    def handle(self, request: Request) -> Answer:
        kind, uuid = request.tasks[0]["taskType"], request.uuids[0]
        fault = self.faults.get(kind, [])
        before = fault.pop(0) if fault else None
        if before is not None and "X-After" not in before.headers:
            self.submits += [uuid] if kind == "upscale" else []
            return before
        usual = self._answer(kind, uuid, request)
        return usual if before is None else before

    def _answer(self, kind: str, uuid: str, request: Request) -> Answer:
        if kind == "upscale":
            self.submits.append(uuid)
            if uuid in self.bought:
                return answer({"data": [], "errors": [error("conflictTaskUUID", uuid)]}, 400)
            self.bought[uuid] = self.clock.now
            return acknowledge(request)
        if uuid not in self.bought or not self.remembers:
            return answer({"data": []})
        row = {"taskUUID": uuid, "status": "processing"}
        if self.clock.now - self.bought[uuid] >= self.seconds:
            row |= {"status": "success", "imageURL": "https://im.runware.ai/i.jpg", "imageUUID": "i", "cost": 0.0038}
        return answer({"data": [row]})


def after(fault: Answer) -> Answer:
    """Let the fault happen once the service has done its part."""
    return Answer(fault.status, fault.body, {"X-After": "1"}, fault.reset)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(stub: Stub, clock: Clock) -> Service:
    return Service(stub, clock)


async def go(client: ClarityClient, clock: Clock) -> UpscaleResult:
    return await run_task(client, task(), timeout=100, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)


async def test_a_task_is_bought_and_its_result_returned(client: ClarityClient, clock: Clock, service: Service) -> None:
    """The plain case."""
    result = await go(client, clock)
    assert (result.image_url, result.image_uuid, result.cost_usd) == ("https://im.runware.ai/i.jpg", "i", 0.0038)
    assert service.submits == [str(result.task_uuid)]
    assert clock.now < 7


@pytest.mark.parametrize(
    "fault",
    [
        after(Answer(reset=True)),
        after(Answer(503)),
        after(Answer(200, b"<html>")),
        after(answer({"data": []})),
        after(answer({"errors": [error("internalServerError")]}, 500)),
    ],
    ids=["reset", "503", "html", "empty", "500"],
)
async def test_a_lost_reply_is_adopted_and_not_bought_again(
    fault: Answer, client: ClarityClient, clock: Clock, service: Service
) -> None:
    """Where the official SDKs lose the picture or buy a second one."""
    service.faults["upscale"] = [fault]
    result = await go(client, clock)
    assert len(service.bought) == 1
    assert service.submits == [str(result.task_uuid)], "the first look found it: no second send"
    assert clock.slept[0] >= 1


async def test_a_submit_that_never_arrived_is_sent_again_under_the_same_uuid(
    client: ClarityClient, clock: Clock, service: Service
) -> None:
    """The service answered that it knows nothing: the same UUID is safe to send, another would not be."""
    service.faults["upscale"] = [Answer(reset=True), Answer(502)]
    result = await go(client, clock)
    assert service.submits == [str(result.task_uuid)] * 3
    assert min(clock.slept) >= 1


async def test_a_conflict_on_the_second_send_is_the_acknowledgement(
    client: ClarityClient, clock: Clock, service: Service
) -> None:
    """The service was slow to list what it had accepted."""
    service.faults = {"upscale": [after(Answer(reset=True))], "getResponse": [answer({"data": []})]}
    result = await go(client, clock)
    assert service.submits == [str(result.task_uuid)] * 2
    assert len(service.bought) == 1


async def test_no_second_send_before_a_look_was_answered(client: ClarityClient, clock: Clock, service: Service) -> None:
    """A look that failed is no answer: the task may be running."""
    service.faults = {
        "upscale": [after(Answer(reset=True))],
        "getResponse": [Answer(500), Answer(reset=True), Answer(429)],
    }
    result = await go(client, clock)
    assert service.submits == [str(result.task_uuid)]


async def test_polls_that_fail_do_not_fail_the_task(client: ClarityClient, clock: Clock, service: Service) -> None:
    """Four 500s on a poll end the official SDK's run, while the task is running and billed."""
    service.faults["getResponse"] = [Answer(500)] * 4 + [answer({"data": []}, 429, Retry_After="9")]
    assert (await go(client, clock)).image_url
    assert 9 in clock.slept


async def test_a_throttled_submit_waits_and_sends_the_same_uuid(
    client: ClarityClient, clock: Clock, service: Service, stub: Stub
) -> None:
    """A named 429 is certainly not accepted."""
    refuse = lambda request: answer({"errors": [error("rateLimitExceeded", request.uuids[0])]}, 429, Retry_After="4")  # noqa: E731
    stub.then(refuse, refuse)
    result = await go(client, clock)
    assert clock.slept[:2] == [4, 4]
    assert service.submits == [str(result.task_uuid)]


async def test_a_throttle_without_end_is_a_rate_limit_error(client: ClarityClient, clock: Clock, stub: Stub) -> None:
    """It names the wait that was asked for, so that the caller can keep to it."""
    stub.handler = lambda r: answer({"errors": [error("rateLimitExceeded", r.uuids[0])]}, 429, Retry_After="30")
    with pytest.raises(ClarityRateLimitError) as slow:
        await go(client, clock)
    assert slow.value.retry_after == 30
    assert clock.now < 100


async def test_a_reported_failure_is_raised_by_kind(client: ClarityClient, clock: Clock, stub: Stub) -> None:
    """At the submit, and at a look."""
    bad = lambda request: answer({"errors": [error("failedToTransferImage", request.uuids[0])]}, 400)  # noqa: E731
    stub.then(bad)
    with pytest.raises(ClarityInputError):
        await go(client, clock)
    stub.then(acknowledge, bad)
    with pytest.raises(ClarityInputError):
        await go(client, clock)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("invalidApiKey", 401, ClarityAuthError), ("insufficientCredits", 402, ClarityQuotaError)],
)
async def test_key_and_credit_stop_at_once(
    code: str, status: int, kind: type[Exception], client: ClarityClient, clock: Clock, stub: Stub
) -> None:
    """No wait mends them. An anonymous one may follow an acceptance: then one look is taken first."""
    stub.handler = lambda r: answer({"errors": [error(code)]}, status) if b"upscale" in r.body else answer({"data": []})
    with pytest.raises(kind):
        await go(client, clock)
    assert sum(b"upscale" in request.body for request in stub.requests) == 1


async def test_a_key_that_is_refused_while_waiting_says_so(client: ClarityClient, clock: Clock, stub: Stub) -> None:
    """Polling on would look like an attack."""
    stub.then(acknowledge, answer({"errors": [error("invalidApiKey")]}, 401))
    with pytest.raises(ClarityAuthError):
        await go(client, clock)


async def test_the_archive_has_the_last_word(client: ClarityClient, clock: Clock, stub: Stub) -> None:
    """A result that getResponse forgot is paid for."""

    def forgetful(request: Request) -> Answer:
        if request.tasks[0]["taskType"] == "upscale":
            return acknowledge(request)
        if request.tasks[0]["taskType"] == "getResponse":
            return answer({"data": []})
        recorded = {"data": [{"taskUUID": request.uuids[0], "imageURL": "https://im.runware.ai/i.jpg"}]}
        return answer({"data": [{"taskType": "getTaskDetails", "taskUUID": request.uuids[0], "response": recorded}]})

    stub.handler = forgetful
    assert (await go(client, clock)).image_url
    assert clock.now == pytest.approx(100)


async def test_silence_to_the_end_is_lost(client: ClarityClient, clock: Clock, service: Service) -> None:
    """Nothing says whether it was bought: it is not bought again, and the UUID is named."""
    service.remembers = False
    with pytest.raises(ClarityLostError, match="not bought again unasked") as lost:
        await go(client, clock)
    assert str(service.submits[0]) in str(lost.value)
    assert len(service.submits) == 1


async def test_work_that_goes_on_beyond_the_time_is_no_loss(
    client: ClarityClient, clock: Clock, service: Service
) -> None:
    """The same UUID brings the result later; a new one would buy again."""
    service.seconds = 10_000
    with pytest.raises(ClarityTimeoutError) as over:
        await go(client, clock)
    assert not over.value.retryable


async def test_calling_again_with_the_same_task_adopts_it(
    client: ClarityClient, clock: Clock, service: Service
) -> None:
    """What the message of the time-out promises."""
    one = task()
    service.seconds = 150
    with pytest.raises(ClarityTimeoutError):
        await run_task(client, one, timeout=100, clock=clock, sleep=clock.sleep)
    result = await run_task(client, one, timeout=100, clock=clock, sleep=clock.sleep)
    assert result.image_url
    assert len(service.bought) == 1


async def test_a_sync_result_needs_no_look(client: ClarityClient, clock: Clock, stub: Stub) -> None:
    """After a sync task a look may find nothing."""
    stub.then(lambda r: answer({"data": [{"taskUUID": r.uuids[0], "imageBase64Data": "eA==", "cost": 0.1}]}))
    one = task(delivery_method="sync", output_type="base64Data")
    result = await run_task(client, one, clock=clock, sleep=clock.sleep)
    assert result.image_base64_data == "eA=="
    assert len(stub.requests) == 1
    assert "eA==" not in repr(result)


async def test_it_runs_on_real_time_too(stub: Stub) -> None:
    """The defaults are the real clock and a real sleep."""
    stub.handler = lambda r: answer({"data": [{"taskUUID": r.uuids[0], "status": "success", "imageUUID": "i"}]})
    async with ClarityClient(api_key=KEY, base_url=stub.url) as client:
        assert (await run_task(client, task(), timeout=10)).image_uuid == "i"
