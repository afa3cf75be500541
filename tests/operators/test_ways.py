"""Every way in and out of the buckets: each delivers one picture for one purchase, and leaves no URL behind.

The identities are real ones of ``google-auth``: the emulator answers as the token server, the metadata server and IAM.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from google.auth.compute_engine import _metadata
from PIL import Image
from workshop import TaskInstance, Workshop

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.storage.inputs import LARGEST_INLINE

IAM = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"
CONNECTION = "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"
TARGET = "images@project.iam.gserviceaccount.com"

Identity = Callable[[], None]


@dataclass
class Sent:
    """What went out to the service."""

    tasks: list[Any] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """The kind of the upload endpoint."""
        url = self.tasks[-1].upload_endpoint
        if url is None:
            return "none"
        query = parse_qs(urlsplit(url).query)
        return "session" if "upload_id" in query else f"signed for {query['X-Goog-Expires'][0]} s"

    @property
    def image(self) -> str:
        """The kind of the input."""
        return str(self.tasks[-1].inputs.image)[:5].strip(":/")

    @property
    def secrets(self) -> list[str]:
        """What must be in no log and no object."""
        urls = [url for task in self.tasks for url in (task.upload_endpoint, task.inputs.image) if url]
        found = [
            part for url in urls for part in (urlsplit(url).query, *parse_qs(urlsplit(url).query).get("upload_id", []))
        ]
        return [part for part in found if part]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Look over the client's shoulder."""
    seen = Sent()
    real = ClarityClient.submit

    async def submit(self: ClarityClient, tasks: Any) -> Any:
        seen.tasks += tasks
        return await real(self, tasks)

    monkeypatch.setattr(ClarityClient, "submit", submit)
    return seen


@pytest.fixture
def become(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Become somebody: change what the environment says of the identity, as a deployment does."""
    storage_url = workshop.emulator.storage_url

    def key() -> None:
        """The key file of the connection."""

    def impersonated() -> None:
        extra = {"key_path": workshop.emulator.service_account_file, "impersonation_chain": TARGET}
        monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
        monkeypatch.setenv(IAM, f"{storage_url}/")

    def machine() -> None:
        monkeypatch.delenv(CONNECTION)
        monkeypatch.setenv(IAM, f"{storage_url}/")
        host = urlsplit(storage_url).netloc
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)  # GCE_METADATA_HOST, which is read at import
        monkeypatch.setenv("GCE_METADATA_IP", host)
        monkeypatch.setenv("HOME", "/nonexistent")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

    def anonymous() -> None:
        monkeypatch.delenv(CONNECTION)
        monkeypatch.setattr(google.auth, "default", _no_default)

    identities: dict[str, Identity] = {
        "key": key, "impersonated": impersonated, "machine": machine, "anonymous": anonymous
    }  # fmt: skip
    return lambda name: identities[name]()


def _no_default(**_: Any) -> Any:
    raise google.auth.exceptions.DefaultCredentialsError("Your default credentials were not found.")  # type: ignore[no-untyped-call]


WEEK, HALF_DAY = "signed for 604800 s", "signed for 43200 s"

WAYS = [
    ("key", "auto", WEEK, "http"),
    ("key", "signed_url", WEEK, "http"),
    ("key", "resumable_session", "session", "http"),
    ("key", "worker", "none", "data"),
    ("impersonated", "auto", HALF_DAY, "http"),
    ("machine", "auto", HALF_DAY, "http"),
    ("machine", "signed_url", HALF_DAY, "http"),
    ("machine", "resumable_session", "session", "http"),
    ("anonymous", "auto", "session", "data"),
    ("anonymous", "worker", "none", "data"),
]


@pytest.mark.parametrize(("identity", "upload_via", "endpoint", "image"), WAYS)
def test_each_way_delivers_one_picture_for_one_purchase(
    workshop: Workshop,
    become: Callable[[str], None],
    sent: Sent,
    caplog: pytest.LogCaptureFixture,
    identity: str,
    upload_via: str,
    endpoint: str,
    image: str,
) -> None:
    """Breaks if a user's credentials lead nowhere, or a way in or out leaks."""
    workshop.upload()
    become(identity)
    with caplog.at_level(logging.DEBUG):
        result = workshop.run(upload_via=upload_via)
    assert (result["outcome"], result["cost_usd"]) == ("delivered", 0.0013)
    assert workshop.picture(result["uri"]).size == (80, 60)
    assert workshop.counts() == [1]
    assert (sent.endpoint, sent.image) == (endpoint, image)
    assert bool(workshop.emulator.accounts()["uploads"]) is (endpoint != "none")
    warnings = [
        line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING and "clarity" in line.name
    ]
    assert [
        line for line in warnings if "cannot be called outside" not in line
    ] == []  # Airflow's, of its own operators
    kept = "".join(
        f"{blob.name}{blob.metadata}{blob.download_as_bytes()!r}"
        for blob in workshop.client.list_blobs(workshop.bucket)
        if blob.name.endswith(".json")
    )
    assert "staging" in kept
    for secret in sent.secrets:
        assert secret not in f"{caplog.text}{kept}{result}"


@pytest.mark.parametrize("identity", ["machine", "impersonated"])
def test_who_may_not_sign_goes_another_way(
    workshop: Workshop, become: Callable[[str], None], sent: Sent, identity: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Breaks if a missing role to sign, which nothing else needs, stops a set-up that works without it."""
    workshop.upload()
    become(identity)
    workshop.emulator.faults([{"operation": "store.sign_blob", "fault": "status_403", "times": 9}])
    with caplog.at_level(logging.INFO):
        result = workshop.run()
    assert result["outcome"] == "delivered"
    assert (sent.endpoint, sent.image) == ("session", "data")
    assert workshop.counts() == [1]
    assert workshop.emulator.faults()[0]["fired"] == 1
    assert len([line for line in caplog.messages if "roles/iam.serviceAccountTokenCreator" in line]) == 1


@pytest.mark.parametrize("identity", ["machine", "impersonated"])
@pytest.mark.parametrize("changes", [{"upload_via": "signed_url"}, {"input_via": "signed_url"}], ids=str)
def test_who_insists_on_signing_is_told_the_role(
    workshop: Workshop, become: Callable[[str], None], identity: str, changes: dict[str, str]
) -> None:
    """Breaks if an explicit choice is silently replaced, or its failure names no role."""
    workshop.upload()
    become(identity)
    workshop.emulator.faults([{"operation": "store.sign_blob", "fault": "status_403", "times": 9}])
    with pytest.raises(AirflowFailException, match=r"roles/iam\.serviceAccountTokenCreator") as refused:
        workshop.run(**changes)
    assert isinstance(refused.value.__cause__, ClarityAuthError)
    assert workshop.counts() == []


def test_who_cannot_sign_is_told_before_a_large_source_is_paid(
    workshop: Workshop, become: Callable[[str], None]
) -> None:
    """Breaks if a request of 14 MB is sent, or the way out is not named."""
    noise = random.Random(1).randbytes(3 * 2000 * 2000)  # noqa: S311
    out = BytesIO()
    Image.frombytes("RGB", (2000, 2000), noise).save(out, "PNG", compress_level=0)
    assert len(out.getvalue()) > LARGEST_INLINE
    workshop.upload(content=out.getvalue())
    become("anonymous")
    with pytest.raises(AirflowFailException, match="may go inline") as refused:
        workshop.run()
    assert "impersonation chain" in str(refused.value)
    assert workshop.counts() == []


def test_a_run_that_has_nothing_to_send_needs_nobody_who_signs(
    workshop: Workshop, become: Callable[[str], None]
) -> None:
    """Breaks if a second run over done images fails since a role was taken away."""
    workshop.upload()
    workshop.run()
    become("anonymous")
    again = workshop.run(ti=TaskInstance(run_id="tomorrow"), upload_via="signed_url")
    assert again["outcome"] == "done"
    assert workshop.counts() == [1]


@pytest.mark.parametrize("upload_via", ["auto", "resumable_session", "worker"])
def test_a_requester_pays_bucket_is_served(workshop: Workshop, sent: Sent, upload_via: str) -> None:
    """Breaks if any request, ours or the service's, names nobody who pays."""
    workshop.upload()
    bucket = workshop.client.bucket(workshop.bucket)
    bucket.requester_pays = True
    bucket.patch()
    result = workshop.run(upload_via=upload_via, user_project="payer")
    bucket.requester_pays = False
    bucket.patch()
    assert result["outcome"] == "delivered"
    assert workshop.counts() == [1]
    assert all("userProject=payer" in secret for secret in sent.secrets if "X-Goog-Signature" in secret)


@pytest.mark.parametrize("upload_via", ["auto", "resumable_session", "worker"])
def test_a_workspace_in_another_bucket_is_empty_in_the_end(workshop: Workshop, upload_via: str) -> None:
    """Breaks if a copy between buckets, which takes several calls, ends after the first or names the wrong object."""
    noise = random.Random(2).randbytes(3 * 500 * 500)  # noqa: S311
    out = BytesIO()
    Image.frombytes("RGB", (500, 500), noise).save(out, "PNG", compress_level=0)
    workshop.upload(content=out.getvalue())
    scratch = f"{workshop.bucket}-scratch"
    workshop.client.create_bucket(scratch)
    result = workshop.run(workspace=f"gs://{scratch}/clarity", output_format="PNG", upload_via=upload_via)
    assert result["outcome"] == "delivered"
    final = workshop.client.bucket(workshop.bucket).get_blob("print/cat.png")
    assert final.size > 1024 * 1024  # more than one call of the rewrite copies
    assert workshop.picture(result["uri"]).size == (1000, 1000)
    assert list(workshop.client.list_blobs(scratch)) == []
    names = [blob.name for blob in workshop.client.list_blobs(workshop.bucket)]
    assert not [name for name in names if "staging" in name]


@pytest.mark.parametrize("upload_via", ["auto", "resumable_session"])
def test_a_versioned_bucket_keeps_the_picture_that_was_replaced_and_nothing_of_staging(
    workshop: Workshop, upload_via: str
) -> None:
    """Breaks if something names no generation, and so meets one that was deleted or replaced."""
    bucket = workshop.client.bucket(workshop.bucket)
    bucket.versioning_enabled = True
    bucket.patch()
    for colour in ("red", "teal"):
        workshop.upload(colour=colour)
        result = workshop.run(ti=TaskInstance(run_id=colour), upload_via=upload_via, if_exists="update")
        assert result["outcome"] == "delivered"
    red, _, blue = workshop.picture(result["uri"]).convert("RGB").getpixel((40, 30))
    assert red < blue
    assert workshop.counts() == [1, 1]
    finals = workshop.client.list_blobs(workshop.bucket, prefix="print/", versions=True)
    assert len(list(finals)) == 2
    assert not list(workshop.client.list_blobs(workshop.bucket, prefix="_clarity/staging/", versions=True))
