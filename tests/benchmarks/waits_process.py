"""A thousand triggers in one process, as a triggerer runs them, and what they do to its event loop.

Reads its orders from standard input as JSON: ``tasks`` (``uuid``, and ``at``: when it was sent), ``loops`` (1 or 2),
``cancel_first`` (seconds, or null), ``rotate`` (``at`` and ``connection``, or null). Writes what happened as JSON.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import contextvars
import gc
import json
import logging
import os
import sys
import threading
import time
from typing import Any

from airflow_provider_clarity.triggers.upscale import UpscaleTrigger

BEAT = 0.005
_HERE = threading.local()
_OWNER: contextvars.ContextVar[str | None] = contextvars.ContextVar("owner", default=None)


def _collected() -> float:
    """Seconds that this thread spent in the garbage collector."""
    return getattr(_HERE, "collected", 0.0)


class Watch:
    """Measures one loop: the longest gap between two heartbeats, as the clock and as the processor's time say.

    The latter is what the loop itself worked meanwhile: no other process of the machine can lengthen it.

    What the garbage collector took is counted beside: it walks all that Airflow has loaded, whoever sets it off.
    """

    gap = 0.0
    gap_at = 0.0
    busy = 0.0
    callback = 0.0
    collection = 0.0
    slowest = ""

    def install(self) -> None:
        """Time every callback of every loop of the process. The processor's time leaves out what others took of it."""
        run = asyncio.events.Handle._run

        def collect(phase: str, info: dict[str, int]) -> None:  # noqa: ARG001 - the collector's signature
            if phase == "start":
                _HERE.collecting = time.thread_time()
            else:
                took = time.thread_time() - _HERE.collecting
                _HERE.collected = _collected() + took
                self.collection = max(self.collection, took)

        def timed(handle: asyncio.events.Handle) -> None:
            began, collected = time.thread_time(), _collected()
            run(handle)
            took = time.thread_time() - began - (_collected() - collected)
            if took > self.callback:
                self.callback, self.slowest = took, repr(handle)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign]
        gc.callbacks.append(collect)

    async def beat(self) -> None:
        """Beat until cancelled."""
        began = time.monotonic()
        last, busy = time.monotonic(), time.thread_time() - _collected()
        while True:
            await asyncio.sleep(BEAT)
            now, worked = time.monotonic(), time.thread_time() - _collected()
            if now - last - BEAT > self.gap:
                self.gap, self.gap_at = now - last - BEAT, now - began
            last = now
            self.busy, busy = max(self.busy, worked - busy), worked


class Ears(logging.Handler):
    """Says of each log line whose context it was written in: its own task's, nobody's, or a stranger's."""

    own = nobody = strangers = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - where it is written is what counts
        owner = _OWNER.get()
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if owner is None:
            self.nobody += 1
        elif task is not None and task.get_name() == owner:
            self.own += 1
        else:
            self.strangers += 1


async def wait_for(task: dict[str, Any], told: dict[str, float], trouble: list[str]) -> None:
    """Run one trigger as a triggerer does: in a context of its own, begun when its task was sent."""
    await asyncio.sleep(max(0.0, task["at"] - time.monotonic()))
    _OWNER.set(task["uuid"])
    logging.getLogger("airflow_provider_clarity.bench").info("waits for %s", task["uuid"])
    now = time.time()
    trigger = UpscaleTrigger(
        clarity_conn_id="clarity_default",
        run="gs://bench/run.json",
        task_uuids=[task["uuid"]],
        first_look=now + 1.5,  # what a worker says that has just sent a task
        deadline=now + 600,
        sent_at=now - max(0.0, time.monotonic() - task["at"]),
    )
    async for event in trigger.run():
        told[task["uuid"]] = time.monotonic()
        payload = event.payload
        if payload["status"] != "settled":
            trouble.append(f"{payload['status']}: {payload['message']}")


async def main(orders: dict[str, Any], tasks: list[dict[str, Any]], watch: Watch, found: dict[str, Any]) -> None:
    """Run these triggers on this loop."""
    told: dict[str, float] = {}
    trouble: list[str] = []
    beating = asyncio.create_task(watch.beat())
    running = []
    for task in tasks:
        running.append(asyncio.create_task(wait_for(task, told, trouble), name=task["uuid"]))
        if task["at"] <= time.monotonic():
            await asyncio.sleep(0)  # as Airflow's triggerer does after each that it creates
    if orders["cancel_first"] is not None:
        asyncio.get_running_loop().call_later(orders["cancel_first"], running[0].cancel)
    if orders["rotate"] is not None:
        seconds = max(0.0, orders["rotate"]["at"] - time.monotonic())
        connection = json.dumps(orders["rotate"]["connection"])
        asyncio.get_running_loop().call_later(
            seconds, os.environ.__setitem__, "AIRFLOW_CONN_CLARITY_DEFAULT", connection
        )
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    beating.cancel()
    await asyncio.sleep(0.2)
    found["told"] |= told
    found["trouble"] += trouble
    found["cancelled"] += sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    found["errors"] += [repr(outcome) for outcome in outcomes if isinstance(outcome, Exception)]
    found["tasks_left"] += len(asyncio.all_tasks()) - 1


def measure(orders: dict[str, Any]) -> dict[str, Any]:
    """Do what was ordered."""
    ears, watches = Ears(), [Watch() for _ in range(orders["loops"])]
    for name in (None, "airflow_provider_clarity"):
        logging.getLogger(name).addHandler(ears)
        logging.getLogger(name).setLevel(logging.DEBUG)
    found: dict[str, Any] = {"told": {}, "trouble": [], "cancelled": 0, "errors": [], "tasks_left": 0}
    before = set(threading.enumerate())
    watches[0].install()
    began = time.process_time()
    parts = [orders["tasks"][number :: orders["loops"]] for number in range(orders["loops"])]
    more = [
        threading.Thread(target=lambda pair: asyncio.run(main(orders, pair[0], pair[1], found)), args=(pair,))
        for pair in zip(parts[1:], watches[1:], strict=True)
    ]
    for thread in more:
        thread.start()
    asyncio.run(main(orders, parts[0], watches[0], found))
    for thread in more:
        thread.join()
    return found | {
        "cpu": time.process_time() - began,
        "gap_at": watches[0].gap_at,
        "gap": max(watch.gap for watch in watches),
        "busy": max(watch.busy for watch in watches),
        "callback": watches[0].callback,
        "collection": watches[0].collection,
        "slowest": watches[0].slowest,
        "threads_left": [thread.name for thread in set(threading.enumerate()) - before],
        "log": {"own": ears.own, "nobody": ears.nobody, "strangers": ears.strangers},
    }


if __name__ == "__main__":
    # A triggerer has read a connection before, with Airflow's own imports and its one thread. Ours are still cold.
    from airflow.providers.common.compat.connection import get_async_connection

    asyncio.run(get_async_connection("clarity_default"))
    assert "airflow_provider_clarity.runware.hub" not in sys.modules
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(measure(json.loads(sys.stdin.readline()))) + "\n")
