"""``clarity-demo --backfill`` as a person runs it."""

from __future__ import annotations

import re
import signal
import time

import pytest
from demo_process import demo, short_folder, traces
from PIL import Image

pytestmark = [pytest.mark.matrix, pytest.mark.system]

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


def test_a_backfill_whose_worker_is_killed_is_paid_once_and_a_second_one_not_at_all() -> None:
    """The promise of the README: two bills, on which both sides agree, all pictures, and nothing left running."""
    begin = time.monotonic()
    with short_folder() as room, demo(room, "--backfill") as process:
        said, complaints = process.communicate(timeout=540)
        assert (process.returncode, complaints) == (0, ""), said
        assert traces(room) == ([], [])
        pictures = room / "pictures" / "backfill"
        for day in DAYS:
            with Image.open(pictures / f"{day}.jpg") as sheet:
                sheet.load()
                assert sheet.width > 1000
        html = (pictures / "index.html").read_text(encoding="utf-8")
    bought, again = re.findall(r"^sum +(.+)$", said, re.MULTILINE)
    planned, delivered, recovered, done, failed, cost, tries, _, sold, billed = bought.split()
    assert (planned, int(delivered) + int(recovered), recovered, done, failed) == ("120", 120, "2", "0", "0")
    assert (cost, sold, billed) == ("$0.1560", "120", "$0.1560")
    assert int(tries) >= 4, "the killed worker's day needed another try"
    assert re.fullmatch(r"120 +0 +0 +120 +0 +\$0\.0000 +\d+ +\| +0 +\$0\.0000", again)
    assert len(re.findall("SIGKILL to its worker", said)) == 1
    assert "120 purchases were made for 120 pictures" in html
    assert time.monotonic() - begin < 480, "two minutes are promised on two idle cores; four times that is a defect"


def test_ctrl_c_while_purchases_are_in_flight_leaves_nothing_behind() -> None:
    """Three tasks, their scheduler and the service end together."""
    with short_folder() as room, demo(room, "--backfill") as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if "bought " in line)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "interrupted" in complaints
        assert traces(room) == ([], [])
