"""Presigned V4 URLs for one object, by whatever of ours can sign: a key, or IAM for an account whose key Google keeps.

Invariants: only ``host`` is signed, since nobody knows which headers the service sends. A URL lives as long as its
signer allows, since it cannot be renewed once sent. No ``repr`` and no ``str`` shows one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from google.auth import compute_engine, external_account, iam, impersonated_credentials
from google.auth.credentials import AnonymousCredentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud import storage
from google.oauth2 import credentials as user_account
from google.oauth2 import service_account

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage._errors import may_pass
from airflow_provider_clarity.storage.iam_signing import SIGNING_ROLE, IamSigner
from airflow_provider_clarity.storage.uris import GsUri

BY_KEY: Final = timedelta(days=7)
"""The most that V4 allows (cloud.google.com/storage/docs/access-control/signed-urls)."""
BY_IAM: Final = timedelta(hours=12)
"""The most that a key held by Google is sure to live on (cloud.google.com/iam/docs, signBlob)."""

log = logging.getLogger(__name__)


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
    """Signs URLs of objects, or says why it cannot.

    :param client: whose API endpoint the URLs lead to
    :param credentials: a service account's key; or an account that IAM signs for: impersonated, attached to the machine
        (Compute Engine, GKE, Cloud Run, Composer), or reached by workload identity federation. Any other cannot sign
    :param user_project: who pays for requests to a requester-pays bucket; becomes a signed part of each URL
    :param request: the transport to IAM
    :param iam_endpoint: address of the IAM Credentials API; without it, that of the client's universe
    """

    def __init__(
        self,
        client: storage.Client,
        credentials: object,
        *,
        user_project: str | None = None,
        request: Callable[..., Any] | None = None,
        iam_endpoint: str | None = None,
    ) -> None:
        self._client: Any = client  # the library is untyped
        self._query = {"userProject": user_project} if user_project else None
        endpoint = iam_endpoint or f"https://iamcredentials.{self._client.universe_domain}"
        self._unable = cannot_sign(credentials)
        self._key = _signing(credentials, request, endpoint) if self._unable is None else None
        self.lifetime = BY_KEY if _holds_key(credentials) else BY_IAM

    @cached_property
    def refusal(self) -> ClarityAuthError | None:
        """Why nothing can be signed; None if it can. Where IAM signs, a first signature is tried, once."""
        found: ClarityAuthError | None = None
        if self._key is None:
            found = ClarityAuthError(self._unable or "")
        elif isinstance(self._key, IamSigner):
            try:
                self._key.sign_bytes(b"May this account sign?")
            except ClarityAuthError as error:
                found = error
        if found is not None:
            log.info("No URL can be signed, so other ways in and out are taken where the choice is free. %s", found)
        return found

    def sign_get(self, uri: GsUri, generation: int) -> SignedUrl:
        """Sign the download of one generation of an object.

        :raises ClarityAuthError: these credentials cannot sign, or IAM did not
        """
        return self._sign(uri, "GET", generation)

    def sign_put(self, uri: GsUri) -> SignedUrl:
        """Sign the upload of a whole object, of any content type.

        :raises ClarityAuthError: these credentials cannot sign, or IAM did not
        """
        return self._sign(uri, "PUT", None)

    def _sign(self, uri: GsUri, method: Literal["GET", "PUT"], generation: int | None) -> SignedUrl:
        if self._key is None:
            raise ClarityAuthError(f"No URL for {uri} can be signed, so nothing was sent or paid. {self._unable}")
        try:
            url: str = (
                self._client.bucket(uri.bucket)
                .blob(uri.name)
                .generate_signed_url(
                    version="v4",
                    method=method,
                    expiration=self.lifetime,
                    generation=generation,
                    query_parameters=self._query,
                    credentials=self._key,
                    api_access_endpoint=self._client.api_endpoint,
                )
            )
        except GoogleAuthError as error:  # of a key that IAM holds for the library itself
            raise ClarityAuthError(
                f"No URL for {uri} was signed ({redact(error)}). Nothing was sent. "
                f"Grant {SIGNING_ROLE} on the service account to whoever signs for it.",
                retryable=may_pass(error),
            ) from None
        return SignedUrl(url, _expiry(url))


def cannot_sign(credentials: object) -> str | None:
    """Tell why credentials cannot sign URLs, and what would. Asks nobody: IAM may still refuse.

    :param credentials: of ``google-auth``
    :return: None if they can; else two sentences
    """
    if _can_sign(credentials):
        return None
    kind = next((name for cls, name in _UNABLE.items() if isinstance(credentials, cls)), type(credentials).__name__)
    return (
        f"{kind} cannot sign URLs: they hold no private key and belong to no service account. Set an impersonation "
        f"chain that ends in a service account (with {SIGNING_ROLE} on it), use a service account's key, or use "
        'upload_via="resumable_session".'
    )


_UNABLE: Final[dict[type, str]] = {
    external_account.Credentials: "Federated credentials that impersonate no service account",
    user_account.Credentials: "The credentials of a person",
    AnonymousCredentials: "Anonymous credentials",
}


def _can_sign(credentials: object) -> bool:
    match credentials:
        case compute_engine.IDTokenCredentials():
            return False
        case external_account.Credentials():
            return bool(credentials.service_account_email)
        case _:
            return isinstance(credentials, Signing | compute_engine.Credentials)


def _signing(credentials: object, request: Callable[..., Any] | None, endpoint: str) -> Any:  # noqa: ANN401 - untyped
    """Give what the library signs with: the key itself, or IAM in its place."""
    match credentials:
        case impersonated_credentials.Credentials():
            # Their own sign_bytes knows one host only and takes no transport; who asks for them is said nowhere else.
            return IamSigner(
                credentials._source_credentials,  # noqa: SLF001
                credentials.service_account_email,
                delegates=credentials._delegates or (),  # noqa: SLF001
                request=request or Request(),
                endpoint=endpoint,
            )
        case external_account.Credentials():
            return IamSigner(
                credentials, credentials.service_account_email, request=request or Request(), endpoint=endpoint
            )
        case compute_engine.Credentials():
            return IamSigner(credentials, request=request or Request(), endpoint=endpoint)
        case _:
            return credentials


def _holds_key(credentials: object) -> bool:
    return isinstance(credentials, service_account.Credentials) and not isinstance(credentials.signer, iam.Signer)


def _expiry(url: str) -> datetime:
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed_at + timedelta(seconds=int(query["X-Goog-Expires"][0]))
