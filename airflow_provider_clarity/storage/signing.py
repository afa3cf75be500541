"""Presigned V4 URLs for one object, by whatever of ours can sign.

Invariants: only ``host`` is signed, since nobody knows which headers the service sends. A URL lives as long as its
signer allows, since it cannot be renewed once sent. No ``repr`` and no ``str`` shows one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from google.auth import compute_engine, external_account, iam
from google.auth.credentials import AnonymousCredentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.oauth2 import credentials as user_account
from google.oauth2 import service_account

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.uris import GsUri

BY_KEY: Final = timedelta(days=7)
"""The most that V4 allows (cloud.google.com/storage/docs/access-control/signed-urls)."""
BY_IAM: Final = timedelta(hours=12)
"""The most that a key held by Google is sure to live on (cloud.google.com/iam/docs, signBlob)."""

_ROLE: Final = "roles/iam.serviceAccountTokenCreator"


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A presigned URL. Whoever has it has the access: make, send, drop.

    :param url: the secret
    :param expires_at: from when on it is refused, aware, UTC
    """

    url: str = field(repr=False)
    expires_at: datetime

    def __str__(self) -> str:
        return repr(self)


class Signer:
    """Signs URLs of objects.

    :param client: whose API endpoint the URLs lead to
    :param credentials: a service account's key, or an impersonated service account (which asks IAM for each signature)
    :raises ClarityAuthError: if the credentials cannot sign
    """

    def __init__(self, client: storage.Client, credentials: object) -> None:
        if reason := cannot_sign(credentials):
            raise ClarityAuthError(reason)
        self._client: Any = client  # the library is untyped
        self._credentials = credentials
        self.lifetime = BY_KEY if _holds_key(credentials) else BY_IAM

    def sign_get(self, uri: GsUri, generation: int) -> SignedUrl:
        """Sign the download of one generation of an object.

        :raises ClarityAuthError: IAM did not sign
        """
        return self._sign(uri, "GET", generation)

    def sign_put(self, uri: GsUri) -> SignedUrl:
        """Sign the upload of a whole object, of any content type.

        :raises ClarityAuthError: IAM did not sign
        """
        return self._sign(uri, "PUT", None)

    def _sign(self, uri: GsUri, method: Literal["GET", "PUT"], generation: int | None) -> SignedUrl:
        try:
            url: str = (
                self._client.bucket(uri.bucket)
                .blob(uri.name)
                .generate_signed_url(
                    version="v4",
                    method=method,
                    expiration=self.lifetime,
                    generation=generation,
                    credentials=self._credentials,
                    api_access_endpoint=self._client.api_endpoint,
                )
            )
        except GoogleAuthError as error:
            raise ClarityAuthError(
                f"IAM did not sign a URL for {uri} ({redact(error)}). Nothing was sent. "
                f"Grant {_ROLE} on the impersonated service account to whoever impersonates it.",
                retryable=bool(error.retryable),
            ) from None
        return SignedUrl(url, _expiry(url))


def cannot_sign(credentials: object) -> str | None:
    """Tell why credentials cannot sign URLs, and what would.

    :param credentials: of ``google-auth``
    :return: None if they can; else two sentences
    """
    if isinstance(credentials, Signing) and not isinstance(credentials, compute_engine.IDTokenCredentials):
        return None
    kind = next((name for cls, name in _UNABLE.items() if isinstance(credentials, cls)), type(credentials).__name__)
    return (
        f"{kind} cannot sign URLs: they hold no private key. Set an impersonation chain that ends in a service account "
        f"(with {_ROLE} on it), or use a service account's key."
    )


_UNABLE: Final[dict[type, str]] = {
    compute_engine.Credentials: "The credentials of the machine (Compute Engine, GKE, Cloud Run, Composer)",
    external_account.Credentials: "The federated credentials (workload identity federation)",
    user_account.Credentials: "The credentials of a person",
    AnonymousCredentials: "Anonymous credentials",
}


def _holds_key(credentials: object) -> bool:
    return isinstance(credentials, service_account.Credentials) and not isinstance(credentials.signer, iam.Signer)


def _expiry(url: str) -> datetime:
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed_at + timedelta(seconds=int(query["X-Goog-Expires"][0]))
