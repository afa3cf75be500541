"""Presigned URLs, used against a server that verifies them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth.compute_engine
import google.auth.credentials
import google.oauth2.credentials
import pytest
import requests
from emulator_process import EmulatorProcess
from google.auth import identity_pool, impersonated_credentials
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from google.cloud import storage

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.storage.iam_signing import IamSigner
from airflow_provider_clarity.storage.signing import Signer, cannot_sign
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

ODD_NAME = "a b/ü?#%25&+=//~'\"[*].png"
TARGET = "images@project.iam.gserviceaccount.com"
DELEGATE = "between@project.iam.gserviceaccount.com"


@pytest.fixture
def impersonated(credentials: Any) -> Any:
    """Credentials whose every signature is asked of IAM."""
    return impersonated_credentials.Credentials(
        credentials, TARGET, ["https://www.googleapis.com/auth/cloud-platform"], delegates=[DELEGATE]
    )


@pytest.fixture
def machine(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The credentials of a machine whose metadata server is the emulator."""
    host = urlsplit(emulator.storage_url).netloc
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)  # GCE_METADATA_HOST, which is read at import
    return google.auth.compute_engine.Credentials()  # type: ignore[no-untyped-call]


@pytest.fixture
def federated(machine: Any) -> Any:
    """Federated credentials that impersonate a service account; its token comes from the emulator."""

    class Federated(identity_pool.Credentials):  # type: ignore[misc]
        def refresh(self, request: Any) -> None:
            machine.refresh(request)
            self.token, self.expiry = machine.token, machine.expiry

    return Federated(
        audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url="https://sts.googleapis.com/v1/token",
        credential_source={"file": "/nonexistent"},
        service_account_impersonation_url=f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken",
    )


@pytest.fixture
def by_iam(client: storage.Client, emulator: EmulatorProcess) -> Callable[[Any], Signer]:
    """Make signers that ask the emulator's IAM."""
    return lambda credentials: Signer(client, credentials, iam_endpoint=f"{emulator.storage_url}/")


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_a_signed_put_and_get_are_let_in(store: ObjectStore, signer: Signer, bucket: GsUri) -> None:
    """Breaks if the service is refused at our door, after we have paid."""
    uri = bucket.child(ODD_NAME)
    put = signer.sign_put(uri)
    for number, headers in enumerate(({}, {"Content-Type": "image/webp"})):
        requests.put(put.url, data=b"picture %d" % number, headers=headers, timeout=10).raise_for_status()
    stored = store.stat(uri)
    assert stored is not None
    reply = requests.get(signer.sign_get(uri, stored.generation).url, timeout=10)
    assert (reply.status_code, reply.content) == (200, b"picture 1")


def test_a_signed_url_opens_one_object_one_way(signer: Signer, store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if an endpoint that leaked could read what is there, or write elsewhere."""
    uri = bucket.child("a.png")
    stored = store.create(uri, b"bytes", if_generation_match=0)
    put, get = signer.sign_put(uri).url, signer.sign_get(uri, stored.generation).url
    assert requests.get(put, timeout=10).status_code == 403
    assert requests.put(get, data=b"x", timeout=10).status_code == 403
    assert requests.put(put.replace("a.png", "b.png"), data=b"x", timeout=10).status_code == 403


def test_a_signed_get_names_a_generation(signer: Signer, store: ObjectStore, bucket: GsUri) -> None:
    """Breaks if the service upscales another picture than the one we looked at."""
    old = store.create(bucket.child("a.png"), b"old", if_generation_match=0)
    store.create(old.uri, b"new", if_generation_match=old.generation)
    assert requests.get(signer.sign_get(old.uri, old.generation).url, timeout=10).status_code == 404


def test_only_the_host_is_signed(signer: Signer, bucket: GsUri) -> None:
    """Breaks if an upload with a header that we did not foresee is refused."""
    assert query_of(signer.sign_put(bucket.child("a")).url)["X-Goog-SignedHeaders"] == ["host"]


def test_by_key_a_url_lives_for_seven_days(signer: Signer, bucket: GsUri) -> None:
    """Breaks if a slow queue outlives the endpoint of a paid task."""
    signed = signer.sign_put(bucket.child("a"))
    assert query_of(signed.url)["X-Goog-Expires"] == ["604800"]
    left = signed.expires_at - datetime.now(UTC)
    assert timedelta(days=7, seconds=-60) < left <= timedelta(days=7)


@pytest.mark.parametrize("kind", ["impersonated", "machine", "federated"])
def test_by_iam_a_url_is_let_in_and_lives_for_twelve_hours(
    kind: str, request: pytest.FixtureRequest, by_iam: Callable[[Any], Signer], store: ObjectStore, bucket: GsUri
) -> None:
    """Breaks if who holds no key cannot upload, or a URL outlives the key that signed it."""
    signer = by_iam(request.getfixturevalue(kind))
    assert signer.refusal is None
    signed = signer.sign_put(bucket.child("a"))
    assert query_of(signed.url)["X-Goog-Expires"] == ["43200"]
    assert "@" in query_of(signed.url)["X-Goog-Credential"][0]
    requests.put(signed.url, data=b"picture", timeout=10).raise_for_status()
    stored = store.stat(bucket.child("a"))
    assert stored is not None
    assert requests.get(signer.sign_get(stored.uri, stored.generation).url, timeout=10).content == b"picture"


def test_iam_is_asked_by_the_caller_through_the_chain(client: storage.Client, impersonated: Any, bucket: GsUri) -> None:
    """Breaks if the account has to be allowed to sign for itself, or a chain of two is asked as one."""
    asked: list[dict[str, Any]] = []

    def transport(url: str, method: str = "GET", body: bytes = b"", headers: Any = None, **_: Any) -> Any:
        if not url.endswith(":signBlob"):
            return Request()(url, method=method, body=body, headers=headers)  # type: ignore[no-untyped-call]
        asked.append({"url": url, **json.loads(body)})
        return SimpleNamespace(status=200, data=b'{"signedBlob": "AAAA"}')

    Signer(client, impersonated, request=transport).sign_put(bucket.child("a"))
    assert [(one["url"], one["delegates"]) for one in asked] == [
        (
            f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{TARGET}:signBlob",
            [f"projects/-/serviceAccounts/{DELEGATE}"],
        )
    ]
    assert bucket.bucket.encode() not in base64.b64decode(asked[0]["payload"])


@pytest.mark.parametrize("kind", ["impersonated", "machine"])
def test_a_missing_role_to_sign_is_named(
    kind: str,
    request: pytest.FixtureRequest,
    by_iam: Callable[[Any], Signer],
    emulator: EmulatorProcess,
    bucket: GsUri,
    faults: Callable[..., None],
) -> None:
    """Breaks if a 403 of IAM reaches the user as a traceback, is taken for a passing trouble, or is asked for again."""
    account = (
        TARGET
        if kind == "impersonated"
        else json.loads(Path(emulator.service_account_file).read_text())["client_email"]
    )
    faults("store.sign_blob", "status_403", match=account)
    signer = by_iam(request.getfixturevalue(kind))
    refusal = signer.refusal
    assert refusal is not None
    assert "roles/iam.serviceAccountTokenCreator" in refusal.message
    assert account in refusal.message
    assert not refusal.retryable
    assert signer.refusal is refusal
    faults("store.sign_blob", "status_403", match=account)
    with pytest.raises(ClarityAuthError, match=r"roles/iam\.serviceAccountTokenCreator"):
        signer.sign_put(bucket.child("a"))


def test_iam_that_answers_late_is_asked_again(
    by_iam: Callable[[Any], Signer], impersonated: Any, bucket: GsUri, faults: Callable[..., None]
) -> None:
    """Breaks if one 503 or one lost reply of IAM fails a task."""
    faults("store.sign_blob", "status_503", match=TARGET)
    faults("store.sign_blob", "reset_before", match=TARGET)
    faults("store.sign_blob", "status_429", match=TARGET)
    assert by_iam(impersonated).sign_put(bucket.child("a")).url


def test_iam_that_cannot_be_reached_is_a_retryable_error(
    client: storage.Client, credentials: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a closed network hangs a task, or fails it for good where the next try may get through."""
    request = Request()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("time.sleep", lambda _: None)
    key = IamSigner(credentials, TARGET, request=request, endpoint="http://127.0.0.1:9", patience=0.5)
    with pytest.raises(ClarityAuthError, match="resumable_session") as unreachable:
        key.sign_bytes(b"x")
    assert unreachable.value.retryable
    assert client


def test_a_machine_without_a_service_account_is_told_so(
    by_iam: Callable[[Any], Signer], machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a GKE cluster without a linked account asks IAM for an account that does not exist."""
    monkeypatch.setattr(type(machine), "service_account_email", "project.svc.id.goog")
    refusal = by_iam(machine).refusal
    assert refusal is not None
    assert "Link the workload to a service account" in refusal.message


def test_who_pays_is_part_of_what_is_signed(client: storage.Client, credentials: Any, bucket: GsUri) -> None:
    """Breaks if the service is refused at a requester-pays bucket, or could charge somebody else."""
    paying = client.bucket(bucket.bucket)
    paying.requester_pays = True
    paying.patch()
    uri = bucket.child("a")
    refused = Signer(client, credentials).sign_put(uri)
    assert requests.put(refused.url, data=b"x", timeout=10).status_code == 400
    signed = Signer(client, credentials, user_project="payer").sign_put(uri)
    assert query_of(signed.url)["userProject"] == ["payer"]
    assert requests.put(signed.url.replace("=payer", "=other"), data=b"x", timeout=10).status_code == 403
    requests.put(signed.url, data=b"x", timeout=10).raise_for_status()


def test_no_text_shows_a_url(signer: Signer, bucket: GsUri) -> None:
    """Breaks if an endpoint shows up in a log by being formatted."""
    uri = bucket.child("a")
    for secret in (signer.sign_put(uri), signer.sign_get(uri, 1)):
        assert "X-Goog" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(
    ("unable", "kind"),
    [
        (google.oauth2.credentials.Credentials("token"), "person"),
        (google.auth.credentials.AnonymousCredentials(), "Anonymous"),
        (object(), "object"),
    ],
)
def test_who_cannot_sign_is_told_what_can(client: storage.Client, bucket: GsUri, unable: object, kind: str) -> None:
    """Breaks if a user of gcloud gets "you need a private key" and no way out."""
    reason = cannot_sign(unable)
    assert reason is not None
    for part in (kind, "impersonation chain", "roles/iam.serviceAccountTokenCreator", "resumable_session"):
        assert part in reason
    signer = Signer(client, unable)
    assert signer.refusal is not None
    assert reason in signer.refusal.message
    with pytest.raises(ClarityAuthError, match="cannot sign"):
        signer.sign_put(bucket.child("a"))


def test_a_key_signs_without_asking_anybody(client: storage.Client, credentials: Any, bucket: GsUri) -> None:
    """Breaks if ``auto`` would never choose the way that works, or would need the network to find out."""

    def transport(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody is asked")

    signer = Signer(client, credentials, request=transport)
    assert signer.refusal is None
    assert signer.sign_put(bucket.child("a")).url
