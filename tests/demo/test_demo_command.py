"""The command, where it ends before Airflow starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_clarity.demo import __main__ as command
from airflow_provider_clarity.demo import photographs
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "airflow_provider_clarity.demo", *arguments]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_ends_with_2_where_there_are_no_photographs(tmp_path: Path) -> None:
    """No traceback, nothing written, and what to do next."""
    ended = demo("--images", "nowhere", cwd=tmp_path)
    assert ended.returncode == 2
    assert "Nothing was started." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_2_where_the_folder_is_not_its_own(tmp_path: Path) -> None:
    """Before the minute of work, not after it."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "index.html").write_text("mine")
    ended = demo(cwd=tmp_path)
    assert ended.returncode == 2
    assert "the demo did not write it" in ended.stderr
    assert (tmp_path / "pictures" / "index.html").read_text() == "mine"


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is there without the extra ``demo``, too; an ImportError would tell nobody how to go on."""
    monkeypatch.setattr(command, "_NEEDED", ("airflow", "a_package_that_nobody_has"))
    monkeypatch.setattr(command, "_SIGNALS", ())
    assert command.main([]) == 2
    said = capsys.readouterr().err
    assert "a_package_that_nobody_has" in said
    assert "airflow-provider-clarity[demo]" in said


def test_an_emulator_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    """A bucket name that it refuses stands for whatever ends it early."""
    with pytest.raises(DemoError, match="did not start") as error:
        Emulator(tmp_path, service_time=1, buckets=["Not A Bucket"]).__enter__()
    assert error.value.code == COULD_NOT_START
    assert "--bucket" in str(error.value)


def test_what_is_uploaded_to_the_emulator_comes_back(tmp_path: Path) -> None:
    """Also under a name that needs quoting."""
    file = tmp_path / "a b#c?.png"
    file.write_bytes(b"photograph")
    with Emulator(tmp_path / "emulator", service_time=1, buckets=["raw"]) as emulator:
        uri = emulator.upload("raw", file)
        assert uri == "gs://raw/a b#c?.png"
        assert emulator.download(uri) == b"photograph"
        assert emulator.purchases() == {}
        assert emulator.environment["STORAGE_EMULATOR_HOST"].startswith("http://127.0.0.1:")


def test_the_emulator_ends_with_its_owner(tmp_path: Path) -> None:
    """Also with one that was killed: a server that nobody knows of must not stay."""
    owner = (
        "import os, signal, sys; from pathlib import Path\n"
        "from airflow_provider_clarity.demo.emulator import Emulator\n"
        "with Emulator(Path(sys.argv[1]), service_time=1, buckets=['raw']) as emulator:\n"
        "    print(emulator._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", owner, str(tmp_path)], capture_output=True, text=True, check=False)
    pid = int(ended.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_photographs_are_not_in_the_package() -> None:
    """Two megabytes that a user of the provider does not need."""
    package = Path(photographs.__file__).parents[1]
    assert [path for path in package.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg", ".webp")] == []
