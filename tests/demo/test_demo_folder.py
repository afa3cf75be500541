"""What the demo may write, and what it must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError
from airflow_provider_clarity.demo.folder import OutFolder


def prepared(path: Path, **wanted: Path | None) -> OutFolder:
    folder = OutFolder(path)
    folder.prepare({name.replace("_", "."): original for name, original in wanted.items()})
    return folder


def test_a_run_replaces_the_files_of_the_run_before(tmp_path: Path) -> None:
    """Running it twice is the second thing that people do."""
    prepared(tmp_path / "new" / "pictures", a_png=None).write("a.png", b"first")
    again = prepared(tmp_path / "new" / "pictures", a_png=None)
    assert again.write("a.png", b"second").read_bytes() == b"second"


def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Somebody's ``index.html`` is not ours to replace, and the refusal comes before the minute of work."""
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(
        DemoError, match=r"index.html exists and the demo did not write it. Nothing was started"
    ) as error:
        prepared(tmp_path, index_html=None)
    assert error.value.code == COULD_NOT_START
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("index.html", "mine")]


def test_a_file_that_is_the_copy_already_is_no_obstacle_and_stays_foreign(tmp_path: Path) -> None:
    """``--images DIR --out DIR`` puts pictures beside photographs; the photographs are never removed."""
    photograph = tmp_path / "a.png"
    photograph.write_bytes(b"photograph")
    folder = prepared(tmp_path, a_png=photograph)
    folder.write("a.png", b"photograph")
    folder.remove_others([])
    assert photograph.read_bytes() == b"photograph"


def test_an_old_picture_does_not_stand_for_one_that_was_not_delivered(tmp_path: Path) -> None:
    """Only what the demo wrote is removed."""
    first = prepared(tmp_path, a_jpg=None, b_jpg=None)
    first.write("a.jpg", b"a")
    first.write("b.jpg", b"b")
    (tmp_path / "c.jpg").write_bytes(b"c")
    second = prepared(tmp_path, a_jpg=None, b_jpg=None)
    second.write("a.jpg", b"a")
    second.remove_others(["a.jpg"])
    assert {path.name for path in tmp_path.glob("*.jpg")} == {"a.jpg", "c.jpg"}


def test_a_list_of_our_files_that_somebody_wrote_reaches_no_other_folder(tmp_path: Path) -> None:
    """A name in it with a slash would be removed elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / ".clarity-demo").write_text("../elsewhere\n")
    prepared(folder).remove_others([])
    assert elsewhere.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match=r"Nothing was started. Name another folder with --out.") as error:
        prepared(tmp_path / "file" / "pictures", a_png=None)
    assert error.value.code == COULD_NOT_START
