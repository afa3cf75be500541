"""The measured process: one plan, part by part, as a backfill asks for it. Prints its figures as one line of JSON."""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_provider_clarity.batch.plan.grammar import parse_batch_source
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.plan.survey import survey
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri


def memory(key: str) -> float:
    """MB of this process: ``VmRSS`` now, ``VmHWM`` at most since it was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def seconds_of_processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def blobs(client: storage.Client) -> dict[str, float]:
    """How fast the library's own rows are read, over one in ten of the names; for the comparison."""
    began, processor, rows = time.perf_counter(), seconds_of_processor(), 0
    for bucket in ("raw", "print"):
        for blob in client.list_blobs(bucket):
            _ = (blob.name, blob.generation, blob.size, blob.content_type, blob.metadata)
            rows += 1
            if rows % 100_000 == 0:
                break
    return {"rows": rows, "seconds": time.perf_counter() - began, "cpu": seconds_of_processor() - processor}


def main() -> None:
    """Plan, and say what it took."""
    url, what = sys.argv[1], sys.argv[2]
    os.environ["STORAGE_EMULATOR_HOST"] = url
    os.environ["NO_PROXY"] = "127.0.0.1"
    client = storage.Client(project="bench", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    if what == "blobs":
        print(json.dumps(blobs(client)), flush=True)  # noqa: T201
        return
    store = ObjectStore(client)
    wanted = Wanted(
        source=parse_batch_source("gs://raw/archive/"),
        destination=GsUri("print", "archive/"),
        parameters=parameters_from_user(output_format="JPG"),
        api_host="api.runware.ai",
        run_key="dag/run/task",
    )
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began, processor = time.perf_counter(), seconds_of_processor()
    first = first_to_do = 0.0
    found = {"done": 0, "to_do": 0, "parts": 0}
    if what == "survey":
        counts = survey(store, wanted).counts
        found |= {"done": counts.done, "to_do": counts.to_do}
    else:
        for part in StoredPlan(store, GsUri("print", "_clarity/runs/bench/plan/"), wanted).parts():
            first = first or time.perf_counter() - began
            done = sum(row.outcome == "done" for row in part.rows)
            found["done"] += done
            found["to_do"] += len(part.rows) - done
            found["parts"] += 1
            if found["to_do"]:
                first_to_do = first_to_do or time.perf_counter() - began
    seconds = time.perf_counter() - began
    print(  # noqa: T201
        json.dumps(
            found
            | {
                "first": first,
                "first_to_do": first_to_do,
                "seconds": seconds,
                "cpu": seconds_of_processor() - processor,
                "memory": memory("VmHWM") - before,
                "rows": 2 * found["done"] + found["to_do"],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
