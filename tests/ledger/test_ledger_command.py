"""The command over a real store: it shows what is there, and deletes what nobody needs and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from ledger_shelf import Shelf

from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.journal.closing import write_rows, write_summary
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.lines import End, Intent, Planned
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.ledger import access, command
from airflow_provider_clarity.ledger.command import main
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.uris import GsUri

A, B, C = "a" * 64, "b" * 64, "c" * 64
DAY = 24 * 3600.0


def record(shelf: Shelf, identity: str, **changes: Any) -> TaskRecord:
    """A task record with one attempt."""
    staging = f"gs://{shelf.bucket}/_clarity/staging/{identity}-1.jpg"
    attempt = Attempt.model_validate(
        {
            "n": 1, "task_uuid": task_uuid(identity, 1), "staging": staging, "run_key": "run", "submit_timeout": 60.0,
            "sent_at": 1000.0, "last_sent_at": 1000.0,
        }
        | changes
    )  # fmt: skip
    return TaskRecord(
        identity=identity, content_key="k", source=f"gs://raw/{identity[0]}.png",
        destination=f"gs://{shelf.bucket}/print/{identity[0]}.jpg", parameters={"model": "runware:500@1"}, owner="o",
        owner_since=1000.0, attempts=(attempt,),
    )  # fmt: skip


def put(shelf: Shelf, name: str, data: bytes = b"x", **how: Any) -> GsUri:
    uri = GsUri(shelf.bucket, name)
    shelf.store.create(uri, data, if_generation_match=0, **how)
    return uri


def keep(shelf: Shelf, stored: TaskRecord, *, staging: bool = True, delivered: bool = False) -> None:
    """Put a task record into the bucket, with its picture in staging and at its final name."""
    put(shelf, f"_clarity/tasks/{stored.identity}.json", stored.model_dump_json().encode())
    if staging:
        put(shelf, f"_clarity/staging/{stored.identity}-1.jpg")
    if delivered:
        proven = Provenance("k", stored.identity, None, stored.source)
        put(shelf, GsUri.parse(stored.destination).name, metadata=proven.to_metadata())


def ledger(shelf: Shelf, name: str = "0a1b2c3d/0") -> Journal:
    root = GsUri(shelf.bucket, f"_clarity/runs/dag/run/task/-1/{name}/")
    journal = Journal(shelf.store, root, "one", clock=time.time, monotonic=time.monotonic)
    journal.open()
    return journal


def ended_ledger(shelf: Shelf, name: str = "0a1b2c3d/0", *, ended_at: float | None = None) -> Journal:
    """A ledger of a round that is over: one image, which failed."""
    journal = ledger(shelf, name)
    row = PlanRow(0, "gs://raw/x.png", 1, f"gs://{shelf.bucket}/print/x.jpg", parameters_from_user())
    journal.append([Planned(number=0, first=0, rows=1, last=True), End(position=0, outcome="failed")])
    written = write_rows(shelf.store, journal, [row])
    write_summary(
        shelf.store, journal, written, now=time.time() if ended_at is None else ended_at, max_tries=1, result={}
    )  # fmt: skip
    journal.release()
    return journal


def names(shelf: Shelf, prefix: str = "") -> set[str]:
    return {one.uri.name for one in shelf.store.list(GsUri(shelf.bucket, prefix))}


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """Run it, and return its JSON."""
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_an_empty_bucket_has_nothing(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made by looking."""
    found = run(capsys, "show", f"gs://{shelf.bucket}")
    assert (found["ledgers"], found["staging"], found["undelivered"], found["problems"]) == ([], [], [], [])
    assert found["workspace"] == f"gs://{shelf.bucket}/_clarity/"
    assert run(capsys, "gc", f"gs://{shelf.bucket}", "--yes")["deleted"] == 0
    assert names(shelf) == set()


def test_it_shows_runs_and_what_is_in_flight_lost_kept_and_unknown(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person asks: is anything on its way, did anything get lost, what did it cost."""
    journal = ledger(shelf)
    journal.append([Intent(position=0, first=True, record=record(shelf, A))])
    ended_ledger(shelf, "ffffffff/0")
    put(shelf, f"_clarity/staging/{A}-1.jpg")
    keep(shelf, record(shelf, B, outcome="lost"))
    keep(shelf, record(shelf, C, outcome="undelivered", kept="gs://print/y"), staging=False)
    put(shelf, "_clarity/staging/somebody.jpg")
    put(shelf, f"_clarity/undelivered/{C}-1.jpg")
    put(shelf, "_clarity/runs/dag/run/one/-1/01234567/image.json", b"{}")
    found = run(capsys, "show", f"gs://{shelf.bucket}", "--deep")
    assert [(one["ended"], one["in_flight"], one["counts"]) for one in found["ledgers"]] == [
        (False, 1, {}), (True, 0, {"failed.provider": 1}),
    ]  # fmt: skip
    uuid = str(task_uuid(A, 1))
    assert found["ledgers"][0]["in_flight_tasks"] == [
        {"task_uuid": uuid, "source": "gs://raw/a.png", "acknowledged": False}
    ]
    assert found["ledgers"][1]["dead_letter"].endswith("/ffffffff/0/dead_letter.jsonl")
    assert {one["uri"].rpartition("/")[2]: one["state"] for one in found["staging"]} == {
        f"{A}-1.jpg": "in flight", f"{B}-1.jpg": "lost", "somebody.jpg": "unknown",
    }  # fmt: skip
    assert len(found["undelivered"]) == 1
    assert found["task_records"] == 2
    assert [one["state"] for one in found["attempts"]] == ["lost", "undelivered"]
    assert main(["show", f"gs://{shelf.bucket}"]) == 0
    text = capsys.readouterr().out
    assert f"in flight: {uuid}" in text
    assert "not released" in text
    assert "--deep reads them" in text
    assert main(["show", f"gs://{shelf.bucket}", "--deep"]) == 0
    assert f"lost        {task_uuid(B, 1)}" in capsys.readouterr().out


def test_it_deletes_what_nobody_needs_and_nothing_else(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --yes nothing; with it the settled staging of a delivered picture."""
    keep(shelf, record(shelf, A, outcome="delivered"), delivered=True)
    keep(shelf, record(shelf, B, outcome="lost"), delivered=True)
    keep(shelf, record(shelf, C, outcome="delivered"))
    put(shelf, "_clarity/staging/somebody.jpg")
    put(shelf, f"_clarity/undelivered/{C}-1.jpg")
    ended_ledger(shelf)
    before = names(shelf)
    dry = run(capsys, "gc", f"gs://{shelf.bucket}")
    assert dry["dry_run"]
    assert dry["staging"] == [f"gs://{shelf.bucket}/_clarity/staging/{A}-1.jpg"]
    assert dry["ledgers"] == []
    assert names(shelf) == before
    assert main(["gc", f"gs://{shelf.bucket}"]) == 0
    assert "1 object(s) may go; --yes deletes them." in capsys.readouterr().out
    assert run(capsys, "gc", f"gs://{shelf.bucket}", "--yes")["deleted"] == 1
    assert before - names(shelf) == {f"_clarity/staging/{A}-1.jpg"}
    assert main(["gc", f"gs://{shelf.bucket}", "--yes"]) == 0
    assert "Nothing may be deleted." in capsys.readouterr().out


def test_an_old_ledger_that_is_over_goes_and_its_neighbours_stay(
    shelf: Shelf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is open holds what is in flight, however old it is."""
    old = ended_ledger(shelf)
    open_ = ledger(shelf, "ffffffff/0")
    open_.append([Intent(position=0, first=True, record=record(shelf, A))])
    later = time.time() + 91 * DAY
    monkeypatch.setattr(command.time, "time", lambda: later)
    found = run(capsys, "gc", f"gs://{shelf.bucket}", "--yes")
    assert found["ledgers"] == [str(old.root)]
    assert found["deleted"] == found["objects"] == 8
    left = names(shelf)
    assert not [name for name in left if "0a1b2c3d" in name]
    assert len(left) == 2


def test_a_ledger_that_cannot_be_read_keeps_everything(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """It may have open what its neighbours call settled."""
    keep(shelf, record(shelf, A, outcome="delivered"), delivered=True)
    put(shelf, "_clarity/runs/dag/run/task/-1/0a1b2c3d/0/segments/00000001.jsonl", b"?")
    found = run(capsys, "gc", f"gs://{shelf.bucket}", "--yes", code=1)
    assert found["deleted"] == 0
    assert "00000001.jsonl" in found["problems"][0]
    assert main(["show", f"gs://{shelf.bucket}"]) == 1
    assert "problem: gs://" in capsys.readouterr().out


def test_damaged_records_are_problems_and_their_staging_stays(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Who cannot read what was bought deletes nothing of it."""
    put(shelf, f"_clarity/tasks/{A}.json", b"{}")
    put(shelf, f"_clarity/staging/{A}-1.jpg")
    found = run(capsys, "show", f"gs://{shelf.bucket}", "--deep", code=1)
    assert [one["state"] for one in found["staging"]] == ["unknown"]
    assert len(found["problems"]) == 2


def test_a_half_deleted_ledger_is_still_known_to_be_over(
    shelf: Shelf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary goes last, so the next gc ends what this one began."""
    ended_ledger(shelf)
    shelf.emulator.faults([{"operation": "store.delete", "fault": "status_403", "times": 1, "match": "summary"}])
    later = time.time() + 91 * DAY
    monkeypatch.setattr(command.time, "time", lambda: later)
    found = run(capsys, "gc", f"gs://{shelf.bucket}", "--yes", code=1)
    assert found["deleted"] == 7
    assert [name.rpartition("/")[2] for name in names(shelf)] == ["summary.json"]
    assert run(capsys, "show", f"gs://{shelf.bucket}")["ledgers"][0]["ended"]
    assert run(capsys, "gc", f"gs://{shelf.bucket}", "--yes")["deleted"] == 1
    assert names(shelf) == set()


def test_a_workspace_elsewhere_has_its_records_in_the_destinations_bucket(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without that bucket its staging is not known, and stays."""
    stored = record(shelf, A, outcome="delivered", staging=f"gs://{shelf.bucket}/scratch/staging/{A}-1.jpg")
    keep(shelf, stored, staging=False, delivered=True)
    put(shelf, f"scratch/staging/{A}-1.jpg")
    other = f"{shelf.bucket}-none"
    shelf.client.create_bucket(other)
    here = run(capsys, "show", f"gs://{shelf.bucket}/scratch", "--tasks-bucket", f"gs://{other}")
    assert [one["state"] for one in here["staging"]] == ["unknown"]
    there = run(capsys, "show", f"gs://{shelf.bucket}/scratch/", "--tasks-bucket", f"gs://{shelf.bucket}")
    assert [one["state"] for one in there["staging"]] == ["settled"]


@pytest.mark.parametrize("arguments", [["show"], ["show", "s3://x"], ["gc", "gs://"], ["sweep", "gs://print"], []])
def test_bad_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And says why."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert capsys.readouterr().err


def test_a_bucket_that_is_not_there_is_an_error(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty one."""
    assert main(["show", f"gs://{shelf.bucket}-typo"]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_no_credentials_are_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shelf: Shelf
) -> None:
    """A traceback of google.auth helps nobody."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    assert access.client() is not None  # there are no real ones for a local server
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    assert main(["show", f"gs://{shelf.bucket}"]) == 1
    assert "No Google credentials were found" in capsys.readouterr().err


def test_the_module_is_a_program(shelf: Shelf) -> None:
    """As the page says; without Airflow, whose import takes seconds."""
    program = [sys.executable, "-m", "airflow_provider_clarity.ledger", "show", f"gs://{shelf.bucket}"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"gs://{shelf.bucket}/_clarity/\n0 ledger(s)\n")
