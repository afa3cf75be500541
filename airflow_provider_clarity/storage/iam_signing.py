"""Signatures by IAM's ``signBlob``: for service accounts whose key Google keeps.

Invariants: what is signed is the digest of a request, so no URL goes to IAM; the transport and the address of IAM come
from outside, so that private endpoints and other universes are reached; whatever IAM answers, the message names the
account, the role and the way that needs no signature.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from google.api_core.exceptions import RetryError
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import Signing
from google.auth.exceptions import GoogleAuthError, TransportError

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage._errors import may_pass

SIGNING_ROLE: Final = "roles/iam.serviceAccountTokenCreator"
"""The role that holds ``iam.serviceAccounts.signBlob`` (cloud.google.com/iam/docs/service-account-permissions)."""

_TIMEOUT: Final = 10
_LONGEST_DETAIL: Final = 200


class _PassingError(Exception):
    """What may be over at the next try."""


class IamSigner(Signing):
    """What ``google-cloud-storage`` takes for a signing key, with IAM behind it.

    :param caller: credentials that ask IAM
    :param account: the service account that signs; without it, the caller's own, which it knows after its first token
    :param delegates: the chain between the two, for impersonation
    :param request: the transport, ``google.auth.transport.Request``
    :param endpoint: of the IAM Credentials API, such as ``https://iamcredentials.googleapis.com``
    :param patience: seconds for one signature with all its repeats
    """

    def __init__(
        self,
        caller: Any,  # noqa: ANN401 - the library is untyped
        account: str | None = None,
        *,
        delegates: Sequence[str] = (),
        request: Callable[..., Any],
        endpoint: str,
        patience: float = 20,
    ) -> None:
        self._caller = caller
        self._account = account
        self._delegates = list(delegates)
        self._request = request
        self._endpoint = endpoint.rstrip("/")
        self._patience = patience

    @property
    def signer_email(self) -> str:
        """The account whose signature it is.

        :raises ClarityAuthError: the caller is no service account, or cannot be asked who it is
        """
        if self._account is None:
            try:
                self._caller.before_request(self._request, "POST", self._endpoint, {})
            except GoogleAuthError as error:
                raise _no_token(error) from None
            email = str(self._caller.service_account_email or "")
            if "@" not in email:  # "default", or the pool of a GKE cluster without a linked account
                raise ClarityAuthError(
                    "The Google credentials belong to no service account that could sign a URL. Nothing was sent. "
                    "Link the workload to a service account, set an impersonation chain, or use "
                    'upload_via="resumable_session".'
                )
            self._account = email
        return self._account

    @property
    def signer(self) -> IamSigner:
        """Itself; the library asks for it."""
        return self

    def sign_bytes(self, message: bytes) -> bytes:
        """Have the account sign.

        :raises ClarityAuthError: IAM refused, naming the role; retryable where it did not answer
        """
        again = Retry(predicate=if_exception_type(_PassingError), initial=0.2, maximum=4, timeout=self._patience)
        try:
            return bytes(again(self._ask)(message))
        except (RetryError, _PassingError) as error:
            raise ClarityAuthError(
                f"IAM did not answer when asked to sign for {self._account} ({redact(error.args[0])}), nor on repeats. "
                f"Nothing was sent. Another try asks again; where {self._endpoint} cannot be reached, use "
                'upload_via="resumable_session".',
                retryable=True,
            ) from None

    def _ask(self, message: bytes) -> bytes:
        url = f"{self._endpoint}/v1/projects/-/serviceAccounts/{self.signer_email}:signBlob"
        body: dict[str, Any] = {"payload": base64.b64encode(message).decode("ascii")}
        if self._delegates:
            body["delegates"] = [f"projects/-/serviceAccounts/{one}" for one in self._delegates]
        headers = {"Content-Type": "application/json"}
        try:
            self._caller.before_request(self._request, "POST", url, headers)
            reply = self._request(
                url=url, method="POST", body=json.dumps(body).encode(), headers=headers, timeout=_TIMEOUT
            )
        except TransportError as error:
            raise _PassingError(type(error).__name__) from None
        except GoogleAuthError as error:
            raise _no_token(error) from None
        status = int(reply.status)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _PassingError(f"HTTP {status}")
        if status != HTTPStatus.OK:
            raise self._refused(status, reply.data)
        try:
            return base64.b64decode(json.loads(reply.data)["signedBlob"])
        except (ValueError, KeyError, TypeError):
            raise _PassingError("not its JSON") from None

    def _refused(self, status: int, data: bytes) -> ClarityAuthError:
        try:
            detail = redact(json.loads(data)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            detail = "no reason was given"
        return ClarityAuthError(
            f"IAM did not sign for {self._account} (HTTP {status}: {detail[:_LONGEST_DETAIL]}). Nothing was sent. "
            f"Grant {SIGNING_ROLE} on {self._account} to whoever asks (to itself, where it asks itself), or use "
            'upload_via="resumable_session", which needs no signature.',
            code=str(status),
        )


def _no_token(error: GoogleAuthError) -> ClarityAuthError:
    return ClarityAuthError(
        f"Google gave no access token to sign with ({type(error).__name__}: {redact(error)[:_LONGEST_DETAIL]}). "
        "Nothing was sent. Mend the Google Cloud connection, or its impersonation chain.",
        retryable=may_pass(error),
    )
