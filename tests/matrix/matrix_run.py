"""Runs the chosen cases of a matrix, many at once, and keeps what became of each until its test asks."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from matrix_canaries import Searched, search, secrets_of, sent_secrets, texts_in, texts_of
from matrix_life import End
from matrix_processes import Processes
from matrix_world import Bench, World

AT_ONCE = 64
FIRST_CASE = "The same UUID accepted twice: acknowledgement lost, result and UUID forgotten, no upload"


class Case(Protocol):
    """One cell of a matrix."""

    @property
    def name(self) -> str: ...

    @property
    def world(self) -> str: ...


C = TypeVar("C", bound=Case)


@dataclass
class Report:
    """What became of a case.

    :param ends: of each task instance
    :param purchases: how often each task UUID was accepted
    :param sent: secrets of the URLs that were really sent to the service, which were searched for too
    :param failed: attempts that the service reported as failed
    :param named: the case of docs/design.md, "Where it can still bill twice", or the gesture of a person, that it is
    """

    name: str
    ends: list[End]
    purchases: dict[str, int]
    failed: int = 0
    sent: int = 0
    kills: int = 0
    processes: int = 0
    named: str = ""
    searched: Searched = field(default_factory=Searched)
    fired: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


Play = Callable[[C, Processes, Bench, Path], Report]


def chosen(request: pytest.FixtureRequest, kind: type[C]) -> list[C]:
    """Return the cases that this session is to run, in order."""
    found: dict[str, C] = {}
    for item in request.session.items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")  # type: ignore[attr-defined]
        if isinstance(case, kind):
            found[case.name] = case
    return list(found.values())


def run_all(
    cases: Sequence[C], worlds: dict[str, dict[str, Any]], folder: Path, play: Play[C]
) -> dict[str, Report | BaseException]:
    """Run them; an error of one is kept for its test."""
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folder))
        used = {case.world for case in cases}
        open_ = {name: stack.enter_context(World(name, switches)) for name, switches in worlds.items() if name in used}

        def one(case: C) -> Report | BaseException:
            safe = re.sub(r"[^a-z0-9_.-]+", "-", case.name.lower())
            place = folder / safe
            place.mkdir()
            began = time.monotonic()
            try:
                bench = Bench(open_[case.world], case.name)
                report = play(case, processes, bench, place)
                sent = sent_secrets(folder / "secrets" / f"{safe}.txt")
                report.sent = len(sent)
                report.seconds = time.monotonic() - began
                report.searched = search(chain(texts_in(place), texts_of(bench)), [*secrets_of(bench.world), *sent])
            except BaseException as error:  # noqa: BLE001 - its test raises it
                return error
            return report

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip([case.name for case in cases], pool.map(one, cases), strict=True))


def counts(bench: Bench) -> dict[str, int]:
    """How often each task UUID of an image was accepted."""
    bench.world.look()
    bench.world.look()
    return {task: bought["count"] for task, bought in bench.purchases.items()}


def summary(reports: Sequence[Report | BaseException]) -> list[str]:
    """Count what a person wants to know."""
    good = [report for report in reports if isinstance(report, Report)]
    ends = Counter(end.outcome for report in good for end in report.ends)
    twice = Counter(report.named for report in good if report.named)
    files, size = sum(report.searched.files for report in good), sum(report.searched.size for report in good)
    slow = sorted(good, key=lambda report: -report.seconds)[:3]
    return [
        f"cases: {len(reports)}, of them with an error: {len(reports) - len(good)}",
        f"processes: {sum(report.processes for report in good)}, killed: {sum(report.kills for report in good)}",
        f"purchases: {sum(sum(report.purchases.values()) for report in good)}",
        *(f"named: {name}: {number}" for name, number in sorted(twice.items())),
        "ends: " + ", ".join(f"{name} {number}" for name, number in sorted(ends.items())),
        "slowest: " + "; ".join(f"{report.seconds:.0f} s {report.name}" for report in slow),
        f"searched for {sum(report.sent for report in good)} URLs and the keys: {files} texts, {size / 1e6:.1f} MB",
    ]
