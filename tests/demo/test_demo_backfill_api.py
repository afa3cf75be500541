"""How a backfill is asked for: Airflow 3 on SQLite refuses one now and then, and may leave half of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clarity.demo import airflow_api
from airflow_provider_clarity.demo.airflow_api import AirflowApiError, RestApi
from airflow_provider_clarity.demo.airflow_env import AirflowSetup

DAYS = ("2026-01-01", "2026-01-02")


class Backfills:
    """What the server has been asked, and what it answers.

    :param refusals: statuses of the first answers to a POST
    """

    def __init__(self, *refusals: int) -> None:
        self.refusals = list(refusals)
        self.asked: list[str] = []
        self.open: list[int] = []

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, object]:
        if path == "/auth/token":
            return 201, {"access_token": "made up"}
        if method == "GET":
            return 200, {"backfills": [{"id": number, "completed_at": None} for number in self.open]}
        if method == "PUT":
            self.asked.append(f"close {path.split('/')[-2]}")
            self.open.clear()
            return 200, {}
        self.asked.append(body["reprocess_behavior"])
        if self.open:
            return 409, {"detail": "There is already a running backfill"}
        self.open.append(len(self.asked))
        return (self.refusals.pop(0), {"detail": "Database is locked"}) if self.refusals else (200, {})


@contextmanager
def serving(backfills: Backfills, home: Path) -> Iterator[RestApi]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            status, said = backfills.answer(self.command, self.path, body)
            self.send_response(status)
            content = json.dumps(said).encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        api = RestApi(AirflowSetup(home, home, "3.3.2", server.server_port))
        try:
            yield api
        finally:
            api.close()
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "_PAUSES", (0.0, 0.0, 0.0))


def test_a_backfill_that_airflow_has_not_closed_yet_is_closed(tmp_path: Path) -> None:
    """It would refuse another of the same DAG, for half a minute."""
    backfills = Backfills()
    with serving(backfills, tmp_path) as api:
        api.backfill("daily", DAYS, again=False)
        api.backfill("daily", DAYS, again=True)
    assert backfills.asked == ["none", "close 1", "completed"]


@pytest.mark.parametrize("asked", [["none", "close 1", "failed"], ["completed", "close 1", "completed"]])
def test_a_locked_database_is_tried_again_without_what_is_left_of_the_first_try(
    tmp_path: Path, asked: list[str]
) -> None:
    """A demo must not end with 1 since SQLite was busy; runs that were failed by the close run all the same."""
    backfills = Backfills(503)
    with serving(backfills, tmp_path) as api:
        api.backfill("daily", DAYS, again=asked[0] == "completed")
    assert backfills.asked == asked


def test_a_refusal_that_time_does_not_mend_is_an_error(tmp_path: Path) -> None:
    """At once, where another try cannot help; after the last pause, where it might have."""
    backfills = Backfills(404)
    with serving(backfills, tmp_path) as api, pytest.raises(AirflowApiError, match="404"):
        api.backfill("daily", DAYS, again=False)
    assert backfills.asked == ["none"]
    backfills = Backfills(*[503] * 9)
    with serving(backfills, tmp_path) as api, pytest.raises(AirflowApiError, match="503"):
        api.backfill("daily", DAYS, again=False)
    assert backfills.asked.count("failed") == 3
