"""The kill matrix: one image, a process killed at every moment, in every world that may be the real one.

A world is what nobody knows of the service: whether it refuses a task UUID for ever or only while its task runs, and
whether it keeps a result or forgets it after a minute (both look-ups). Each cell is one image with real processes of
the operator and the trigger, killed by SIGKILL at a moment that the emulator holds and proves; then what Airflow would
start next. Where results are forgotten, it starts only after that.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from matrix_life import End, Kill, Life
from matrix_moments import DEFERRED, MOMENTS, Moment
from matrix_processes import Processes
from matrix_run import FIRST_CASE, Report, chosen, counts, run_all, summary
from matrix_world import FINAL, Bench

RETENTION = 60.0
BRIEF = 10.0
PRICE = 0.0013
Upload = Literal["arrives", "refused"]
Mode = Literal["waiting", "deferring"]
MODES: tuple[Mode, ...] = ("waiting", "deferring")


def _world(conflict: str, retention: float | None) -> dict[str, Any]:
    return {
        "conflict_after_done": conflict,
        "result_retention_s": retention,
        "details_retention_s": retention,
        "upload_lag_s": 12.0 if retention in (None, RETENTION) else 6.0,
    }


WORLDS = {
    "refused for ever, kept": _world("conflict", None),
    "refused in flight, kept": _world("accept", None),
    "refused for ever, forgotten": _world("conflict", RETENTION),
    "refused in flight, forgotten": _world("accept", RETENTION),
    "refused in flight, forgotten soon": _world("accept", BRIEF),
}
BIG = [name for name in WORLDS if "soon" not in name]
SOON = "refused in flight, forgotten soon"


@dataclass(frozen=True)
class Cell:
    """One case.

    :param what: the moment, or the story
    :param upload: whether what the service uploads is taken, the first time
    """

    what: str
    mode: Mode
    world: str
    upload: Upload = "arrives"

    @property
    def name(self) -> str:
        """As the test is called."""
        return f"{self.what}, {self.mode}, upload {self.upload}, {self.world}"

    @property
    def forgotten(self) -> bool:
        """Whether this world forgets results."""
        return "forgotten" in self.world

    @property
    def taken_again(self) -> bool:
        """Whether this world takes the UUID of a finished task again."""
        return "in flight" in self.world


STORIES = (
    "nothing happens",
    "two runs",
    "two runs, the owner killed",
    "source replaced",
    "source replaced, killed",
    "destination deleted, killed",
    "destination deleted, cleared",
    "destination taken",
)
DEFERRED_STORIES = ("triggerer killed", "cleared while deferred")
REFUSABLE = ("before_the_reply", "after_the_reply", "acknowledged", "while_it_uploads")


def cells() -> Iterator[Cell]:
    """All of them."""
    for what, mode, world in itertools.product(MOMENTS, MODES, BIG):
        yield Cell(what, mode, world)
    for what, mode, world in itertools.product(REFUSABLE, MODES, BIG):
        yield Cell(what, mode, world, "refused")
    for what, world in itertools.product(DEFERRED_STORIES, BIG):
        yield Cell(what, "deferring", world)
        yield Cell(what, "deferring", world, "refused")
    for what, mode, world in itertools.product(STORIES, MODES, BIG):
        yield Cell(what, mode, world)


SAMPLE = (
    Cell("before_the_submit", "waiting", SOON),
    Cell("before_the_reply", "deferring", SOON),
    Cell("before_the_reply", "waiting", SOON, "refused"),
    Cell("while_it_uploads", "deferring", SOON),
    Cell("promoted_unheard", "waiting", SOON),
    Cell("all_noted", "deferring", SOON),
    Cell("triggerer killed", "deferring", SOON),
    Cell("cleared while deferred", "deferring", SOON),
    Cell("two runs, the owner killed", "waiting", SOON),
    Cell("source replaced, killed", "deferring", SOON),
)
"""What every test run does; the whole takes minutes, see ``.ci/run matrix``."""


def play(cell: Cell, processes: Processes, bench: Bench, folder: Path) -> Report:
    """Live through one case."""
    number = sum(cell.name.encode())
    operator = {
        "item_timeout": 36 if cell.world == SOON else 60,
        "upload_via": ("auto", "resumable_session")[number % 2],
    }
    life = Life(processes, bench, folder, cell.mode == "deferring", operator=operator)
    if cell.upload == "refused":
        bench.arm("upload", "refuse_403")
    tale = TALES.get(cell.what)
    ends = tale(cell, life) if tale else [_killed(life, MOMENTS[cell.what])]
    if any(end.state == "success" for end in ends):
        bench.check_picture()
    elif cell.what == "destination taken":
        assert bench.blob(FINAL).download_as_bytes() == b"somebody else's"
        (kept,) = bench.names("_clarity/undelivered/")
        assert f"gs://{bench.bucket}/{kept}" in ends[0].message
        bench.check_picture(kept)
    else:
        assert not bench.delivered
    return Report(
        cell.name, ends, counts(bench), kills=life.killed, processes=life.started, named=_named(cell),
    )  # fmt: skip


def _killed(life: Life, moment: Moment) -> End:
    """Kill it there; Airflow goes on, once the service has forgotten what it may forget."""
    moment.arm(life.bench)
    end = life.run(moment.kill(), after_kill=life.bench.wait_forgotten)
    assert life.killed == 1, "the moment never came"
    return end


def _undisturbed(_: Cell, life: Life) -> list[End]:
    return [life.run()]


def _trigger_killed(_: Cell, life: Life) -> list[End]:
    return [_killed(life, DEFERRED)]


def _cleared(_: Cell, life: Life) -> list[End]:
    def clear(life: Life) -> bool:
        life.bench.world.look()
        assert life.bench.bought
        life.killed += 1
        return True

    return [life.run(while_deferred=clear, after_kill=life.bench.wait_forgotten)]


def _other(life: Life) -> Life:
    """Make another run of the same image."""
    return Life(life.processes, life.bench, life.folder, life.deferrable, run_id="other", operator=life.operator)


def _two_runs(cell: Cell, life: Life) -> list[End]:
    """Two DAG runs begin at the same time; one of them may be killed between its POST and the reply."""
    other, ends = _other(life), {}
    killed = "killed" in cell.what
    if killed:
        MOMENTS["before_the_reply"].arm(life.bench)

    def run() -> None:
        ends["other"] = other.run()

    # Where the owner dies, it must be this life: the other comes a moment later.
    second = threading.Thread(target=run)
    if not killed:
        second.start()
        first = life.run()
    else:
        kill = MOMENTS["before_the_reply"].kill()
        come = kill.come

        def come_with_company(bench: Bench) -> bool:
            if come(bench) and second.ident is None:
                second.start()
            return other.started > 0 and come(bench)

        first = life.run(Kill("worker", come_with_company, kill.proof), after_kill=life.bench.wait_forgotten)
        assert life.killed == 1
    second.join()
    life.started += other.started
    return [first, ends["other"]]


def _replaced(cell: Cell, life: Life) -> list[End]:
    """The source gets another picture while the first is in flight; then another run wants that one."""
    bench = life.bench

    def replace() -> None:
        bench.put_source(f"{bench.label} (new)")

    def replaced_and_forgotten() -> None:
        replace()
        bench.wait_forgotten()

    if "killed" in cell.what:
        moment = MOMENTS["acknowledged"]
        moment.arm(bench)
        first = life.run(moment.kill(), after_kill=replaced_and_forgotten)
        assert life.killed == 1
    else:

        def in_flight() -> None:
            while not bench.bought:
                bench.world.look()
            replace()

        watching = threading.Thread(target=in_flight)
        watching.start()
        first = life.run()
        watching.join()
    assert first.state == "success"
    bench.check_picture(label=bench.label)
    other = _other(life)
    other.operator = {**life.operator, "if_exists": "update"}
    second = other.run()
    life.started += other.started
    return [first, second]


def _deleted_killed(_: Cell, life: Life) -> list[End]:
    """The picture is deleted between its promotion and the try that would have noted it."""
    moment, bench = MOMENTS["after_promotion"], life.bench
    moment.arm(bench)

    def delete() -> None:
        bench.blob(FINAL).delete()
        bench.wait_forgotten()

    end = life.run(moment.kill(), after_kill=delete)
    assert life.killed == 1
    return [end]


def _deleted_cleared(_: Cell, life: Life) -> list[End]:
    """A delivered picture is deleted, and a person clears the task."""
    first = life.run()
    life.bench.blob(FINAL).delete()
    life.bench.wait_forgotten()
    life.clear()
    return [first, life.run()]


def _taken(_: Cell, life: Life) -> list[End]:
    """Somebody else writes to the final name while the service works."""
    bench, moment = life.bench, MOMENTS["before_promotion"]
    moment.arm(bench)

    def foreign() -> None:
        bench.blob(FINAL).upload_from_string(b"somebody else's")
        bench.wait_forgotten()

    return [life.run(moment.kill(), after_kill=foreign)]


TALES = {
    "nothing happens": _undisturbed,
    "triggerer killed": _trigger_killed,
    "cleared while deferred": _cleared,
    "two runs": _two_runs,
    "two runs, the owner killed": _two_runs,
    "source replaced": _replaced,
    "source replaced, killed": _replaced,
    "destination deleted, killed": _deleted_killed,
    "destination deleted, cleared": _deleted_cleared,
    "destination taken": _taken,
}

GESTURE = "A person's: the picture deleted, the task cleared"


def _named(cell: Cell) -> str:
    """Say which case of docs/design.md may buy a second time here."""
    unheard = cell.what in ("before_the_reply", "after_the_reply")
    if unheard and cell.upload == "refused" and cell.forgotten and cell.taken_again:
        return FIRST_CASE
    if cell.what == "destination deleted, cleared" and cell.forgotten:
        return GESTURE
    return ""


def expected(cell: Cell) -> tuple[list[str], list[int]]:
    """Say how its task instances end, and how often each of its task UUIDs was accepted."""
    named = _named(cell)
    if named == FIRST_CASE:
        return ["delivered"], [2]
    if named == GESTURE:
        return ["delivered", "delivered"], [1, 1]
    nowhere = "ClarityLostError" if cell.forgotten else "recovered"
    told = {
        "two runs": ["delivered", "delivered"],
        "two runs, the owner killed": ["delivered", "delivered"],
        "source replaced": ["delivered", "delivered"],
        "source replaced, killed": ["delivered", "delivered"],
        "destination deleted, killed": [nowhere],
        "destination deleted, cleared": ["delivered", "recovered"],
        "destination taken": ["ClarityDeliveryError"],
    }
    generations = 2 if "replaced" in cell.what else 1
    return told.get(cell.what, [nowhere if cell.upload == "refused" else "delivered"]), [1] * generations


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, counted: dict[str, list[str]]
) -> dict[str, Report | BaseException]:
    """All chosen cases, run at once."""
    began = time.monotonic()
    found = run_all(chosen(request, Cell), WORLDS, tmp_path_factory.mktemp("kills"), play)
    counted["The kill matrix"] = [*summary(list(found.values())), f"seconds: {time.monotonic() - began:.0f}"]
    return found


def check(cell: Cell, report: Report | BaseException) -> None:
    """Compare a case with what was promised."""
    if isinstance(report, BaseException):
        raise report
    outcomes, purchases = expected(cell)
    told = [end.outcome for end in report.ends]
    if cell.what.startswith("two runs"):  # whoever lands it says delivered; who comes after that, done
        assert "delivered" in told
        told = ["delivered" if outcome == "done" else outcome for outcome in told]
    ends = report.ends[-1:] if "cleared" in cell.what else report.ends  # a run tells all that it has paid by then
    paid = sum(end.result["cost_usd"] or 0 for end in ends if end.result is not None)
    assert paid < PRICE * sum(purchases) + PRICE / 2, "the runs say that they paid more than was bought"
    assert sorted(told) == sorted(outcomes), [end.message for end in report.ends]
    assert sorted(report.purchases.values()) == purchases
    for end in report.ends:
        if end.error == "ClarityLostError":
            assert any(task in end.message for task in report.purchases), "a lost purchase without its UUID"
    assert report.searched.found == ()
    assert report.searched.files > 8
    assert report.sent > 0


@pytest.mark.parametrize("case", SAMPLE, ids=lambda cell: cell.name)
def test_a_kill_costs_nothing(case: Cell, reports: dict[str, Report | BaseException]) -> None:
    """Breaks if a crash at a moment of the sample pays twice, loses a picture, or leaks."""
    check(case, reports[case.name])


@pytest.mark.matrix
@pytest.mark.parametrize("case", list(cells()), ids=lambda cell: cell.name)
def test_a_kill_at_any_moment_costs_nothing(case: Cell, reports: dict[str, Report | BaseException]) -> None:
    """Breaks if a crash at any moment, in any world, pays twice, loses a picture, or leaks."""
    check(case, reports[case.name])
