"""Presigned URLs, used against a server that verifies them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth.compute_engine
import google.auth.credentials
import google.oauth2.credentials
import pytest
import requests
from emulator_process import EmulatorProcess
from google.auth import iam, impersonated_credentials
from google.cloud import storage

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.storage.endpoints import make_endpoint
from airflow_provider_clarity.storage.signing import Signer, cannot_sign
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

ODD_NAME = "a b/ü?#%25&+=//~'\"[*].png"
TARGET = "images@project.iam.gserviceaccount.com"


@pytest.fixture
def impersonated(emulator: EmulatorProcess, credentials: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Credentials whose every signature is asked of the emulator's IAM."""
    path = "/v1/projects/-/serviceAccounts/{}:"
    monkeypatch.setattr(iam, "_IAM_SIGN_ENDPOINT", f"{emulator.storage_url}{path}signBlob")  # no argument leads there
    return impersonated_credentials.Credentials(credentials, TARGET, ["https://www.googleapis.com/auth/cloud-platform"])


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


def test_by_impersonation_iam_signs_and_a_url_lives_for_twelve_hours(
    client: storage.Client, impersonated: Any, bucket: GsUri
) -> None:
    """Breaks if a chain of service accounts cannot upload, or its URLs outlive the key that signed them."""
    signed = Signer(client, impersonated).sign_put(bucket.child("a"))
    assert query_of(signed.url)["X-Goog-Expires"] == ["43200"]
    assert query_of(signed.url)["X-Goog-Credential"][0].startswith(TARGET)
    requests.put(signed.url, data=b"picture", timeout=10).raise_for_status()


def test_a_missing_role_to_sign_is_named(
    client: storage.Client, impersonated: Any, bucket: GsUri, faults: Callable[..., None]
) -> None:
    """Breaks if a 403 of IAM reaches the user as a traceback."""
    faults("store.sign_blob", "status_403", match=TARGET)
    with pytest.raises(ClarityAuthError, match=r"roles/iam\.serviceAccountTokenCreator"):
        Signer(client, impersonated).sign_put(bucket.child("a"))


def test_no_text_shows_a_url(signer: Signer, bucket: GsUri) -> None:
    """Breaks if an endpoint shows up in a log by being formatted."""
    uri = bucket.child("a")
    for secret in (signer.sign_put(uri), signer.sign_get(uri, 1), make_endpoint(signer, uri)):
        assert "X-Goog" not in f"{secret} {secret!r}"


def test_an_endpoint_says_when_it_expires(signer: Signer, bucket: GsUri) -> None:
    """Breaks if the task record cannot tell whether an upload may still come."""
    endpoint = make_endpoint(signer, bucket.child("staging/a-1.png"))
    requests.put(endpoint.url, data=b"picture", timeout=10).raise_for_status()
    assert endpoint.expires_at > datetime.now(UTC) + timedelta(days=6)


@pytest.mark.parametrize(
    ("unable", "kind"),
    [
        (google.auth.compute_engine.Credentials(), "machine"),
        (google.oauth2.credentials.Credentials("token"), "person"),
        (google.auth.credentials.AnonymousCredentials(), "Anonymous"),
        (object(), "object"),
    ],
)
def test_who_cannot_sign_is_told_what_can(client: storage.Client, unable: object, kind: str) -> None:
    """Breaks if a user of Composer or gcloud gets "you need a private key" and no way out."""
    reason = cannot_sign(unable)
    assert reason is not None
    for part in (kind, "impersonation chain", "roles/iam.serviceAccountTokenCreator"):
        assert part in reason
    with pytest.raises(ClarityAuthError, match="cannot sign"):
        Signer(client, unable)


def test_a_key_can_sign(credentials: Any) -> None:
    """Breaks if ``auto`` would never choose the way that works."""
    assert cannot_sign(credentials) is None
