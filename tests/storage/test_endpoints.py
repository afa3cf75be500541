"""Where the service may put a picture, each way used as the service uses it: one PUT of the whole body."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from google.cloud import storage

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.storage.endpoints import UploadEndpoint, UploadVia, make_endpoint
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

HEADERS = ({}, {"Content-Type": "image/webp"}, {"Content-Type": "application/octet-stream"})
"""What the service may send beside the body: nobody knows."""


def endpoint(staging: GsUri, store: ObjectStore, signer: Signer, via: UploadVia) -> UploadEndpoint:
    made = make_endpoint(staging, store=store, signer=signer, via=via)
    assert made is not None
    return made


@pytest.mark.parametrize("headers", HEADERS, ids=str)
@pytest.mark.parametrize("via", ["auto", "signed_url", "resumable_session"])
def test_one_put_of_the_whole_body_is_let_in(
    store: ObjectStore, signer: Signer, bucket: GsUri, via: UploadVia, headers: dict[str, str]
) -> None:
    """Breaks if the service is refused at our door, after we have paid."""
    staging = bucket.child("staging/ä b-1.png")
    made = endpoint(staging, store, signer, via)
    requests.put(made.url, data=b"picture", headers=headers, timeout=10).raise_for_status()
    stored = store.stat(staging)
    assert stored is not None
    assert store.read(staging, generation=stored.generation) == b"picture"
    left = made.expires_at - datetime.now(UTC)
    assert timedelta(days=7, seconds=-60) < left <= timedelta(days=7)


def test_who_can_sign_signs(store: ObjectStore, signer: Signer, bucket: GsUri) -> None:
    """Breaks if ``auto`` gives out a session where a URL would do, which opens one object for one upload only."""
    assert "X-Goog-Signature" in endpoint(bucket.child("a"), store, signer, "auto").url


def test_who_cannot_sign_opens_a_session(store: ObjectStore, nobody: Signer, bucket: GsUri) -> None:
    """Breaks if Composer, Cloud Run or a person's account cannot upload at all."""
    assert "upload_id" in endpoint(bucket.child("a"), store, nobody, "auto").url
    with pytest.raises(ClarityAuthError, match="cannot sign"):
        make_endpoint(bucket.child("a"), store=store, signer=nobody, via="signed_url")


def test_the_worker_asks_for_no_upload(store: ObjectStore, signer: Signer, bucket: GsUri) -> None:
    """Breaks if a URL into a closed perimeter leaves it."""
    assert make_endpoint(bucket.child("a"), store=store, signer=signer, via="worker") is None


def test_a_broken_upload_can_be_replaced_but_not_what_came_since(
    store: ObjectStore, nobody: Signer, bucket: GsUri
) -> None:
    """Breaks if a task that is sent again cannot mend its own upload, or overwrites what was verified meanwhile."""
    staging = bucket.child("staging/a-1.png")
    broken = store.create(staging, b"half", if_generation_match=0)
    first, second = (endpoint(staging, store, nobody, "resumable_session") for _ in range(2))
    requests.put(first.url, data=b"picture", timeout=10).raise_for_status()
    assert requests.put(second.url, data=b"another", timeout=10).status_code == 412
    stored = store.stat(staging)
    assert stored is not None
    assert stored.generation != broken.generation
    assert store.read(staging, generation=stored.generation) == b"picture"


def test_where_nothing_works_the_role_is_named(
    store: ObjectStore, nobody: Signer, bucket: GsUri, faults: Callable[..., None]
) -> None:
    """Breaks if who may neither sign nor write learns only that something was forbidden."""
    faults("store.insert", "status_403", match=bucket.bucket)
    with pytest.raises(ClarityAuthError, match=r"storage\.objects\.create.*roles/storage\.objectUser"):
        make_endpoint(bucket.child("a"), store=store, signer=nobody, via="auto")


def test_who_pays_is_named_when_a_session_is_opened(client: storage.Client, nobody: Signer, bucket: GsUri) -> None:
    """Breaks if a requester-pays bucket cannot be the destination of who cannot sign."""
    paying = client.bucket(bucket.bucket)
    paying.requester_pays = True
    paying.patch()
    store = ObjectStore(client, user_project="payer", timeout=10, patience=3)
    made = endpoint(bucket.child("a"), store, nobody, "auto")
    requests.put(made.url, data=b"picture", timeout=10).raise_for_status()


@pytest.mark.parametrize("via", ["signed_url", "resumable_session"])
def test_no_text_shows_an_endpoint(store: ObjectStore, signer: Signer, bucket: GsUri, via: UploadVia) -> None:
    """Breaks if an endpoint shows up in a log by being formatted."""
    made = endpoint(bucket.child("a"), store, signer, via)
    assert "http" not in f"{made} {made!r}"
