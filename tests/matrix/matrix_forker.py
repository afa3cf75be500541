"""Runs operators and triggers, each in a process of its own, as a worker and a triggerer do.

Everything is imported once; each job is then a fork, so a hundred processes cost seconds, and each can be killed by
its id. A job is a line of JSON on stdin, what became of it two lines on stdout: ``{"id", "pid"}`` and ``{"id",
"code"}``. When stdin closes, all that still runs is killed.

What Airflow would show or store of a job lies in its folder afterwards: ``log.txt`` (everything, DEBUG),
``rendered.json``, ``xcom.json``, ``out.json`` (the result, the row of the trigger, its event, or the error),
``reprs.txt``, ``traceback.txt``. What must be in none of these, the URLs that were really sent, is written to
``secrets``, beside them.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM = (
    "google.cloud.storage",
    "google.oauth2.service_account",
    "httpx",
    "airflow_provider_clarity.batch.drive",
    "airflow_provider_clarity.hooks.google",
    "airflow_provider_clarity.operators.upscale",
    "airflow_provider_clarity.operators.wiring",
    "airflow_provider_clarity.runware.client",
    "airflow_provider_clarity.runware.hub",
    "airflow_provider_clarity.runware.parameters",
    "airflow_provider_clarity.triggers.upscale",
)


@dataclass
class TaskInstance:
    """What the operator needs of a task instance; what it pushes is on disk at once, as Airflow's is."""

    folder: Path
    dag_id: str
    run_id: str
    task_id: str
    max_tries: int
    map_index: int = -1

    def xcom_push(self, key: str, value: Any) -> None:
        with (self.folder / "xcom.json").open("a") as out:
            out.write(json.dumps({key: value}) + "\n")


def main() -> None:
    """Fork for each line until stdin ends."""
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    running: dict[int, tuple[int, int]] = {}
    buffer = b""
    tell(ready=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj == sys.stdin.fileno():
                piece = os.read(sys.stdin.fileno(), 1 << 16)
                if not piece:
                    for pid, _ in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                *lines, buffer = (buffer + piece).split(b"\n")
                for line in lines:
                    job = json.loads(line)
                    pid = fork(job)
                    watch = os.pidfd_open(pid)
                    running[watch] = (pid, job["id"])
                    selector.register(watch, selectors.EVENT_READ)
                    tell(id=job["id"], pid=pid)
            else:
                watch = int(key.fd)
                pid, number = running.pop(watch)
                selector.unregister(watch)
                os.close(watch)
                tell(id=number, code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def tell(**what: Any) -> None:
    """Write a line for who started us."""
    os.write(1, json.dumps(what).encode() + b"\n")


def fork(job: dict[str, Any]) -> int:
    """Run a job in a child; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        begin(job)
        code = work(job)
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def begin(job: dict[str, Any]) -> None:
    """Become the process of that job: its environment, its log, its secrets."""
    folder = Path(job["folder"])
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ |= job["environment"]
    _stay_here()
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True)
    from airflow_provider_clarity.runware.client import ClarityClient  # noqa: PLC0415

    real = ClarityClient.submit

    async def submit(self: ClarityClient, tasks: Any) -> Any:
        urls = [str(url) for task in tasks for url in (task.upload_endpoint, task.inputs.image)]
        note(Path(job["secrets"]), "\n".join(url for url in urls if "?" in url))
        return await real(self, tasks)

    ClarityClient.submit = submit  # type: ignore[method-assign]


def _stay_here() -> None:
    """Keep google-auth from asking the real iamcredentials.googleapis.com for a "regional access boundary"."""
    import google.auth.credentials as known  # noqa: PLC0415

    asking: Any = getattr(known, "CredentialsWithRegionalAccessBoundary", None)
    if asking is not None:
        asking._is_regional_access_boundary_lookup_required = lambda _: False


def work(job: dict[str, Any]) -> int:
    """Do what the job asks for; 0 if that came to an end that Airflow understands."""
    folder = Path(job["folder"])
    out = asyncio.run(trigger(job, folder)) if job["do"] == "trigger" else task(job, folder)
    partial = folder / "out.part"
    partial.write_text(json.dumps(out))
    partial.rename(folder / "out.json")
    return 0


async def trigger(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Load a trigger from its row, and wait for its event."""
    path, _, name = job["trigger"]["class"].rpartition(".")
    waiting = getattr(importlib.import_module(path), name)(**job["trigger"]["arguments"])
    note(folder / "reprs.txt", f"{waiting!r}\n{vars(waiting)!r}")
    logging.getLogger("triggerer").info("trigger %s starting", waiting)
    async for event in waiting.run():
        return {"kind": "event", "event": event.payload, "repr": repr(event)}
    raise RuntimeError("a trigger ended without an event")


def task(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run a try of the operator, or resume it."""
    from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred  # noqa: PLC0415

    from airflow_provider_clarity.operators.upscale import UpscaleOperator  # noqa: PLC0415

    operator = UpscaleOperator(task_id=job["ti"]["task_id"], **job["operator"])
    context: Any = {"ti": TaskInstance(folder, **job["ti"])}
    rendered = {name: getattr(operator, name) for name in operator.template_fields}
    note(folder / "rendered.json", json.dumps(rendered))
    note(folder / "reprs.txt", f"{operator!r}\n{vars(operator)!r}")
    try:
        if job["do"] == "resume":
            result = operator.execute_complete(context, job["event"])
        else:
            result = operator.execute(context)
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        row = {"class": path, "arguments": json.loads(json.dumps(arguments))}
        note(folder / "reprs.txt", repr(deferred.trigger))
        return {"kind": "deferred", "trigger": row, "method": deferred.method_name}
    except Exception as error:  # as Airflow does: it fails for good, or is tried again
        note(folder / "traceback.txt", "".join(traceback.format_exception(error)))
        note(folder / "reprs.txt", f"{error!r}\n{vars(error)!r}")
        logging.getLogger("task").exception("Task failed with exception")
        final = isinstance(error, AirflowFailException)
        name = type(error.__cause__ if final and error.__cause__ is not None else error).__name__
        return {"kind": "failed" if final else "retry", "error": name, "message": str(error)}
    note(folder / "reprs.txt", f"{vars(operator)!r}")
    return {"kind": "success", "result": result}


def note(path: Path, text: str) -> None:
    """Add a text to a file."""
    with path.open("a") as out:
        out.write(text + "\n")


if __name__ == "__main__":
    main()
