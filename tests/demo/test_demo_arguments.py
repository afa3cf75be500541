"""The command line, and what of its caller's environment the demo lets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_clarity.demo.arguments import Options, parse
from airflow_provider_clarity.demo.environment import undisturbed


def test_without_arguments_pictures_go_into_the_current_directory_and_nothing_stays() -> None:
    """The one command of the README has no options."""
    assert parse([]) == Options(keep=False, out=Path("pictures"), images=None)


def test_all_options_are_read() -> None:
    """They are the specification's, and ``--images``."""
    assert parse(["--keep", "--out", "there", "--images", "mine"]) == Options(True, Path("there"), Path("mine"))


def test_a_backfill_has_a_folder_of_its_own() -> None:
    """Else one form of the demo would take away what the other wrote."""
    assert parse(["--backfill"]) == Options(keep=False, out=Path("pictures/backfill"), images=None, backfill=True)
    assert parse(["--backfill", "--out", "there"]).out == Path("there")


def test_a_backfill_of_photographs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """They would be left out without a word."""
    with pytest.raises(SystemExit) as end:
        parse(["--backfill", "--images", "mine"])
    assert end.value.code == 2
    assert "--images" in capsys.readouterr().err


def test_an_unknown_option_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """2 is "could not start"; 1 would be read as a broken run."""
    with pytest.raises(SystemExit) as end:
        parse(["--kep"])
    assert end.value.code == 2
    assert "--kep" in capsys.readouterr().err


def test_nothing_of_the_caller_leads_the_demo_elsewhere() -> None:
    """A proxy for loopback, somebody's credentials, somebody's Airflow: each would break it, or be touched by it."""
    foreign = {
        "AIRFLOW_HOME": "/srv/airflow",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://prod",
        "AIRFLOW_CONN_CLARITY_DEFAULT": "a paid key",
        "GOOGLE_APPLICATION_CREDENTIALS": "/srv/key.json",
        "CLOUDSDK_CORE_PROJECT": "prod",
        "STORAGE_EMULATOR_HOST": "http://elsewhere",
        "HTTPS_PROXY": "http://proxy",
        "all_proxy": "socks5://proxy",
        "NETRC": "/srv/netrc",
        "SSL_CERT_FILE": "/nowhere",
        "PYTHONWARNINGS": "error",
    }
    kept = undisturbed({**foreign, "HOME": "/root", "PATH": "/bin", "LANG": "C"}, Path("/var/one"))
    assert not set(foreign) & set(kept)
    assert (kept["PATH"], kept["LANG"]) == ("/bin", "C")
    assert (kept["HOME"], kept["TMPDIR"]) == ("/var/one", "/var/one")
    assert kept["NO_PROXY"] == kept["no_proxy"] == "*"


def test_a_long_path_is_no_place_for_temporary_files() -> None:
    """Airflow 2.11 makes a Unix socket there; its path would be too long, and the scheduler would not start."""
    long = Path("/var") / ("x" * 80)
    kept = undisturbed({"TMPDIR": "/var/short"}, long)
    assert (kept["HOME"], kept["TMPDIR"]) == (str(long), "/var/short")
