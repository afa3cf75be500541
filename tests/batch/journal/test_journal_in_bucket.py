"""The ledger in a real store, with real races: preconditions decide, and segments read back as they were written."""

from __future__ import annotations

import threading
import time

from bench import Bench
from journal_fakes import intent

from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.segments import find_segments, read_segments, read_state
from airflow_provider_clarity.batch.journal.state import RunState, replayed
from airflow_provider_clarity.exceptions import ClarityFencedError
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri


def test_of_runners_at_the_same_time_one_writes(bench: Bench) -> None:
    """Three runners take over and append as fast as they can: one story comes of it, with all that was granted."""
    root = GsUri(bench.bucket, "_clarity/runs/dag/run%2F1/task/-1/0a1b2c3d/0/")
    granted: list[int] = []
    numbers = iter(range(10_000))
    together = threading.Barrier(3)

    def work(name: str) -> None:
        for life in range(3):
            journal = Journal(
                ObjectStore(bench.client), root, f"{name}{life}", clock=time.time, monotonic=time.monotonic
            )
            together.wait()
            try:
                journal.open()
                for _ in range(6):
                    number = next(numbers)
                    journal.append([intent(number)])
                    granted.append(number)
            except ClarityFencedError:
                pass

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = find_segments(bench.store, root)
    state = RunState()
    for segment in read_segments(bench.store, root, found):
        state = replayed(state, segment)
    assert state == read_state(bench.store, root, found)
    assert set(granted) == {item.position for item in state.open.values()}
    assert granted
    assert state.epoch >= 3
