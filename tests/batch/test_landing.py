"""How a picture gets from the service into staging, and what a person is told where that went another way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench import QUICK, Bench

from airflow_provider_clarity.batch.engine import Run

PATIENT = replace(QUICK, upload_grace=20.0)


async def test_what_the_worker_fetches_is_delivered_at_once(bench: Bench) -> None:
    """Breaks if it counts as a failed upload, or waits for one that nobody asked for."""
    bench.upload()
    by_worker = replace(bench, upload_via="worker")
    end = await by_worker.run(bench.item(), rules=PATIENT, seconds=15)
    assert (end.outcome, end.notes) == ("delivered", ())
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]
    assert bench.emulator.accounts()["uploads"] == {}
    attempt = bench.record(bench.item()).last
    assert attempt is not None
    assert (attempt.outcome, attempt.endpoint_expires_at) == ("delivered", None)


async def test_a_picture_whose_address_knows_it_a_moment_later_is_delivered(bench: Bench) -> None:
    """Breaks if one 404 just after success ends a round, and a person must clear it."""
    bench.upload()
    bench.emulator.faults([{"operation": "image", "fault": "status_404", "times": 1}])
    end = await replace(bench, upload_via="worker").run(bench.item())
    assert bench.emulator.faults()[0]["fired"] == 1
    assert (end.outcome, end.notes) == ("delivered", ())
    assert bench.counts() == [1]


async def test_a_page_in_place_of_the_picture_is_not_taken_for_it(bench: Bench) -> None:
    """Breaks if one page of a proxy, answered with 200, ends a round: the picture still lives and is paid."""
    bench.upload()
    bench.emulator.faults([{"operation": "image", "fault": "html", "times": 2}])
    end = await replace(bench, upload_via="worker").run(bench.item())
    assert bench.emulator.faults()[0]["fired"] == 2
    assert (end.outcome, end.notes) == ("delivered", ())
    assert bench.picture(end.uri).size == (80, 60)
    assert bench.counts() == [1]


async def test_a_picture_that_the_worker_cannot_fetch_is_fetched_after_a_clear(bench: Bench) -> None:
    """Breaks if an address that answers 404 for good is asked for ever, or costs a second purchase, or the picture."""
    bench.upload()
    bench.emulator.faults([{"operation": "image", "fault": "status_404", "times": 3}])
    by_worker = replace(bench, upload_via="worker")
    failed = await by_worker.run(bench.item())
    assert failed.failure is not None
    assert (failed.outcome, failed.failure.kind) == ("failed", "delivery")
    assert [note for note in failed.notes if "the host answered 404" in note]
    end = await by_worker.run(bench.item(), run=Run("dag/run/task", round_number=1))
    assert (end.outcome, end.notes) == ("delivered", ())
    assert bench.emulator.faults()[0]["fired"] == 3
    assert bench.counts() == [1]


@pytest.mark.parametrize(("fault", "told"), [("refuse_403", True), ("expire", True), ("wrong_bytes", False)], ids=str)
async def test_an_upload_that_never_came_is_said_once(bench: Bench, fault: str, told: bool) -> None:  # noqa: FBT001
    """Breaks if uploads that are refused at our door are mended in silence, each at the price of a fetch."""
    bench.upload()
    bench.emulator.faults([{"operation": "upload", "fault": fault, "times": 1}])
    end = await bench.run(bench.item())
    assert end.outcome == "recovered"
    assert len([note for note in end.notes if "upload_via" in note]) == told
