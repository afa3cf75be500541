"""All waiters of a process share one sweep, and none can hurt another. In virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from service import MemoryService
from virtual_time import run

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.runware import PollHub, PollReply, TaskError, TaskState, WaitResult


def now() -> float:
    return asyncio.get_running_loop().time()


def join(service: MemoryService, key: str = "k") -> PollHub:
    return PollHub.join(service.client, base_url="http://127.0.0.1/v1", api_key=key)


async def quiet(service: MemoryService) -> None:
    """Let the sweep end, then hold that nothing of it is left."""
    await asyncio.sleep(0.001)
    assert service.open_clients == 0
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "clarity-poll-hub"] == []


async def lags_of(service: MemoryService, seconds: list[float], *, spread: float = 0) -> list[float]:
    async def one(number: int, takes: float) -> float:
        await asyncio.sleep(spread * number / len(seconds))
        uuid = service.add(takes)
        result = await join(service).wait([uuid])
        assert result.settled[uuid].status == "success"
        return now() - service.done_at[uuid]

    return sorted(await asyncio.gather(*(one(number, takes) for number, takes in enumerate(seconds))))


def lognormal(number: int) -> list[float]:
    rnd = random.Random(7)  # noqa: S311 - a test's dice
    return [min(30.0, max(3.0, rnd.lognormvariate(2.2, 0.55))) for _ in range(number)]


@pytest.mark.parametrize("spread", [0, 30])
@pytest.mark.parametrize("seconds", [[8.0] * 1000, lognormal(1000)], ids=["fixed 8 s", "lognormal 3 to 30 s"])
def test_a_thousand_waiters_share_their_posts_and_are_woken_in_time(seconds: list[float], spread: float) -> None:
    """The official SDK needs 1.4 POSTs a task a second. At most 0.10 in all, and 99 % seen within 1.5 s."""

    async def main() -> None:
        service = MemoryService()
        lags = await lags_of(service, seconds, spread=spread)
        assert service.posts / len(seconds) <= 0.10
        assert lags[int(0.99 * len(lags))] <= 1.5
        assert service.made_clients == 1
        await quiet(service)

    run(main())


def test_waiting_for_some_ends_when_so_many_are_settled() -> None:
    """The worker is woken for a window's worth, not for the slowest."""

    async def main() -> None:
        service = MemoryService()
        quick, slow = [service.add(3) for _ in range(3)], service.add(10_000)
        result = await join(service).wait([*quick, slow], settled=3)
        assert set(result.settled) == set(quick)
        assert (result.deadline_reached, result.unreachable) == (False, None)
        await quiet(service)

    run(main())


def test_the_deadline_ends_the_waiting_with_what_there_is() -> None:
    """Airflow ignores execution_timeout while a task is deferred: this is the only end."""

    async def main() -> None:
        service = MemoryService()
        quick, slow, begun = service.add(3), service.add(10_000), now()
        result = await join(service).wait([quick, slow], timeout=60)
        assert now() - begun == pytest.approx(60)
        assert result.deadline_reached
        assert set(result.settled) == {quick}
        await quiet(service)

    run(main())


def test_a_failed_task_is_settled_and_a_silent_one_is_not() -> None:
    """Silence ends only by the deadline of who waits."""

    async def main() -> None:
        service = MemoryService()
        failed, silent = uuid4(), uuid4()
        error = TaskError("promptBlocked", "", "safety", retryable=False, scope="task", task_uuid=failed)

        def answer(asked: list[UUID]) -> PollReply:
            states = {failed: TaskState(failed, "failed", error=error), silent: TaskState(silent, "silent")}
            return PollReply({uuid: states[uuid] for uuid in asked})

        service.answer = answer
        result = await join(service).wait([failed, silent], timeout=20)
        assert result.settled == {failed: TaskState(failed, "failed", error=error)}

    run(main())


def test_nothing_to_wait_for_is_over_at_once() -> None:
    """A trigger of a run whose last task just settled must not wait for ever."""

    async def main() -> None:
        service = MemoryService()
        assert await join(service).wait([]) == WaitResult({})
        assert (await join(service).wait([uuid4()], settled=0)).settled == {}
        await quiet(service)

    run(main())


def test_the_first_waiter_may_be_cancelled_without_harm_to_the_second() -> None:
    """Airflow cancels a trigger when its task is cleared; the sweep was started by it."""

    async def main() -> None:
        service = MemoryService()
        first = asyncio.create_task(join(service).wait([service.add(10)]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(join(service).wait([service.add(10)]))
        await asyncio.sleep(3)
        first.cancel()
        assert len((await second).settled) == 1
        assert first.cancelled()
        assert service.made_clients == 1
        await quiet(service)

    run(main())


def test_the_last_waiter_to_be_cancelled_closes_the_sockets_even_in_mid_poll() -> None:
    """A socket left open for each cleared task would use them up."""

    async def main() -> None:
        service = MemoryService()
        waiting = asyncio.create_task(join(service).wait([service.add(100)], first_look=1))
        await asyncio.sleep(1.01)  # the poll is under way
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await quiet(service)
        assert join(service).idle

    run(main())


def test_a_hub_works_again_after_everybody_left() -> None:
    """The next deferral comes a minute later, through the same hub."""

    async def main() -> None:
        service = MemoryService()
        hub = join(service)
        for _ in range(3):
            await hub.wait([service.add(2)])
            await asyncio.sleep(60)
            assert hub is join(service)
        assert (service.made_clients, service.open_clients) == (3, 0)

    run(main())


def test_one_who_comes_while_the_last_one_leaves_is_served() -> None:
    """The sweep of the one who left is ending: the other must not wait on it."""

    async def main() -> None:
        service = MemoryService()
        first = asyncio.create_task(join(service).wait([service.add(100)]))
        await asyncio.sleep(2)
        first.cancel()
        await asyncio.sleep(0)
        await join(service).wait([service.add(3)], timeout=30)
        assert service.made_clients == 2
        await quiet(service)

    run(main())


def test_two_may_wait_for_one_task_and_the_later_learns_it_at_once() -> None:
    """A trigger that is moved runs twice for a while."""

    async def main() -> None:
        service = MemoryService()
        task, other = service.add(4), service.add(50)
        both = asyncio.create_task(join(service).wait([task, other]))
        await asyncio.sleep(10)
        begun = now()
        assert set((await join(service).wait([task])).settled) == {task}
        assert now() == begun
        assert len((await both).settled) == 2
        await quiet(service)

    run(main())


def test_a_newcomer_with_an_earlier_look_wakes_the_sweep() -> None:
    """Else it would wait for the look that somebody else planned."""

    async def main() -> None:
        service = MemoryService()
        patient = asyncio.create_task(join(service).wait([service.add(1)], first_look=1000))
        await asyncio.sleep(1)
        begun = now()
        await join(service).wait([service.add(1)], first_look=2)
        assert now() - begun < 4
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)

    run(main())


def test_a_rotated_key_is_read_anew_and_nobody_notices() -> None:
    """The connection was changed while a thousand tasks wait."""

    async def main() -> None:
        service = MemoryService()
        waiting = asyncio.create_task(join(service).wait([service.add(20)]))
        await asyncio.sleep(3)
        service.refuse = ClarityAuthError("refused")
        real = service.client

        async def renewed() -> Any:
            service.refuse = None
            return await real()

        join(service).client_factory = renewed
        assert (await waiting).unreachable is None
        assert service.made_clients == 2
        await quiet(service)

    run(main())


def test_a_key_that_stays_refused_tells_everybody_why() -> None:
    """The event says so; the worker then raises it. Nothing is lost."""

    async def main() -> None:
        service = MemoryService()
        service.refuse = ClarityAuthError("The key was refused.")
        results = await asyncio.gather(*(join(service).wait([service.add(5)]) for _ in range(3)))
        assert {result.unreachable for result in results} == {"The key was refused."}
        assert len(service.asked) == 2, "one with the old key, one with the key read anew"
        await quiet(service)

    run(main())


def test_a_connection_that_cannot_be_read_tells_everybody_why() -> None:
    """Without it a deleted connection would wait until the deadline."""

    async def main() -> None:
        async def gone() -> Any:
            raise ClarityAuthError("There is no Runware API key.")

        hub = PollHub.join(gone, base_url="https://x", api_key="k")
        assert (await hub.wait([uuid4()])).unreachable == "There is no Runware API key."
        assert hub.idle

    run(main())


def test_a_defect_reaches_those_who_wait() -> None:
    """A sweep that died unseen would let all of them wait for ever."""

    async def main() -> None:
        service = MemoryService()

        def broken(_: list[UUID]) -> PollReply:
            raise ZeroDivisionError

        service.answer = broken
        waits = await asyncio.gather(*(join(service).wait([uuid4()]) for _ in range(2)), return_exceptions=True)
        assert [type(error) for error in waits] == [ZeroDivisionError, ZeroDivisionError]
        await quiet(service)

    run(main())


def test_polls_that_fail_are_no_news_and_slow_down() -> None:
    """An outage must neither fail a task nor be hammered."""

    async def main() -> None:
        service = MemoryService()
        service.answer = lambda _: PollReply()
        waiting = asyncio.create_task(join(service).wait([service.add(5)]))
        await asyncio.sleep(300)
        assert not waiting.done()
        assert len(service.asked) <= 14
        service.answer = None
        assert len((await waiting).settled) == 1

    run(main())


def test_retry_after_is_a_floor() -> None:
    """The service asked for it."""

    async def main() -> None:
        service = MemoryService()
        service.answer = lambda _: PollReply(throttled=True, retry_after=90)
        waiting = asyncio.create_task(join(service).wait([service.add(5)]))
        await asyncio.sleep(80)
        assert len(service.asked) == 1
        service.answer = None
        await waiting
        assert service.asked[1][0] - service.asked[0][0] >= 90

    run(main())


def test_the_sweep_runs_in_an_empty_context() -> None:
    """Airflow keeps the log of a trigger in a context variable: inherited, all lines would go to the first one."""
    variable = contextvars.ContextVar("trigger", default="nobody")

    async def main() -> None:
        variable.set("the first trigger")
        service = MemoryService()
        await join(service).wait([service.add(2)])
        assert service.contexts
        assert all("trigger" not in context for context in service.contexts)

    run(main())


def test_other_keys_and_other_loops_have_other_hubs() -> None:
    """A client belongs to one loop; a key to one account."""

    async def hub() -> PollHub:
        service = MemoryService()
        assert join(service) is join(service)
        assert join(service) is not join(service, key="another")
        await join(service).wait([service.add(1)])
        return join(service)

    assert run(hub()) is not run(hub())


def test_two_loops_in_two_threads_do_not_meet() -> None:
    """Tests and some executors run a loop a thread."""
    results: list[WaitResult] = []

    async def main() -> None:
        service = MemoryService()
        tasks = [service.add(5) for _ in range(20)]
        results.append(await join(service).wait(tasks))
        await quiet(service)

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(result.settled) for result in results] == [20, 20]


def test_a_loop_that_is_shut_down_wakes_nobody_wrongly_and_leaves_nothing() -> None:
    """asyncio.run cancels what is left: the sockets must close then too."""
    service = MemoryService()
    threads = threading.active_count()

    async def main() -> None:
        asyncio.get_running_loop().create_task(join(service).wait([service.add(100)]))
        await asyncio.sleep(2)

    run(main())
    assert service.open_clients == 0
    assert threading.active_count() <= threads


def test_a_sweep_that_is_cancelled_by_a_stranger_says_so() -> None:
    """A framework that cancels all tasks must not leave waiters without an end."""

    async def main() -> None:
        service = MemoryService()
        waiting = asyncio.create_task(join(service).wait([service.add(100)]))
        await asyncio.sleep(2)
        (sweep,) = [task for task in asyncio.all_tasks() if task.get_name() == "clarity-poll-hub"]
        sweep.cancel()
        assert "stopped" in str((await waiting).unreachable)
        await quiet(service)

    run(main())


def test_a_hub_keeps_nothing_of_what_is_over() -> None:
    """A triggerer runs for months; a state kept for each task is a leak."""

    async def main() -> None:
        service = MemoryService()
        await lags_of(service, [2.0] * 50)
        hub = join(service)
        assert (len(hub._schedule), hub._settled, hub._by_task, hub._waiters) == (0, {}, {}, set())
        gc.collect()

    run(main())
