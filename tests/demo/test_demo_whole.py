"""The demo as a person runs it: the whole command, in a fresh home."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_process import demo, short_folder, traces
from PIL import Image

pytestmark = pytest.mark.system

SIX = {
    "astronaut": (1024, 1024),
    "camera": (1024, 1024),
    "chelsea": (902, 600),
    "coffee": (1200, 800),
    "hubble_deep_field": (2000, 1744),
    "rocket": (1280, 854),
}


@pytest.fixture
def room() -> Iterator[Path]:
    """All the world of a demo."""
    with short_folder() as folder:
        yield folder


def test_one_command_delivers_six_pictures_and_leaves_nothing_running(room: Path) -> None:
    """The promise of the README. A caller's proxy, credentials and Airflow do not disturb it."""
    begin = time.monotonic()
    foreign = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere",
        "AIRFLOW_HOME": "/nowhere",
    }
    with demo(room, **foreign) as process:
        said, complaints = process.communicate(timeout=300)
    assert (process.returncode, complaints) == (0, ""), said
    assert traces(room) == ([], [])
    pictures = room / "pictures"
    for stem, size in SIX.items():
        with Image.open(pictures / f"{stem}-2x.jpg") as picture:
            picture.load()
            assert picture.size == size
        assert len(list(pictures.glob(f"{stem}.*"))) == 1
        assert f"gs://print/{stem}.jpg" in said
    assert "6 of 6 delivered" in said
    assert "6 purchases" in said
    assert f"Look at: {(pictures / 'index.html').as_uri()}" in said
    assert "gs://print/rocket.jpg" in (pictures / "index.html").read_text()
    assert time.monotonic() - begin < 240, "two minutes are promised on two idle cores; twice that is a defect"


@pytest.mark.parametrize("moment", ["Starting Airflow", "deferred"])
def test_ctrl_c_leaves_nothing_behind(room: Path, moment: str) -> None:
    """Neither while Airflow starts nor while triggers wait; an impatient second Ctrl-C changes nothing."""
    with demo(room) as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if moment in line)
        time.sleep(2)
        assert len(traces(room)[0]) > 3
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaints.strip() == "clarity-demo: interrupted. Everything that was started is stopped; nothing was paid."
    assert traces(room) == ([], [])


def test_an_airflow_that_does_not_start_ends_with_2_and_its_last_words(room: Path) -> None:
    """No traceback of ours, no secret of its log, nothing left."""
    broken = room / "broken"
    broken.mkdir()
    (broken / "airflow.py").write_text("raise SystemExit('no such table at http://host/db?password=hunter2')")
    with demo(room, PYTHONPATH=str(broken)) as process:
        _, complaints = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Nothing is left running." in complaints
    assert "no such table" in complaints
    assert not re.search("hunter2|Traceback", complaints)
    assert traces(room) == ([], [])
