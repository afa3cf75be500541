"""What the demo checks of each picture, and that it would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from demo_pictures import photograph, picture

from airflow_provider_clarity.demo.folder import OutFolder
from airflow_provider_clarity.demo.harvest import broken_promises, harvest, unexpected_purchases
from airflow_provider_clarity.demo.logs import fired_triggers, task_log
from airflow_provider_clarity.demo.photographs import find_photographs
from airflow_provider_clarity.demo.pictures import PictureError, check_picture, find_detail

RESULT = {"task_uuid": "u-1", "uri": "gs://print/a.jpg"}
FOLDER = "dag_id=d/run_id=r/task_id=upscale/map_index={}"


def bought(source: str = "a.png", count: int = 1) -> dict[str, Any]:
    return {"source": source, "count": count, "cost": 0.0013, "status": "success"}


def log_file(logs: Path, map_index: int, name: str, text: str) -> None:
    folder = logs / FOLDER.format(map_index)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_whole_picture_of_twice_the_size_is_accepted(file_format: str) -> None:
    """In each format that the operator can ask for."""
    assert check_picture(picture(120, 80, file_format), (60, 40)) == (120, 80)


@pytest.mark.parametrize("size", [(60, 40), (120, 79), (80, 120)])
def test_a_picture_of_another_size_is_noticed(size: tuple[int, int]) -> None:
    """The source itself, a row too few, a picture on its side."""
    with pytest.raises(PictureError, match="instead of 120 x 80"):
        check_picture(picture(*size), (60, 40))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_half_a_picture_is_noticed(file_format: str) -> None:
    """Its header still says the right size: only decoding all of it tells."""
    whole = picture(120, 80, file_format)
    with pytest.raises(PictureError, match="cannot be decoded"):
        check_picture(whole[: len(whole) // 2], (60, 40))


def test_what_is_no_picture_is_noticed() -> None:
    """Such as an error page under the right name."""
    with pytest.raises(PictureError, match="cannot be decoded"):
        check_picture(b"<html>", (60, 40))


@pytest.mark.parametrize("size", [(1, 1), (40, 3), (300, 200)])
def test_the_detail_lies_in_the_picture(size: tuple[int, int]) -> None:
    """Also in one that is smaller than the detail."""
    x, y = find_detail(picture(*size))
    assert x > 0
    assert y > 0
    assert max(x, y) <= 1 or min(size) < 80


def test_one_purchase_and_a_fired_trigger_keep_the_promise() -> None:
    """The base line of the four tests below."""
    assert broken_promises("a.png", RESULT, {"u-1": bought()}, deferred=True) == []


def test_a_task_that_never_deferred_is_noticed() -> None:
    """Otherwise the demo would pass without a triggerer."""
    assert "not deferred" in broken_promises("a.png", RESULT, {"u-1": bought()}, deferred=False)[0]


@pytest.mark.parametrize(
    ("purchases", "times"),
    [
        ({"u-1": bought(count=2)}, 2),
        ({"u-1": bought(), "u-2": bought()}, 2),
        ({"u-2": bought()}, 1),
        ({"u-1": bought("b.png")}, 0),
    ],
)
def test_anything_but_the_one_purchase_is_noticed(purchases: dict[str, Any], times: int) -> None:
    """Twice under one UUID, under two, under another, not at all."""
    (complaint,) = broken_promises("a.png", RESULT, purchases, deferred=True)
    assert f"bought {times} times" in complaint


def test_a_purchase_that_nobody_asked_for_is_noticed() -> None:
    """It would be money."""
    asked = [photograph("a.png")]
    assert unexpected_purchases(asked, {"u-1": bought()}) == []
    assert unexpected_purchases(asked, {"u-2": bought("b.png")}) == ["u-2 was bought of b.png."]


def test_a_trigger_counts_when_it_fired(tmp_path: Path) -> None:
    """One that only started proves nothing; nor does another run's."""
    log_file(tmp_path, 0, "attempt=1.log.trigger.1.log", '{"event":"Trigger fired event","result":"TriggerEvent<>"}')
    log_file(tmp_path, 1, "attempt=1.log.trigger.2.log", '{"event":"trigger starting"}')
    log_file(tmp_path, 2, "attempt=1.log", "TriggerEvent")
    assert fired_triggers(tmp_path, "r", "upscale") == {0}
    assert fired_triggers(tmp_path, "another", "upscale") == set()


def test_the_log_of_a_failed_task_is_that_of_its_last_try(tmp_path: Path) -> None:
    """Airflow 3 writes JSON, 2.11 text; a person reads the messages of both."""
    log_file(tmp_path, 0, "attempt=2.log", "early")
    error = '{"event":"Task failed","error_detail":[{"exc_type":"ClarityInputError","exc_value":"no source"}]}'
    log_file(
        tmp_path, 0, "attempt=10.log", f'{{"event":"::group::Pre"}}\n{{"event":"Upscaling"}}\n{error}\nplain\n[1]\n'
    )
    assert task_log(tmp_path, "r", "upscale", 0) == "Upscaling\nTask failed ClarityInputError: no source\nplain\n[1]"
    assert task_log(tmp_path, "r", "upscale", 1) == "it has no log"


def test_the_log_of_a_task_that_is_not_mapped_is_found_too(tmp_path: Path) -> None:
    """It lies a folder higher; a day that failed is told with it."""
    folder = tmp_path / "dag_id=d" / "run_id=r" / "task_id=upscale"
    folder.mkdir(parents=True)
    (folder / "attempt=1.log").write_text("the service said no")
    assert task_log(tmp_path, "r", "upscale") == "the service said no"


class Delivering:
    """What ``harvest`` asks of Airflow and of the emulator: the first image is delivered, the second is not."""

    def __init__(self, logs_dir: Path, content: bytes) -> None:
        self.logs_dir = logs_dir
        self.content = content

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, map_index: int) -> dict[str, Any] | None:  # noqa: ARG002
        return {**RESULT, "cost_usd": 0.0013, "seconds": 18.2} if map_index == 0 else None

    def purchases(self) -> dict[str, Any]:
        return {"u-1": bought()}

    def download(self, uri: str) -> bytes:
        assert uri == "gs://print/a.jpg"
        return self.content


def gathered(tmp_path: Path, content: bytes) -> tuple[list[str], list[str], set[str]]:
    """Harvest two images, the first with this content; return pictures, complaints and what was written."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        (images / name).write_bytes(picture(60, 40))
    log_file(tmp_path / "logs", 0, "attempt=1.log.trigger.1.log", "TriggerEvent")
    log_file(tmp_path / "logs", 1, "attempt=1.log", "the service said no")
    folder = OutFolder(tmp_path / "pictures")
    folder.prepare({})
    both: Any = Delivering(tmp_path / "logs", content)
    came = harvest(both, both, folder, find_photographs(images, current=tmp_path), "r")
    written = {path.name for path in folder.path.iterdir()} - {".clarity-demo"}
    return [one.path.name for one in came.deliveries], list(came.complaints), written


def test_a_picture_lies_beside_its_source_and_a_missing_one_is_told_with_its_log(tmp_path: Path) -> None:
    """One that failed must not hide those that came, and is never passed over."""
    pictures, complaints, written = gathered(tmp_path, picture(120, 80, "JPEG"))
    assert pictures == ["a-2x.jpg"]
    assert written == {"a.png", "a-2x.jpg"}
    assert len(complaints) == 1
    assert complaints[0].startswith("b.png was not delivered.")
    assert complaints[0].endswith("the service said no")


def test_a_broken_picture_is_told_and_not_shown(tmp_path: Path) -> None:
    """The demo is the judge of what it shows."""
    pictures, complaints, written = gathered(tmp_path, picture(60, 40, "JPEG"))
    assert (pictures, written) == ([], set())
    assert complaints[0].startswith("gs://print/a.jpg is not as promised: it has 60 x 40")
