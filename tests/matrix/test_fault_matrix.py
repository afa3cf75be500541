"""The fault matrix: every fault of the emulator, in both modes, once, three times and for a minute.

Each cell is one image with processes of its own and Airflow's retries. What may come of it stands in one table: the
picture, or the error that names the fault. A fault that did not fire proves nothing, so it fails its cell.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from matrix_life import Life
from matrix_moments import STAGING
from matrix_processes import Processes
from matrix_run import Report, chosen, counts, run_all, summary
from matrix_world import Bench

from airflow_provider_clarity.emulator.faults import FAULTS

MINUTE = 60.0
Mode = Literal["waiting", "deferring"]
Lasts = Literal["once", "three times", "a minute"]
MODES: tuple[Mode, ...] = ("waiting", "deferring")
HOW_LONG: tuple[Lasts, ...] = ("once", "three times", "a minute")
WORLDS = {"friendly": {"upload_lag_s": 0.5}}
VALUES = {"slow_drip": 0.1, "hang": 12, "hang_before": 12, "hang_after": 12, "status_429_retry_after": 2}
STORE_VALUES = {"hang_before": 2, "hang_after": 2}


@dataclass(frozen=True)
class Cell:
    """One case.

    :param at: the beginning of the object's name, where the fault is of storage and not of all objects
    """

    operation: str
    fault: str
    lasts: Lasts
    mode: Mode
    at: str = ""
    world: str = "friendly"

    @property
    def row(self) -> tuple[str, str]:
        """What its expectation stands under."""
        return (f"{self.operation} of staging" if self.at else self.operation, self.fault)

    @property
    def name(self) -> str:
        """As the test is called."""
        return f"{': '.join(self.row)}, {self.lasts}, {self.mode}"

    def arm(self, bench: Bench) -> None:
        """Let it break."""
        how = {"once": {"times": 1}, "three times": {"times": 3}, "a minute": {"seconds": MINUTE}}[self.lasts]
        values = STORE_VALUES if self.operation.startswith("store.") else VALUES
        more = {"value": values[self.fault]} if self.fault in values else {}
        if self.operation == "image":
            bench.arm("upload", "refuse_403")  # else nobody fetches the picture
        if self.operation == "store.list":
            bench.arm("poll", "error:providerError")  # else there is nothing to tidy up
        bench.arm(self.operation, self.fault, at=self.at, **how, **more)


SUBMIT_CODES = (
    "providerError",
    "somethingNew",
    "timeoutProvider",
    "rateLimitExceeded",
    "contentPolicyViolation",
    "invalidPositivePrompt",
    "failedToTransferImage",
    "uploadFailed",
    "insufficientCredits",
    "invalidApiKey",
    "conflictTaskUUID",
)
POLL_CODES = (
    "providerError",
    "somethingNew",
    "timeoutProvider",
    "rateLimitExceeded",
    "contentPolicyViolation",
    "failedToTransferImage",
    "uploadFailed",
    "insufficientCredits",
    "invalidApiKey",
)
"""A code of each family of errors."""
NEVER_ASKED = ("account",)
"""Operations that the operator does not use: their faults cannot fire."""


def faults() -> Iterator[tuple[str, str, str]]:
    """All of them: operation, fault, where."""
    codes = {"submit": SUBMIT_CODES, "poll": POLL_CODES}
    for operation, names in FAULTS.items():
        if operation in NEVER_ASKED:
            continue
        for name in sorted(names - {"error"}):
            if operation != "store.list":  # it lists staging only; the test lists the rest
                yield operation, name, ""
            if operation in ("store.insert", "store.list"):
                yield operation, name, STAGING
        for code in codes.get(operation, ()):
            yield operation, f"error:{code}", ""


def cells() -> Iterator[Cell]:
    """All cells."""
    for (operation, fault, at), lasts, mode in itertools.product(faults(), HOW_LONG, MODES):
        yield Cell(operation, fault, lasts, mode, at)


def play(cell: Cell, processes: Processes, bench: Bench, folder: Path) -> Report:
    """Run one image into its fault."""
    signs = cell.operation in ("store.token", "store.sign_blob")
    life = Life(processes, bench, folder, cell.mode == "deferring", operator={"item_timeout": 90}, impersonated=signs)
    cell.arm(bench)
    end = life.run()
    report = Report(cell.name, [end], counts(bench), processes=life.started)
    report.fired = {cell.fault: bench.fired(cell.operation, cell.fault)}
    record = bench.records()
    report.failed = sum(
        attempt["outcome"] == "failed" for one in record for attempt in one["attempts"] if attempt["failure"]
    )
    if end.state == "success":
        bench.check_picture()
    else:
        assert not bench.delivered
    return report


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, counted: dict[str, list[str]]
) -> dict[str, Report | BaseException]:
    """All chosen cases, run at once."""
    began = time.monotonic()
    found = run_all(chosen(request, Cell), WORLDS, tmp_path_factory.mktemp("faults"), play)
    counted["The fault matrix"] = [*summary(list(found.values())), f"seconds: {time.monotonic() - began:.0f}"]
    return found


LANDED = frozenset({"delivered", "recovered"})
"""What is as good as any other end: the picture."""

_PROVIDER = ("landed", "ClarityProviderError", "ClarityProviderError")
_TIMEOUT = ("landed", "ClarityTimeoutError", "ClarityTimeoutError")
_SAFETY, _INPUT, _VALIDATION, _DELIVERY, _QUOTA, _AUTH, _LOST = (
    (f"Clarity{kind}Error",) * 3 for kind in ("Safety", "Input", "Validation", "Delivery", "Quota", "Auth", "Lost")
)
TABLE: dict[tuple[str, str], tuple[str, str, str]] = {
    # A task that failed for a reason that may pass is bought again, three times in a round at most.
    ("poll", "error:providerError"): _PROVIDER,
    ("poll", "error:somethingNew"): _PROVIDER,
    ("poll", "error:timeoutProvider"): _TIMEOUT,
    ("poll", "error:rateLimitExceeded"): ("landed", "ClarityRateLimitError", "ClarityRateLimitError"),
    ("submit", "error:providerError"): _PROVIDER,
    ("submit", "error:somethingNew"): _PROVIDER,
    ("submit", "error:timeoutProvider"): _TIMEOUT,
    # What sending again would not mend.
    ("poll", "error:contentPolicyViolation"): _SAFETY,
    ("poll", "error:failedToTransferImage"): _INPUT,
    ("poll", "error:uploadFailed"): _DELIVERY,
    ("poll", "error:insufficientCredits"): _QUOTA,
    ("poll", "error:invalidApiKey"): _AUTH,
    ("submit", "error:contentPolicyViolation"): _SAFETY,
    ("submit", "error:invalidPositivePrompt"): _VALIDATION,
    ("submit", "error:failedToTransferImage"): _INPUT,
    ("submit", "error:uploadFailed"): _DELIVERY,
    ("submit", "error:insufficientCredits"): _QUOTA,
    ("submit", "error:invalidApiKey"): _AUTH,
    # A service that claims to know a UUID that it never took: nobody can tell, so a person is asked.
    ("submit", "error:conflictTaskUUID"): _LOST,
    # A role is missing: retries do not mend it. What only tidies up, or has another way, does without.
    ("store.get", "status_403"): _AUTH,
    ("store.insert", "status_403"): _AUTH,
    ("store.insert of staging", "status_403"): ("landed", "ClarityAuthError", "ClarityAuthError"),
    ("store.rewrite", "status_403"): _AUTH,
    ("store.token", "status_403"): _AUTH,
    # Without a token nothing can be begun: four tries, one second apart, are over before a minute is.
    ("store.token", "status_429"): ("landed", "landed", "ClarityAuthError"),
    ("store.token", "status_503"): ("landed", "landed", "ClarityAuthError"),
    # The upload was refused, and its address knows no picture for longer than a moment.
    ("image", "status_404"): ("landed", "landed", "ClarityDeliveryError"),
}
"""What comes of a fault: once, three times, for a minute. What does not stand here ends with the picture."""
UNSENT = ("submit", "store.get", "store.insert", "store.token")
"""Operations whose failure comes before anything is bought."""


def check(cell: Cell, report: Report | BaseException) -> None:
    """Compare a case with the table, and with what holds for all of them."""
    if isinstance(report, BaseException):
        raise report
    (end,) = report.ends
    assert sum(report.fired.values()) > 0, "a fault that did not fire proves nothing"
    expected = TABLE.get(cell.row, ("landed",) * 3)[HOW_LONG.index(cell.lasts)]
    told = "landed" if end.outcome in LANDED else end.outcome
    assert told == expected, end.message
    assert set(report.purchases.values()) <= {1}, "the same UUID was accepted twice"
    if told == "landed":
        assert 1 <= len(report.purchases) <= 1 + report.failed, "bought again without a failure that was reported"
    elif cell.row[0] in UNSENT:
        assert not report.purchases
    else:
        assert len(report.purchases) <= max(1, report.failed)
    assert report.searched.found == ()
    assert report.searched.files > 5


SAMPLE = (
    Cell("submit", "reset_after", "once", "waiting"),
    Cell("submit", "status_503_after", "three times", "deferring"),
    Cell("poll", "html", "three times", "deferring"),
    Cell("poll", "error:providerError", "once", "waiting"),
    Cell("poll", "error:contentPolicyViolation", "once", "deferring"),
    Cell("store.insert", "reset_after", "three times", "waiting"),
    Cell("store.rewrite", "status_503", "once", "deferring"),
    Cell("store.token", "status_503", "once", "waiting"),
    Cell("store.sign_blob", "status_403", "once", "deferring"),
)
"""What every test run does: nothing that waits half a minute for an upload. The whole: ``.ci/run matrix``."""


def test_the_table_names_faults_that_exist() -> None:
    """Breaks if a row is never looked at."""
    assert set(TABLE) <= {cell.row for cell in cells()}
    assert set(SAMPLE) <= set(cells())


@pytest.mark.parametrize("case", SAMPLE, ids=lambda cell: cell.name)
def test_a_fault_ends_in_a_picture_or_its_name(case: Cell, reports: dict[str, Report | BaseException]) -> None:
    """Breaks if a fault of the sample pays twice, lands a wrong picture, or fails under another name."""
    check(case, reports[case.name])


@pytest.mark.matrix
@pytest.mark.parametrize("case", list(cells()), ids=lambda cell: cell.name)
def test_every_fault_ends_in_a_picture_or_its_name(case: Cell, reports: dict[str, Report | BaseException]) -> None:
    """Breaks if a fault pays twice, lands a wrong picture, or fails under another name."""
    check(case, reports[case.name])
