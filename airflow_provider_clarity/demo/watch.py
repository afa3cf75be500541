"""Runs the mapped example once and tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from airflow_provider_clarity.demo.airflow import AirflowInstance
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.progress import Progress

DAG_ID = "clarity_mapped_handful"
TASK_ID = "upscale"
DESTINATION = "print"

_FINAL = frozenset(("success", "failed"))
_LOOK_EVERY = 1.0
"""Seconds: more often would take time from Airflow, and tell in five lines what fits in one."""
_PATIENCE = 180
_PATIENCE_EACH = 10

Say = Callable[[str], None]


def run_example(airflow: AirflowInstance, emulator: Emulator, sources: Sequence[str], say: Say) -> tuple[str, Progress]:
    """Start a run over the uploaded photographs and wait until it has ended.

    :param airflow: healthy
    :param emulator: where the photographs are
    :param sources: their ``gs://`` URIs
    :param say: tells a person
    :return: the id of the run, and what was told
    :raises AirflowError: Airflow broke, or the time is over
    """
    run_id = airflow.trigger(DAG_ID, {"sources": list(sources), "destination": f"gs://{DESTINATION}/"})
    say(f"The DAG {DAG_ID} runs: {len(sources)} mapped tasks")
    progress = Progress([uri.rpartition("/")[2] for uri in sources], TASK_ID)
    next_look = 0.0

    def ended() -> bool:
        nonlocal next_look
        if time.monotonic() < next_look:
            return False
        next_look = time.monotonic() + _LOOK_EVERY
        over = airflow.api.run_state(DAG_ID, run_id) in _FINAL
        submitted = {str(one["source"]) for one in emulator.purchases().values()}
        for sentence in progress.news(airflow.task_instances(DAG_ID, run_id), submitted):
            say(f"  {sentence}")
        return over

    airflow.wait_until(ended, _PATIENCE + _PATIENCE_EACH * len(sources), "The run has not ended")
    return run_id, progress
