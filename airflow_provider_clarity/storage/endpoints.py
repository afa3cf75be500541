"""Where the service may put the picture: one URL, for one PUT into one staging object."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.uris import GsUri


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


def make_endpoint(signer: Signer, staging: GsUri) -> UploadEndpoint:
    """Make the endpoint of one attempt.

    :param signer: its URLs live as long as it can make them
    :param staging: of this attempt; `Workspace.staging`
    :raises ClarityAuthError: if signing failed
    """
    signed = signer.sign_put(staging)
    return UploadEndpoint(signed.url, signed.expires_at)
