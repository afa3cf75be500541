"""While a backfill runs: what is told, and whose worker is killed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from airflow_provider_clarity.demo.backfill.kill import FEW, Killer, victim
from airflow_provider_clarity.demo.backfill.progress import DaySeen, Progress


def seen(day: str = "2026-01-01", **other: Any) -> DaySeen:
    usual: dict[str, Any] = {"state": "running", "tries": 1, "bought": 0, "in_flight": 0, "landed": 0}
    return DaySeen(day=day, **(usual | other))


def test_numbers_are_told_when_they_changed_and_not_more_often_than_every_few_seconds() -> None:
    """A look a second must not be a line a second; a run in which nothing happens has none."""
    progress = Progress(40, {})
    assert progress.news([seen()], 0) == []
    assert progress.news([seen()], 100) == []
    assert progress.news([seen(bought=4, in_flight=4)], 101) == ["bought 4, at work on 4, delivered 0 of 40 each"]
    assert progress.news([seen(bought=8, in_flight=4)], 103) == []
    (line,) = progress.news([seen(bought=8, in_flight=8), seen("2026-01-02", bought=3)], 106)
    assert line == "bought 8 + 3, at work on 8 + 0, delivered 0 + 0 of 40 each"


def test_the_last_numbers_are_told_at_once() -> None:
    """Else the end of a run could be missing."""
    progress = Progress(2, {})
    progress.news([seen()], 0)
    assert progress.news([seen(bought=2, in_flight=1, landed=1)], 10)
    assert progress.news([seen(bought=2, landed=2)], 11) == ["bought 2, at work on 0, delivered 2 of 2 each"]


def test_each_event_of_a_day_is_told_once() -> None:
    """Deferred, taken up by another try, over."""
    progress = Progress(40, {})
    assert progress.news([seen(state="deferred")], 0) == [
        "2026-01-01  its worker is free while the service works: deferred"
    ]
    assert progress.news([seen(state="deferred")], 1) == []
    assert progress.news([seen(tries=2)], 2) == ["2026-01-01  try 2 goes on with what was bought"]
    assert progress.news([seen(state="success", tries=2)], 3) == ["2026-01-01  over"]
    assert progress.news([seen("2026-01-02", state="failed", landed=3)], 4)[-1] == (
        "2026-01-02  failed, 3 of 40 are there"
    )


def test_tries_of_an_earlier_backfill_are_not_counted() -> None:
    """Airflow goes on counting them; a day that has not begun again is not over."""
    progress = Progress(40, {"2026-01-01": 2})
    assert progress.news([seen(state="success", tries=2)], 0) == []
    assert progress.news([seen(tries=3)], 1) == []
    assert progress.news([seen(state="success", tries=3)], 2) == ["2026-01-01  over"]


def test_the_worker_with_most_in_flight_is_killed() -> None:
    """A worker that has nothing in flight, or that was freed, would prove nothing."""
    few, more, most = (seen(str(number), in_flight=FEW + number) for number in (-1, 0, 5))
    assert victim([few]) is None
    assert victim([seen(state="deferred", in_flight=40)]) is None
    assert victim([few, most, more]) == most


class Workers:
    """What a killer asks of Airflow: the processes of a day's task."""

    def __init__(self, *pids: int) -> None:
        self.pids = pids

    def task_pids(self, _dag_id: str, run_id: str, _task_id: str) -> list[int]:
        assert run_id == "its run"
        return list(self.pids)


def look(killer: Killer, *pids: int) -> str | None:
    airflow: Any = Workers(*pids)
    return killer.look(airflow, {"2026-01-01": "its run"}, [seen(in_flight=FEW)])


def test_a_worker_is_killed_once_and_what_supervises_it_is_not() -> None:
    """Airflow has to notice the death by itself; a second kill would be another story."""
    worker, supervisor = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    with worker, supervisor:
        killer = Killer()
        said = look(killer, worker.pid, supervisor.pid)
        assert said is not None
        assert f"process {worker.pid}, with {FEW} purchases in flight" in said
        assert worker.wait(timeout=30) == -9
        assert look(killer, supervisor.pid) is None
        assert supervisor.poll() is None


def test_a_worker_that_ended_before_it_could_be_killed_was_not_killed() -> None:
    """Another is looked for."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    killer = Killer()
    assert look(killer, gone.pid) is None
    assert look(killer) is None
    assert killer.done is None
