"""What went wrong in Cloud Storage, said once in our words: which bucket, which permission, which role.

Storage trouble that may pass is a retryable *delivery* error, never a *provider* error: those may lead to another
purchase. Google's own text never goes out unredacted, and the cause is dropped: both hold URLs, and an upload's URL is
a session URI, which is a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, Literal

import requests
import urllib3.exceptions
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.resumable_media import DataCorruption

from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityDeliveryError,
    ClarityError,
    ClarityInputError,
)
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.uris import GsUri

Operation = Literal["get", "create", "delete", "list", "update"]
"""What was tried: the verb of its permission (cloud.google.com/storage/docs/access-control/iam-permissions)."""

_PERMISSION = re.compile(r"\bstorage\.[a-zA-Z]+\.[a-zA-Z]+\b")
_ROLES: Final[dict[str, str]] = {"get": "roles/storage.objectViewer", "list": "roles/storage.objectViewer"}
_WRITING_ROLE: Final = "roles/storage.objectUser"
_NO_BUCKET = re.compile(r"(?i)\bbucket\b.*\bnot (?:exist|found)|\bno such bucket|\bnosuchbucket")
_LONGEST_DETAIL: Final = 200

_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_SERVER_ERROR: Final = 500

_PASSING_TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)


class GenerationConflict(ClarityDeliveryError):  # noqa: N818 - the field's name of it; callers handle it, users see none
    """The object is not at the generation that was named (HTTP 412). Read it again before deciding anything.

    It may be one's own doing: the library repeats a request whose reply was lost, and the repeat meets the first
    one's success.

    :param uri: the object
    """

    usually_retryable = True

    def __init__(self, uri: GsUri) -> None:
        super().__init__(
            f"{uri} was changed by somebody else meanwhile. Nothing was overwritten. Another try looks again."
        )
        self.uri = uri


class NotJsonError(ClarityDeliveryError):
    """An object that should hold a JSON document holds none. Who knows what it was for says what that means.

    :param uri: the object
    """

    def __init__(self, uri: GsUri) -> None:
        super().__init__(
            f"{uri} is not readable JSON. Nothing was changed. Look at it; it was not written by this package."
        )
        self.uri = uri


class ObjectMissingError(Exception):
    """The object, or this generation of it, is not there. Never leaves this package."""


class EmptyRangeError(Exception):
    """The range asked for begins after the end of the object. Never leaves this package."""


@contextmanager
def translated(operation: Operation, uri: GsUri) -> Iterator[None]:
    """Raise ours for what the library raises within.

    :param operation: what is tried
    :param uri: on what
    :raises ClarityAuthError: credentials refused, or a permission missing, naming it and the role
    :raises ClarityInputError: the bucket does not exist
    :raises GenerationConflict: a precondition did not hold
    :raises ClarityDeliveryError: anything else; retryable where it may pass
    :raises ObjectMissingError: the object is not there
    :raises EmptyRangeError: the range is outside the object
    """
    try:
        yield
    except RetryError as error:
        cause = error.cause
        raise _translate(cause if isinstance(cause, Exception) else error, operation, uri) from None
    except (GoogleAPICallError, GoogleAuthError, DataCorruption, *_PASSING_TROUBLE) as error:
        raise _translate(error, operation, uri) from None


def _translate(error: Exception, operation: Operation, uri: GsUri) -> Exception:
    if isinstance(error, GoogleAuthError):
        return _of_credentials(error, uri)
    if isinstance(error, GoogleAPICallError) and error.code is not None:
        return _of_status(int(error.code), str(error.message), operation, uri)
    return _passing(uri, type(error).__name__)


def _of_status(status: int, text: str, operation: Operation, uri: GsUri) -> Exception:
    if status in _PASSING or status >= _SERVER_ERROR:
        return _passing(uri, f"HTTP {status}")
    match status:
        case HTTPStatus.NOT_FOUND:
            return _missing(text, operation, uri)
        case HTTPStatus.PRECONDITION_FAILED:
            return GenerationConflict(uri)
        case HTTPStatus.FORBIDDEN:
            return _forbidden(text, operation, uri)
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return EmptyRangeError(str(uri))
        case _:
            return _refused(status, text, operation, uri)


def _missing(text: str, operation: Operation, uri: GsUri) -> Exception:
    if operation == "list" or _NO_BUCKET.search(text):
        return ClarityInputError(
            f"The bucket gs://{uri.bucket} does not exist; {uri} was looked for. Nothing was changed. Create the "
            "bucket, or correct its name where the task or the DAG gives it."
        )
    return ObjectMissingError(str(uri))


def _refused(status: int, text: str, operation: Operation, uri: GsUri) -> ClarityError:
    if status == HTTPStatus.UNAUTHORIZED:
        return ClarityAuthError(
            f"Google refused the credentials for gs://{uri.bucket}. Nothing was changed. "
            "Mend the Google Cloud connection, or its key.",
            code=str(status),
        )
    return ClarityDeliveryError(f"Cloud Storage refused to {operation} {uri}: {_detail(text)}", code=str(status))


def _forbidden(text: str, operation: Operation, uri: GsUri) -> ClarityError:
    named = _PERMISSION.search(text)
    permission = named[0] if named else f"storage.objects.{operation}"
    role = _ROLES.get(permission.rpartition(".")[2], _WRITING_ROLE)
    detail = "" if named else f" ({_detail(text)})"
    return ClarityAuthError(
        f"The credentials lack {permission} on gs://{uri.bucket}, needed for {uri}{detail}. Nothing was changed. "
        f"Grant {role} on the bucket; without storage.objects.list a missing object is reported like this too.",
        code="403",
    )


def may_pass(error: GoogleAuthError) -> bool:
    """Whether the trouble with a token may be over soon: nobody answered, or an answer says that it is busy.

    Of the answer to an impersonation the library keeps the body only, and calls none of them retryable.
    """
    if isinstance(error, TransportError) or error.retryable:
        return True
    try:
        status = int(json.loads(error.args[1])["error"]["code"])
    except (IndexError, KeyError, TypeError, ValueError):
        return False
    return status in _PASSING or status >= _SERVER_ERROR


def _of_credentials(error: GoogleAuthError, uri: GsUri) -> ClarityError:
    return ClarityAuthError(
        f"Google gave no access token for gs://{uri.bucket} ({type(error).__name__}: {_detail(error)}). "
        "Nothing was changed. Mend the Google Cloud connection, its key or its impersonation chain.",
        retryable=may_pass(error),
    )


def _passing(uri: GsUri, what: str) -> ClarityError:
    return ClarityDeliveryError(
        f"Cloud Storage did not answer for {uri} ({what}), nor on repeats. Nothing that was paid is lost. "
        "Another try goes on from here.",
        retryable=True,
    )


def _detail(text: object) -> str:
    shown = " ".join(redact(text).split())
    return shown if len(shown) <= _LONGEST_DETAIL else f"{shown[:_LONGEST_DETAIL]}…"
