"""Who we are: the key and account at Runware, the identity at Google and how it signs. Writes and buys nothing."""

from __future__ import annotations

from typing import Final

from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from airflow_provider_clarity.check.runner import Check, NotNeededError
from airflow_provider_clarity.check.setup import Setup
from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityQuotaError
from airflow_provider_clarity.hooks.clarity import account_sentence
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.signing import BY_KEY

_KINDS: Final = {
    "google.oauth2.service_account": "the key of a service account",
    "google.auth.impersonated_credentials": "an impersonated service account",
    "google.auth.compute_engine.credentials": "the service account attached to this machine",
    "google.auth.identity_pool": "a federated identity",
    "google.auth.aws": "a federated identity",
    "google.auth.pluggable": "a federated identity",
    "google.oauth2.credentials": "the credentials of a person",
}
"""By the module of the class: what a person calls it."""


def checks(setup: Setup) -> list[Check]:
    """Give the checks of key, balance, credentials and signing."""
    return [
        Check("key", lambda: _key(setup)),
        Check("balance", lambda: _balance(setup), needs=("key",)),
        Check("credentials", lambda: _credentials(setup)),
        Check("signing", lambda: _signing(setup), needs=("credentials",)),
    ]


def _key(setup: Setup) -> str:
    settings = setup.settings
    return f"the connection {settings.conn_id!r} has a key of a usable shape; it goes to {settings.base_url} only."


def _balance(setup: Setup) -> str:
    try:
        account = setup.hook.account()
    except ClarityAuthError as error:
        taken, sentence = setup.hook.test_connection()  # tells a key without permission from a refused one
        if not taken:
            raise ClarityAuthError(
                f"{error.message} It is the password of the connection {setup.settings.conn_id!r}."
            ) from None
        return sentence
    if account.balance is not None and account.balance <= 0 and not account.free_balance:
        raise ClarityQuotaError(f"{account_sentence(account)} Nothing was paid. Add credits to the Runware account.")
    return account_sentence(account)


def _credentials(setup: Setup) -> str:
    credentials = setup.credentials
    where = f"the connection {setup.options.gcp_conn_id!r} (or default credentials, where it does not exist)"
    if isinstance(credentials, AnonymousCredentials):
        return f"{where} gives no credentials: requests are anonymous."
    try:
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise ClarityAuthError(
            f"Google gave no access token ({type(error).__name__}: {redact(error)[:200]}). Nothing was changed. Mend "
            f"{where}; with an impersonation chain grant roles/iam.serviceAccountTokenCreator on {setup.account} to "
            "whoever impersonates it."
        ) from None
    kind = _KINDS.get(type(credentials).__module__, type(credentials).__name__)
    return f"Google gave an access token to {setup.account}, by {kind}."


def _signing(setup: Setup) -> str:
    if setup.options.upload_via == "worker":
        raise NotNeededError("upload_via='worker' lets no URL leave, so nothing is signed.")
    refusal = setup.signer.refusal
    if refusal is None:
        by_key = setup.signer.lifetime == BY_KEY
        how = "its own key" if by_key else "IAM (signBlob)"
        return f"{setup.account} signs URLs by {how}; they live {'7 days' if by_key else '12 hours'}."
    if setup.options.upload_via == "signed_url":
        raise refusal
    raise NotNeededError(
        "no URL can be signed, so pictures come through upload sessions, and gs:// sources go inline, up to 10 MiB. "
        f"To change that: {refusal.message}"
    )
