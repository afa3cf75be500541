"""Credentials for real: key file, metadata server, impersonation, IAM's ``signBlob``."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import google.auth.transport.requests
import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import crypt, impersonated_credentials, jwt
from google.auth.exceptions import RefreshError
from google.cloud.storage import _signing
from requests.adapters import HTTPAdapter
from storage_server import SCOPES, StorageServer, offline

pytest_plugins = ["storage_fixtures"]

IAM = "https://iamcredentials.googleapis.com"
TARGET = "img@p.iam.gserviceaccount.com"


class ToEmulator(HTTPAdapter):
    """Takes requests for Google's IAM to the emulator, as the package's own signer does."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, *arguments: Any, **named: Any) -> Any:
        request.url = self._url + request.url.removeprefix(IAM)
        request.headers["Host"] = urlsplit(self._url).netloc
        return super().send(request, *arguments, **named)


@pytest.fixture
def session(store: StorageServer) -> Any:
    with requests.Session() as session:
        session.mount(IAM, ToEmulator(store.url))
        yield session


def grant(store: StorageServer, pem: str | None = None, **claims: Any) -> httpx.Response:
    """Ask for a token with an assertion of one's own making."""
    now = int(time.time())
    signer = crypt.RSASigner.from_string(pem or store.key.private_key_pem, store.key.private_key_id)
    payload = {"iss": store.key.client_email, "aud": f"{store.url}/token", "iat": now, "exp": now + 3600, **claims}
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": jwt.encode(signer, payload).decode(),
    }
    return store.http.post(f"{store.url}/token", data=form)


def token_of(store: StorageServer) -> dict[str, str]:
    return {"authorization": f"Bearer {grant(store).json()['access_token']}"}


def test_a_key_file_becomes_a_token_that_opens_the_bucket(store: StorageServer) -> None:
    """The client signs an assertion, gets a token for it, and the JSON API takes it."""
    client = store.client()
    client.bucket("raw").blob("a").upload_from_string(b"1")
    assert client._credentials.token.startswith("ya29.emulator-")


def test_an_assertion_that_is_not_right_gets_no_token(store: StorageServer) -> None:
    """Another key, account, audience, or time: ``invalid_grant``, which the client raises as RefreshError."""
    now = int(time.time())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    wrong = [
        grant(store, pem=pem),
        grant(store, iss="other@p.iam.gserviceaccount.com"),
        grant(store, aud="https://example.com/token"),
        grant(store, iat=now - 4000, exp=now - 400),
        grant(store, iat=now + 4000, exp=now + 5000),
        grant(store, exp=now + 7200),
        store.http.post(f"{store.url}/token", data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}),
    ]
    assert [reply.status_code for reply in wrong] == [400] * len(wrong)
    assert {reply.json()["error"] for reply in wrong} == {"invalid_grant"}
    assert store.http.post(f"{store.url}/token", data={"grant_type": "password"}).status_code == 400
    assert grant(store).status_code == 200

    credentials = store.credentials()
    credentials._signer = crypt.RSASigner.from_string(pem)
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials.refresh(google.auth.transport.requests.Request())


def test_a_token_from_elsewhere_or_too_old_is_401(store: StorageServer) -> None:
    """With a wrong Authorization nothing is given away, though without any it would be."""
    url = f"{store.url}/storage/v1/b/raw/o"
    token = token_of(store)
    assert store.http.get(url).status_code == 200
    assert store.http.get(url, headers=token).status_code == 200
    for header in ("Bearer ya29.other", "Basic abc", "Bearer", ""):
        reply = store.http.get(url, headers={"authorization": header})
        assert reply.status_code == 401
        assert reply.json()["error"]["errors"][0]["reason"] == "authError"
    store.ahead = 3601
    assert store.http.get(url, headers=token).status_code == 401


def test_the_client_fetches_a_new_token_when_the_old_one_is_refused(store: StorageServer) -> None:
    """A long run outlives its token; the client meets 401, refreshes once and goes on."""
    client = store.client()
    client.bucket("raw").blob("a").upload_from_string(b"1")
    before = client._credentials.token
    store.forget_tokens()
    assert client.bucket("raw").blob("a").download_as_bytes() == b"1"
    assert client._credentials.token != before


def test_the_metadata_server_wants_and_gives_its_header(store: StorageServer) -> None:
    """A client knows the metadata server by the header; without it in the request there is no token."""
    base = f"{store.url}/computeMetadata/v1"
    assert store.http.get(f"{base}/instance/service-accounts/default/token").status_code == 403
    flavor = {"metadata-flavor": "Google"}
    texts = {
        "project/project-id": store.key.project_id,
        "instance/service-accounts/default/email": store.key.client_email,
        "universe/universe-domain": "googleapis.com",
    }
    for path, text in texts.items():
        reply = store.http.get(f"{base}/{path}", headers=flavor)
        assert (reply.text, reply.headers["metadata-flavor"]) == (text, "Google")
    assert "cloud-platform" in store.http.get(f"{base}/instance/service-accounts/default/scopes", headers=flavor).text
    account = store.http.get(f"{base}/instance/service-accounts/default/?recursive=true", headers=flavor).json()
    assert account["email"] == store.key.client_email
    assert store.http.get(f"{base}/instance/nothing", headers=flavor).status_code == 404
    assert store.http.get(store.url, headers=flavor).headers["metadata-flavor"] == "Google"


def test_compute_engine_credentials_run_against_it(store: StorageServer) -> None:
    """Workload Identity without a change in code: only GCE_METADATA_HOST, found by ``google.auth.default()``."""
    program = """
import json, sys, google.auth, google.auth.transport.requests
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
print(json.dumps([type(credentials).__module__, credentials.service_account_email, credentials.token, project]))
"""
    host = urlsplit(store.url).netloc
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, "PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    module, email, token, project = json.loads(ran.stdout)
    assert (module, email, project) == (
        "google.auth.compute_engine.credentials",
        store.key.client_email,
        store.key.project_id,
    )
    reply = store.http.get(f"{store.url}/storage/v1/b/raw/o", headers={"authorization": f"Bearer {token}"})
    assert reply.status_code == 200


def test_impersonation_gives_a_token_for_the_other_account(store: StorageServer, session: Any) -> None:
    """The real impersonated credentials, their requests to IAM taken to the emulator."""
    credentials = offline(
        impersonated_credentials.Credentials(store.credentials(), target_principal=TARGET, target_scopes=SCOPES)
    )
    offline(credentials._source_credentials)
    credentials.refresh(google.auth.transport.requests.Request(session))
    client = store.client(credentials)
    client.bucket("raw").blob("a").upload_from_string(b"1")
    assert client.bucket("raw").blob("a").exists()


def test_a_url_signed_by_iam_is_taken_for_twelve_hours(
    store: StorageServer, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that cannot sign have IAM sign; its keys rotate, so such a URL dies earlier than it says."""
    real = google.auth.transport.requests.Request
    monkeypatch.setattr(_signing.requests, "Request", lambda given=None: real(given or session))
    for email in (store.key.client_email, TARGET):
        blob = store.client().bucket("raw").blob("a")
        blob.upload_from_string(b"1")
        url = blob.generate_signed_url(
            version="v4",
            expiration=604_800,
            service_account_email=email,
            access_token=grant(store).json()["access_token"],
            api_access_endpoint=store.url,
        )
        assert store.http.get(url).status_code == 200
        assert store.http.get(url.replace("/raw/", "/print/")).status_code == 403
        store.ahead = 43_300
        assert store.http.get(url).status_code == 400
        store.ahead = 0


def test_a_signature_is_good_for_the_account_it_was_made_for(store: StorageServer) -> None:
    """Signed for one, presented as another: refused, although the key is the same."""
    ring_url = f"{store.url}/v1/projects/-/serviceAccounts"
    payload = {"payload": base64.b64encode(b"text").decode()}
    token = token_of(store)
    signed = store.http.post(f"{ring_url}/{TARGET}:signBlob", json=payload, headers=token).json()
    assert store.ring.signed_by(TARGET, base64.b64decode(signed["signedBlob"]), b"text") == "system"
    assert store.ring.signed_by("x@p.iam.gserviceaccount.com", base64.b64decode(signed["signedBlob"]), b"text") is None


def test_iam_asks_who_calls_and_what_for(store: StorageServer) -> None:
    """No bearer: 401. A payload that cannot be read, a lifetime beyond the allowed, no scope: 400. Google's JSON."""
    account = f"{store.url}/v1/projects/-/serviceAccounts/{TARGET}"
    payload = {"payload": base64.b64encode(b"text").decode()}
    for deed in ("signBlob", "generateAccessToken"):
        reply = store.http.post(f"{account}:{deed}", json=payload)
        assert (reply.status_code, reply.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    token = token_of(store)
    for deed, body in (
        ("signBlob", {}),
        ("signBlob", {"payload": "?"}),
        ("generateAccessToken", {"scope": SCOPES, "lifetime": "43201s"}),
        ("generateAccessToken", {"lifetime": "60s"}),
    ):
        reply = store.http.post(f"{account}:{deed}", json=body, headers=token)
        assert (reply.status_code, reply.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
