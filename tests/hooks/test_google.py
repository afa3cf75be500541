"""Every way in which a Google connection is written, without the Google provider; and with it, as a stand-in."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import google.auth
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2 import service_account
from runware_stub import Connect

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.hooks import google as under_test
from airflow_provider_clarity.hooks.google import google_credentials, iam_endpoint, storage_client

EMAIL = "img@pictures.iam.gserviceaccount.com"
GCP = {"conn_type": "google_cloud_platform"}


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """Make a service account's key, as Google hands it out; made here, good for nothing."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "pictures",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
    }


class Ambient(Credentials):
    """What the machine itself would offer."""

    def refresh(self, request: object) -> None:  # noqa: ARG002
        raise AssertionError("nothing may be refreshed here")


@pytest.fixture
def ambient(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Application default credentials are found; the list holds the scopes they were asked for."""
    asked: list[Any] = []

    def default(scopes: list[str]) -> tuple[Credentials, str]:
        asked.append(scopes)
        return Ambient(), "ambient-project"

    monkeypatch.setattr(google.auth, "default", default)
    return asked


@pytest.mark.parametrize("as_text", [True, False])
def test_a_key_in_the_connection(connect: Connect, key: dict[str, str], *, as_text: bool) -> None:
    """keyfile_dict comes as an object from JSON, as text from the form."""
    connect("gcp", **GCP, extra={"keyfile_dict": json.dumps(key) if as_text else key})
    access = google_credentials("gcp")
    assert isinstance(access.credentials, service_account.Credentials)
    assert access.credentials.service_account_email == EMAIL
    assert access.project == "pictures"


def test_a_key_whose_line_breaks_were_escaped_twice(connect: Connect, key: dict[str, str]) -> None:
    """What happens when the JSON is pasted into a URI or a shell."""
    escaped = key | {"private_key": key["private_key"].replace("\n", "\\n")}
    connect("gcp", **GCP, extra={"keyfile_dict": escaped})
    assert google_credentials("gcp").project == "pictures"


def test_a_key_file(connect: Connect, key: dict[str, str], tmp_path: Path) -> None:
    """With its own project and scopes, which win over those of the key."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    scopes = "https://www.googleapis.com/auth/devstorage.read_write, https://www.googleapis.com/auth/iam"
    connect("gcp", **GCP, extra={"key_path": str(path), "project": "other", "scope": scopes})
    access = google_credentials("gcp")
    assert access.project == "other"
    assert access.credentials.scopes == [scope.strip() for scope in scopes.split(",")]


def test_the_names_of_old_connections(connect: Connect, key: dict[str, str]) -> None:
    """Connections that were made in a form of Airflow 1 or 2.0 still have the long names."""
    connect(
        "gcp",
        **GCP,
        extra={
            "extra__google_cloud_platform__keyfile_dict": json.dumps(key),
            "extra__google_cloud_platform__project": "old",
            "keyfile_dict": "",
        },
    )
    assert google_credentials("gcp").project == "old"


def test_anonymous(connect: Connect) -> None:
    """For public buckets and stand-ins."""
    connect("gcp", **GCP, extra={"is_anonymous": True})
    assert isinstance(google_credentials("gcp").credentials, AnonymousCredentials)


def test_impersonation_of_the_argument_wins(connect: Connect, key: dict[str, str]) -> None:
    """The last of the chain is impersonated, the others delegate."""
    connect("gcp", **GCP, extra={"keyfile_dict": key, "impersonation_chain": "from-extra@p"})
    of_extra = google_credentials("gcp").credentials
    assert isinstance(of_extra, impersonated_credentials.Credentials)
    assert of_extra.service_account_email == "from-extra@p"
    of_argument = google_credentials("gcp", ["one@p", "two@p"]).credentials
    assert of_argument.service_account_email == "two@p"
    assert of_argument._delegates == ["one@p"]
    assert google_credentials("gcp", "one@p, two@p").credentials._delegates == ["one@p"]


def test_the_quota_project_is_charged(connect: Connect, key: dict[str, str]) -> None:
    """Requests of user accounts are refused without one."""
    connect("gcp", **GCP, extra={"keyfile_dict": key, "quota_project_id": "payer"})
    assert google_credentials("gcp").credentials.quota_project_id == "payer"


def test_the_default_connection_may_be_absent(ambient: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """On Composer and GKE nobody makes one; one line says what is used instead."""
    caplog.set_level(logging.INFO, logger=under_test.__name__)
    access = google_credentials()
    assert (type(access.credentials), access.project) == (Ambient, "ambient-project")
    assert [record.message for record in caplog.records if record.name == under_test.__name__] == [
        "There is no connection 'google_cloud_default': application default credentials are used."
    ]
    assert ambient == [["https://www.googleapis.com/auth/cloud-platform"]]


@pytest.mark.usefixtures("ambient")
def test_a_connection_without_a_key_impersonates_from_the_machine(connect: Connect) -> None:
    """Workload identity, then the chain."""
    connect("gcp", **GCP, extra={"impersonation_chain": [EMAIL], "project": "pictures"})
    access = google_credentials("gcp")
    assert access.credentials.service_account_email == EMAIL
    assert access.credentials._source_credentials.__class__ is Ambient
    assert access.project == "pictures"


@pytest.mark.usefixtures("ambient")
def test_a_named_connection_must_exist() -> None:
    """A misspelt name must not fall back to whatever identity the machine has."""
    with pytest.raises(ClarityAuthError, match="'my_gcp' does not exist"):
        google_credentials("my_gcp")


@pytest.mark.usefixtures("ambient")
def test_a_connection_of_another_kind_is_refused(connect: Connect) -> None:
    """The two connection arguments of an operator are easily swapped."""
    connect("clarity_default", conn_type="clarity", password="key-key")
    with pytest.raises(ClarityAuthError, match="'clarity', not google_cloud_platform"):
        google_credentials("clarity_default")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"keyfile_dict": "{not json SECRET"}, "not the JSON key of a service account"),
        ({"keyfile_dict": "[1]"}, "it is not a JSON object"),
        ({"keyfile_dict": {"type": "service_account", "private_key": "SECRET"}}, "missing fields"),
        ({"key_path": "/absent/key.json"}, "No such file"),
        ({"key_path": "/absent/key.json", "keyfile_dict": "{}"}, "only one can be meant"),
        ({"key_secret_name": "s"}, r"airflow-provider-clarity\[google\]"),
        ({"is_anonymous": True, "impersonation_chain": 7}, "impersonation_chain is int"),
        ({"is_anonymous": True, "quota_project_id": "p"}, "cannot carry"),
    ],
)
def test_what_cannot_be_used_is_said_without_key_material(connect: Connect, extra: dict[str, Any], said: str) -> None:
    """What happened, what is safe, what to do next; never the key."""
    connect("gcp", **GCP, extra=extra)
    with pytest.raises(ClarityAuthError, match=said) as caught:
        google_credentials("gcp")
    assert "Nothing was sent and nothing was paid." in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_broken_private_key_is_not_quoted(connect: Connect, key: dict[str, str]) -> None:
    """Neither in the message nor in a cause that a traceback would show."""
    broken = key["private_key"].replace("A", "B")
    connect("gcp", **GCP, extra={"keyfile_dict": key | {"private_key": broken}})
    with pytest.raises(ClarityAuthError) as caught:
        google_credentials("gcp")
    assert caught.value.__suppress_context__
    assert not any(line in str(caught.value) for line in broken.splitlines()[1:-1])


def test_no_credentials_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest failure on a laptop names the three ways out."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)

    def default(scopes: list[str]) -> None:  # noqa: ARG001
        raise DefaultCredentialsError("Your default credentials were not found.")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(ClarityAuthError, match=r"key_path or keyfile_dict.*GOOGLE_APPLICATION_CREDENTIALS"):
        google_credentials()


def test_nobody_will_do_where_google_s_own_client_would_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection and without credentials an emulator is spoken to anonymously, and one log line says so."""

    def default(scopes: list[str]) -> None:  # noqa: ARG001
        raise DefaultCredentialsError("Your default credentials were not found.")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google.auth, "default", default)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert isinstance(google_credentials().credentials, AnonymousCredentials)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    with pytest.raises(ClarityAuthError):
        google_credentials()


@pytest.mark.usefixtures("ambient")
def test_iam_is_where_gcloud_would_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed network has IAM at an address of its own: both the token and the signature are asked for there."""
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials-x.p.googleapis.com/")
    access = google_credentials(impersonation_chain="a@p.iam.gserviceaccount.com")
    assert access.iam_endpoint == "https://iamcredentials-x.p.googleapis.com"
    assert access.credentials._iam_endpoint_override == (  # type: ignore[attr-defined]
        "https://iamcredentials-x.p.googleapis.com/v1/projects/-/serviceAccounts/"
        "a@p.iam.gserviceaccount.com:generateAccessToken"
    )
    monkeypatch.delenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS")
    assert google_credentials().iam_endpoint is None


@pytest.mark.parametrize(
    "wrong", ["iam.example.com", "http://iam.example.com", "ftp://x", "https://u:SECRET@x", "https://"]
)
def test_a_token_is_sent_to_no_odd_address(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """A misspelt variable must not carry an access token away in clear text."""
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", wrong)
    with pytest.raises(ClarityAuthError, match="no https address") as refused:
        iam_endpoint()
    assert "SECRET" not in str(refused.value)


def test_a_storage_client_uses_the_credentials_even_with_an_emulator(
    connect: Connect, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing needs the key there, too."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    connect("gcp", **GCP, extra={"keyfile_dict": key})
    client = storage_client("gcp")
    assert client.project == "pictures"
    assert client._credentials.service_account_email == EMAIL
    client.close()


def test_secrets_are_in_no_representation(connect: Connect, key: dict[str, str]) -> None:
    """Credentials have a default repr today; ours does not rely on it."""
    connect("gcp", **GCP, extra={"keyfile_dict": key})
    assert repr(google_credentials("gcp")) == "GoogleAccess(project='pictures')"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """Put a Google provider in place, as far as it is used here: its environment is 133 packages larger."""

    class GoogleBaseHook:
        calls: list[Any] = []  # noqa: RUF012
        error: Exception | None = None

        def __init__(self, **arguments: Any) -> None:
            self.calls.append(arguments)

        def get_credentials_and_project_id(self) -> tuple[Credentials, str]:
            if self.error:
                raise self.error
            return Ambient(), ""

    module = ModuleType("airflow.providers.google.common.hooks.base_google")
    module.GoogleBaseHook = GoogleBaseHook  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = under_test.importlib.util.find_spec
    monkeypatch.setattr(
        under_test.importlib.util,
        "find_spec",
        lambda name, *rest: True if name == "airflow.providers.google" else found(name, *rest),
    )
    return GoogleBaseHook


def test_with_the_google_provider_its_own_machinery_reads_the_connection(connect: Connect, provider: type[Any]) -> None:
    """It knows forms that we do not: Secret Manager, credential configurations, identity providers."""
    connect("gcp", **GCP, extra={"key_secret_name": "s"})
    access = google_credentials("gcp", ["one@p"])
    assert (type(access.credentials), access.project) == (Ambient, None)
    assert provider.calls == [{"gcp_conn_id": "gcp", "impersonation_chain": ["one@p"]}]


def test_an_error_of_the_google_provider_is_told_in_our_words(connect: Connect, provider: type[Any]) -> None:
    """It raises five families of exceptions, and some of them hold the key."""
    connect("gcp", **GCP)
    provider.error = ValueError("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----")
    with pytest.raises(ClarityAuthError, match="The Google provider could not read credentials") as caught:
        google_credentials("gcp")
    assert "SECRET" not in str(caught.value)


@pytest.mark.usefixtures("ambient")
def test_with_the_google_provider_the_default_connection_may_still_be_absent(provider: type[Any]) -> None:
    """The provider alone would fail here."""
    assert google_credentials().project == "ambient-project"
    assert provider.calls == []
