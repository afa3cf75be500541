"""``python -m airflow_provider_clarity.check`` without buying: what it says of good and bad set-ups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from desk import KEY, Desk

IAM = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"
TARGET = "images@project.iam.gserviceaccount.com"
TESTED = (
    "key", "balance", "credentials", "signing", "create", "read", "list", "replace", "rewrite", "preconditions",
    "delete", "presigned PUT", "presigned GET", "clean-up",
)  # fmt: skip


def test_a_good_set_up_is_ok_and_costs_nothing(desk: Desk) -> None:
    """Each line says ok, nothing is bought, nothing stays; and no line stands for something that was not tried."""
    ended = desk.check("--source-bucket", "gs://raw-pictures")
    assert ended.code == 0, ended
    assert {name: ended.status(name) for name in TESTED} == dict.fromkeys(TESTED, "ok")
    assert ended.status("upload session") == ended.status("sources") == "skip"
    assert "Nothing was bought" in ended.out.splitlines()[-1]
    assert desk.emulator.accounts()["submits"] == 0


@pytest.mark.parametrize(
    ("operation", "match", "name", "role"),
    [
        ("store.insert", "/object", "create", "roles/storage.objectUser"),
        ("store.get", "/object", "read", "roles/storage.objectViewer"),
        ("store.list", "print-pictures", "list", "roles/storage.objectViewer"),
        ("store.rewrite", "print-pictures", "rewrite", "roles/storage.objectUser"),
        ("store.delete", "/object", "delete", "roles/storage.objectUser"),
        ("store.insert", "/race", "preconditions", "roles/storage.objectUser"),
        ("store.insert", "/uploaded", "presigned PUT", "roles/storage.objectUser"),
        ("store.get", "/download", "presigned GET", "roles/storage.objectViewer"),
        ("store.token", "", "credentials", "google_cloud_default"),
    ],
)
def test_what_the_identity_may_not_do_is_named_with_its_role(
    desk: Desk, operation: str, match: str, name: str, role: str
) -> None:
    """The line tells what to grant, the exit code that something is wrong; all that was written is deleted."""
    desk.emulator.faults([{"operation": operation, "fault": "status_403"} | ({"match": match} if match else {})])
    ended = desk.check()
    assert ended.code == 1
    assert ended.status(name) == "FAIL"
    assert role in ended.line(name)
    assert ended.out.count("FAIL") == 1, ended.out


@pytest.mark.parametrize(("via", "status", "code"), [("auto", "skip", 0), ("signed_url", "FAIL", 1)])
def test_an_account_that_iam_does_not_sign_for_is_told_the_role(desk: Desk, via: str, status: str, code: int) -> None:
    """With ``auto`` upload sessions go on working and are tried instead; who insists on signatures has a failure."""
    extra = {"key_path": desk.emulator.service_account_file, "impersonation_chain": TARGET}
    desk.connect("google_cloud_default", conn_type="google_cloud_platform", extra=extra)
    desk.environment[IAM] = desk.emulator.storage_url
    desk.emulator.faults([{"operation": "store.sign_blob", "fault": "status_403", "rate": 1}])
    ended = desk.check("--upload-via", via)
    assert (ended.code, ended.status("signing")) == (code, status), ended
    assert "roles/iam.serviceAccountTokenCreator" in ended.line("signing")
    assert TARGET in ended.line("credentials")
    assert ended.status("presigned PUT") == "skip"
    assert ended.status("upload session") == ("ok" if via == "auto" else "skip")


def test_impersonation_signs_by_iam(desk: Desk) -> None:
    """Which way and which account is said, since a URL lives shorter that way."""
    desk.environment[IAM] = desk.emulator.storage_url
    ended = desk.check("--impersonation-chain", TARGET)
    assert ended.code == 0, ended
    assert TARGET in ended.line("signing")
    assert "12 hours" in ended.line("signing")


def test_what_could_not_be_deleted_is_named(desk: Desk) -> None:
    """Who lacks the role to delete must know what to delete by hand."""
    desk.emulator.faults([{"operation": "store.delete", "fault": "status_403", "times": 2, "match": "/object"}])
    ended = desk.check()
    assert ended.status("clean-up") == "FAIL"
    (left,) = desk.objects()
    assert f"gs://{left}" in ended.line("clean-up")
    assert "roles/storage.objectUser" in ended.line("clean-up")
    bucket, _, name = left.partition("/")
    desk.remove(bucket, name)


def test_a_wrong_key_is_named_and_the_rest_goes_on(desk: Desk) -> None:
    """The buckets can be checked all the same."""
    desk.connect("clarity_default", conn_type="clarity", password="emulator-no+such", host=desk.emulator.runware_url)
    ended = desk.check()
    assert ended.code == 1
    assert "clarity_default" in ended.line("balance")
    assert "no+such" not in ended.out
    assert ended.status("create") == "ok"


def test_connections_that_are_not_there_are_named(desk: Desk) -> None:
    """With what to create; what needs them is skipped with the reason."""
    del desk.environment["AIRFLOW_CONN_CLARITY_DEFAULT"]
    ended = desk.check("--gcp-conn-id", "nowhere")
    assert ended.code == 1
    assert "'clarity_default' does not exist" in ended.line("key")
    assert "'nowhere' does not exist" in ended.line("credentials")
    assert ended.status("create") == "skip"
    assert "'credentials', which failed" in ended.line("create")


def test_a_bucket_that_does_not_exist_is_named(desk: Desk) -> None:
    """A typing mistake is no lack of a role."""
    ended = desk.check(bucket="gs://print-pictuers")
    assert ended.code == 1
    assert "gs://print-pictuers does not exist" in ended.line("create")


def test_a_destination_with_a_prefix_is_written_under_it(desk: Desk) -> None:
    """A role may be bound to the prefix."""
    ended = desk.check(bucket="gs://print-pictures/day/one")
    assert ended.code == 0
    assert "gs://print-pictures/day/one/_clarity-check-" in ended.line("rewrite")


def test_the_worker_way_makes_no_url(desk: Desk) -> None:
    """Behind a perimeter even a try would be an alarm."""
    ended = desk.check("--upload-via", "worker")
    assert ended.code == 0
    assert {ended.status(name) for name in ("signing", "presigned PUT", "presigned GET", "upload session")} == {"skip"}


def test_the_results_as_json_say_the_same(desk: Desk, tmp_path: Path) -> None:
    """For a pipeline that checks a set-up before it uses it."""
    file = tmp_path / "check.json"
    ended = desk.check("--json", str(file))
    found = json.loads(file.read_text())
    assert found["ok"] is True
    assert found["service"] is None
    assert {one["name"]: one["status"] for one in found["checks"] if one["name"] in TESTED} == dict.fromkeys(
        TESTED, "ok"
    )
    assert ended.status("key") == "ok"
    assert KEY not in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bucket", "s3://pictures"], "gs://bucket/name"),
        ([], "--bucket"),
        (["--bucket", "gs://print-pictures", "--image", "a.png"], "--buy-one"),
        (["--bucket", "gs://print-pictures", "--probe-duplicate"], "--buy-one"),
        (["--bucket", "gs://print-pictures", "--buy-one"], "--yes"),
        (["--bucket", "gs://print-pictures", "--buy-one", "--yes", "--image", __file__], "no whole JPEG"),
        (["--bucket", "gs://print-pictures", "--json", "/nowhere/at/all.json"], "--json"),
    ],
)
def test_bad_usage_ends_with_two_before_anything_is_done(desk: Desk, arguments: list[str], said: str) -> None:
    """Also a purchase that nobody confirmed."""
    ended = desk.end(desk.start(*arguments))
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert desk.emulator.accounts()["posts"] == 0
