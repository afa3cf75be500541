"""The command: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from emulator_api import Api, task, until
from emulator_process import ROOT, EmulatorProcess


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow_provider_clarity.emulator", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_the_line_names_both_servers_the_key_and_the_key_file(running: EmulatorProcess) -> None:
    """Whoever starts it needs exactly these four, and both servers answer as soon as they are printed."""
    assert set(running.ready) == {"runware_url", "storage_url", "service_account_file", "api_key"}
    assert running.runware_url.startswith("http://127.0.0.1:")
    assert running.runware_url.endswith("/v1")
    for base in (running.runware_url.removesuffix("/v1"), running.storage_url):
        assert httpx.get(f"{base}/_emulator/faults", trust_env=False).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0_even_while_a_reply_hangs(number: int) -> None:
    """A test run or a demo that stops it must not wait, and must not see a failure."""
    with EmulatorProcess("--service-time", "30") as emulator, Api(emulator) as api:
        emulator.faults([{"operation": "poll", "fault": "hang"}])
        api.post([task()])
        ended = threading.Thread(target=_swallow, args=(api,))
        ended.start()
        until(lambda: emulator.faults()[0]["fired"])
        assert emulator.stop(number) == 0
        assert "Traceback" not in emulator.errors
        ended.join(5)
        assert not ended.is_alive()


def _swallow(api: Api) -> None:
    with pytest.raises(httpx.HTTPError):
        api.post([{"taskType": "getResponse", "taskUUID": task()["taskUUID"]}])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "0.0.0.0"],  # noqa: S104 - it is refused
        ["--host", "192.168.1.4"],
        ["--host", "::"],
        ["--host", "example.com"],
        ["--runware-port", "70000"],
        ["--service-time", "-1"],
        ["--service-time", "nan"],
        ["--latency-model", "bimodal"],
        ["--slots", "0"],
        ["--queue", "-1"],
        ["--render", "some"],
        ["--bucket", "B"],
        ["--bucket", "twice", "--bucket", "twice"],
        ["--nothing"],
        ["--key-file", "/nowhere/at/all/key.json"],
    ],
)
def test_a_bad_argument_ends_it_with_2(arguments: list[str]) -> None:
    """An address that others can reach, above all: the stand-in must never be served to a network."""
    ended = _run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "error:" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("option", ["--runware-port", "--storage-port"])
def test_a_port_that_is_taken_ends_it_with_2(option: str) -> None:
    """The one who starts it must hear of it, rather than speak to a stranger on that port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = _run(option, str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "cannot listen" in ended.stderr


def test_the_key_file_is_private_and_points_to_the_emulator(running: EmulatorProcess) -> None:
    """A key that others can read, or that asks Google for a token, would be a defect of a stand-in."""
    path = Path(running.service_account_file)
    content = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content["token_uri"] == f"{running.storage_url}/token"
    assert content["private_key"].startswith("-----BEGIN PRIVATE KEY-----")


def test_the_key_file_goes_where_it_was_asked_for_and_the_port_too(tmp_path: Path) -> None:
    """A demo names both, since it writes them into a connection before the start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "key.json"
    path.write_text("an older one, readable by all")
    with EmulatorProcess("--key-file", str(path), "--runware-port", str(port)) as emulator:
        assert emulator.service_account_file == str(path)
        assert emulator.runware_url == f"http://127.0.0.1:{port}/v1"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.exists()


def test_what_it_made_for_itself_is_gone_after_the_end() -> None:
    """Neither a key nor pictures stay behind in the temporary folder."""
    with EmulatorProcess("--service-time", "0") as emulator:
        folder = Path(emulator.service_account_file).parent
        assert folder.is_dir()
    assert not folder.exists()


def test_nothing_of_what_it_was_sent_is_printed() -> None:
    """Keys, presigned queries and pictures reach its logs in no way, whatever goes wrong with them."""
    secret = "do-not-print-0123456789"
    with EmulatorProcess("--service-time", "0") as emulator, Api(emulator) as api:
        url = f"http://127.0.0.1:9/picture.png?X-Goog-Signature={secret}"
        api.post([task(url, uploadEndpoint=url, webhookURL=url, deliveryMethod="sync")])
        assert api.post([task()], key=f"emulator-{secret}").status_code == 401
        api.http.post(emulator.runware_url, content=secret, headers={"Authorization": f"Bearer {secret}"})
        api.http.get(f"{emulator.storage_url}/pictures/one.png?X-Goog-Signature={secret}")
        accounts = json.dumps(emulator.accounts())
        key = emulator.api_key
        emulator.stop()
    assert key.startswith("emulator-")
    assert secret not in emulator.errors
    assert secret not in accounts
    assert key not in emulator.errors
