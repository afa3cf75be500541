"""The ways in and out for somebody without credentials, tried from here: what the service will have to do.

Invariant: a URL is made, used and dropped in one function; neither it nor an exception of ``httpx``, which may hold it,
leaves.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import httpx

from airflow_provider_clarity.check.runner import Check, NotNeededError
from airflow_provider_clarity.check.setup import Setup
from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityDeliveryError, ClarityError
from airflow_provider_clarity.runware.quiet import quiet
from airflow_provider_clarity.storage.endpoints import make_endpoint
from airflow_provider_clarity.storage.uris import GsUri

_CONTENT: Final = b"Uploaded by airflow-provider-clarity's check. It may be deleted.\n"
_TIMEOUT: Final = 60.0
_CODE: Final = re.compile(rb"<Code>(\w{1,60})</Code>")
_ROLES: Final = {"PUT": "roles/storage.objectUser", "GET": "roles/storage.objectViewer"}


def checks(setup: Setup) -> list[Check]:
    """Give the checks of presigned URLs and of the upload session."""
    return [
        Check("presigned PUT", lambda: _put(setup), needs=("create", "signing")),
        Check("presigned GET", lambda: _get(setup), needs=("create", "signing")),
        Check("upload session", lambda: _session(setup), needs=("create",)),
    ]


def _put(setup: Setup) -> str:
    if setup.options.upload_via == "resumable_session":
        raise NotNeededError("upload_via='resumable_session' presigns no upload.")
    uri = setup.touch("uploaded")
    _exchange("PUT", setup.signer.sign_put(uri).url, uri, setup.account)
    _arrived(setup, uri)
    return "an object was uploaded through a presigned URL, from here and without credentials."


def _get(setup: Setup) -> str:
    uri = setup.touch("download")
    stored = setup.touched[uri] = setup.store.create(uri, _CONTENT, if_generation_match=0, content_type="text/plain")
    if _exchange("GET", setup.signer.sign_get(uri, stored.generation).url, uri, setup.account) != _CONTENT:
        raise ClarityDeliveryError(
            f"A presigned GET of {uri} gave other bytes than it has. Nothing was paid. Is a proxy in between?"
        )
    return "an object was downloaded through a presigned URL that names its generation."


def _session(setup: Setup) -> str:
    via = setup.options.upload_via
    if via in ("signed_url", "worker") or (via == "auto" and setup.signer.refusal is None):
        raise NotNeededError(f"not needed: upload_via={via!r} opens none here.")
    uri = setup.touch("session")
    endpoint = make_endpoint(uri, store=setup.store, signer=setup.signer, via="resumable_session")
    if endpoint is not None:
        _exchange("PUT", endpoint.url, uri, setup.account)
    _arrived(setup, uri)
    return "an object was uploaded through an upload session, by one PUT from here and without credentials."


def _arrived(setup: Setup, uri: GsUri) -> None:
    found = setup.store.stat(uri)
    if found is None or found.size != len(_CONTENT):
        raise ClarityDeliveryError(
            f"The upload to {uri} was answered with success, and the object is not there whole. Nothing was paid. "
            "Is a proxy in between?"
        )
    setup.touched[uri] = found


def _exchange(method: str, url: str, uri: GsUri, account: str) -> bytes:
    """Send one request without credentials and give the body of its answer."""
    try:
        with quiet():
            reply = httpx.request(
                method, url, content=_CONTENT if method == "PUT" else None, timeout=_TIMEOUT, follow_redirects=False
            )
    except httpx.HTTPError as error:
        raise ClarityDeliveryError(
            f"A {method} of {uri} by a URL was not answered ({type(error).__name__}). Nothing was paid. Look at proxy "
            "and firewall; where no URL may be used at all, upload_via='worker' needs none."
        ) from None
    if reply.status_code in (HTTPStatus.OK, HTTPStatus.CREATED):
        return reply.content
    raise _refusal(method, reply, uri, account)


def _refusal(method: str, reply: httpx.Response, uri: GsUri, account: str) -> ClarityError:
    found = _CODE.search(reply.content[:4096])
    code = f" {found[1].decode()}" if found else ""
    said = f"Cloud Storage refused a {method} of {uri} by a URL (HTTP {reply.status_code}{code}). Nothing was paid."
    if code.strip() == "SignatureDoesNotMatch":
        return ClarityAuthError(f"{said} Is the key an old one, or does a proxy change requests?")
    return ClarityAuthError(
        f"{said} A URL can do what its signer can: grant {_ROLES[method]} on gs://{uri.bucket} to {account}. With VPC "
        "Service Controls use upload_via='worker'."
    )
