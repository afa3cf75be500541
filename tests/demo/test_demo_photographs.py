"""Which photographs the demo takes, and what it says where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_pictures import picture

from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError
from airflow_provider_clarity.demo.photographs import find_dag, find_photographs


def filled(folder: Path, **files: bytes) -> Path:
    """Make a folder of files; ``a_png`` becomes ``a.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DemoError) as error:
        find_photographs(folder, current=folder)
    assert error.value.code == COULD_NOT_START
    assert "Nothing was started." in str(error.value)
    return str(error.value)


def test_the_six_photographs_of_the_checkout_are_found_from_anywhere(tmp_path: Path) -> None:
    """An editable install knows its checkout; the current directory does not matter. Each is credited on the page."""
    found = find_photographs(None, current=tmp_path)
    assert [one.name for one in found] == [
        "astronaut.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "hubble_deep_field.jpg",
        "rocket.jpg",
    ]
    assert all(one.credit for one in found)
    assert (found[2].width, found[2].height) == (451, 300)


def test_a_wheel_finds_the_photographs_of_the_checkout_it_is_run_in(tmp_path: Path) -> None:
    """They are not in the wheel."""
    filled(tmp_path / "dags_examples" / "images", a_png=picture(8, 8))
    found = find_photographs(None, current=tmp_path, checkout=tmp_path / "site-packages")
    assert [one.name for one in found] == ["a.png"]


def test_outside_a_checkout_it_says_what_to_do(tmp_path: Path) -> None:
    """What happened, what is safe, what next."""
    with pytest.raises(DemoError) as error:
        find_photographs(None, current=tmp_path, checkout=tmp_path)
    assert error.value.code == COULD_NOT_START
    for part in ("source checkout", "Nothing was started.", "--images"):
        assert part in str(error.value)


def test_all_three_formats_are_taken_and_other_files_passed_over(tmp_path: Path) -> None:
    """A folder of photographs has other things in it, too."""
    files = {"a_PNG": picture(8, 6), "b_jpeg": picture(8, 6, "JPEG"), "c_webp": picture(8, 6, "WEBP"), "d_txt": b"no"}
    found = find_photographs(filled(tmp_path, **files), current=tmp_path)
    assert [(one.name, one.width, one.height, one.credit) for one in found] == [
        ("a.PNG", 8, 6, ""),
        ("b.jpeg", 8, 6, ""),
        ("c.webp", 8, 6, ""),
    ]


def test_a_photograph_on_its_side_is_measured_as_a_person_sees_it(tmp_path: Path) -> None:
    """The service applies EXIF orientation: measured otherwise, a good picture would be refused."""
    filled(tmp_path, a_jpg=picture(8, 6, "JPEG", orientation=6))
    (found,) = find_photographs(tmp_path, current=tmp_path)
    assert (found.width, found.height) == (6, 8)


def test_pictures_of_an_earlier_demo_are_no_photographs(tmp_path: Path) -> None:
    """Else ``--images pictures`` would upscale the upscaled."""
    (tmp_path / "a-2x.jpg").write_bytes(picture(16, 12, "JPEG"))
    filled(tmp_path, a_png=picture(8, 6))
    assert [one.name for one in find_photographs(tmp_path, current=tmp_path)] == ["a.png"]


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    """It is not replaced by the six: somebody asked for another folder."""
    assert str(tmp_path) in refusal(tmp_path)
    assert "missing" in refusal(tmp_path / "missing")


def test_half_a_photograph_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """After a minute it would only be a failed task."""
    whole = picture(64, 64)
    assert "a.png" in refusal(filled(tmp_path, a_png=whole[: len(whole) // 2]))


def test_a_photograph_that_cannot_be_doubled_is_refused(tmp_path: Path) -> None:
    """The service shrinks it silently, and the picture is not twice as large."""
    assert "2049 x 2" in refusal(filled(tmp_path, a_png=picture(2049, 2)))


def test_two_photographs_of_one_name_are_refused(tmp_path: Path) -> None:
    """Both would become ``a.jpg``."""
    assert "a.jpg" in refusal(filled(tmp_path, a_png=picture(8, 8), a_webp=picture(8, 8, "WEBP")))


def test_the_dag_is_that_of_the_checkout_or_that_of_the_wheel(tmp_path: Path) -> None:
    """In a checkout what a developer changed is what runs."""
    assert find_dag().parent.name == "dags_examples"
    packed = filled(tmp_path / "demo" / "dags") / "mapped_handful.py"
    packed.write_text("")
    assert find_dag(package=tmp_path / "demo", checkout=tmp_path) == packed
    with pytest.raises(DemoError, match="Nothing was started"):
        find_dag(package=tmp_path, checkout=tmp_path)


def test_another_format_under_a_known_name_is_refused(tmp_path: Path) -> None:
    """The service takes three formats; a task would find out after a minute."""
    assert "a.png" in refusal(filled(tmp_path, a_png=picture(8, 8, "GIF")))
