"""Where the service may put the picture: one URL, for one upload into one staging object, or none.

Invariant: an endpoint is a secret and cannot be renewed once sent, whichever way it was made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

UploadVia = Literal["auto", "signed_url", "resumable_session", "worker"]

SESSION: Final = timedelta(days=7)
"""How long an upload session lives (cloud.google.com/storage/docs/resumable-uploads)."""


@dataclass(frozen=True, slots=True)
class UploadEndpoint:
    """An ``uploadEndpoint``. It cannot be renewed once sent, so when it expires belongs into the task record.

    :param url: the secret; it goes into the request and nowhere else
    :param expires_at: from when on an upload is refused, aware, UTC
    """

    url: str = field(repr=False)
    expires_at: datetime

    def __str__(self) -> str:
        return repr(self)


def make_endpoint(staging: GsUri, *, store: ObjectStore, signer: Signer, via: UploadVia) -> UploadEndpoint | None:
    """Make the endpoint of one attempt.

    :param staging: of this attempt; `Workspace.staging`
    :param store: opens the session, with its own credentials
    :param signer: its URLs live as long as it can make them
    :param via: ``auto`` signs where it can and opens a session where it cannot
    :return: None for ``worker``: the service uploads nothing, the picture is fetched
    :raises ClarityAuthError: nothing can be signed or written; the missing role is named
    """
    if via == "worker":
        return None
    if via == "signed_url" or (via == "auto" and signer.refusal is None):
        signed = signer.sign_put(staging)
        return UploadEndpoint(signed.url, signed.expires_at)
    there = store.stat(staging)  # of a broken upload, which the next one may replace
    started_at = datetime.now(UTC)
    url = store.open_upload(staging, if_generation_match=there.generation if there else 0)
    return UploadEndpoint(url, started_at + SESSION)
