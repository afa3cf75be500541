"""What went wrong in Cloud Storage, said once in our words."""

from __future__ import annotations

import traceback

import pytest
import requests
from google.api_core import exceptions as google
from google.auth.exceptions import RefreshError, TransportError

from airflow_provider_clarity.exceptions import (
    ClarityAuthError,
    ClarityDeliveryError,
    ClarityError,
    ClarityInputError,
    ClarityProviderError,
)
from airflow_provider_clarity.storage._errors import EmptyRangeError, ObjectMissingError, Operation, translated
from airflow_provider_clarity.storage.store import GenerationConflict
from airflow_provider_clarity.storage.uris import GsUri

URI = GsUri("raw", "cat.png")
SESSION = "https://storage.googleapis.com/upload/storage/v1/b/raw/o?uploadType=resumable&upload_id=5ecre7"


def raised(error: Exception, operation: Operation = "get") -> Exception:
    with pytest.raises(Exception) as caught, translated(operation, URI):  # noqa: PT011 - which one is what is tested
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected", "retryable"),
    [
        (google.NotFound("The specified bucket does not exist."), ClarityInputError, False),
        (google.Unauthorized("Invalid Credentials"), ClarityAuthError, False),
        (google.Forbidden("no"), ClarityAuthError, False),
        (RefreshError("invalid_grant", {"error": "invalid_grant"}), ClarityAuthError, False),
        (RefreshError("Unable", '{"error": {"code": 503, "status": "UNAVAILABLE"}}'), ClarityAuthError, True),
        (RefreshError("Unable", '{"error": {"code": 429}}'), ClarityAuthError, True),
        (RefreshError("Unable", '{"error": {"code": 403}}'), ClarityAuthError, False),
        (RefreshError("Unable", "<html>"), ClarityAuthError, False),
        (TransportError("no route"), ClarityAuthError, True),
        (google.TooManyRequests("slow down"), ClarityDeliveryError, True),
        (google.ServiceUnavailable("later"), ClarityDeliveryError, True),
        (google.RetryError("patience", google.BadGateway("later")), ClarityDeliveryError, True),
        (google.RetryError("patience", None), ClarityDeliveryError, True),
        (requests.ConnectionError(SESSION), ClarityDeliveryError, True),
        (ConnectionResetError(), ClarityDeliveryError, True),
        (google.BadRequest("Invalid bucket name"), ClarityDeliveryError, False),
        (google.PreconditionFailed("conditionNotMet"), GenerationConflict, True),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_each_trouble_has_one_class(error: Exception, expected: type[ClarityError], retryable: bool) -> None:  # noqa: FBT001
    """Breaks if a passing trouble fails a run for good, or one that stays is tried for hours."""
    found = raised(error)
    assert isinstance(found, ClarityError)
    assert type(found) is expected
    assert found.retryable is retryable
    assert "gs://raw" in found.message


def test_trouble_in_storage_is_never_a_reason_to_buy_again() -> None:
    """Breaks if a 503 of Cloud Storage counts as the service's failure, which may open another attempt."""
    assert not isinstance(raised(google.ServiceUnavailable("later")), ClarityProviderError)


def test_a_missing_object_is_an_answer_not_a_failure() -> None:
    """Breaks if "not there yet" ends a run."""
    assert isinstance(raised(google.NotFound("No such object: raw/cat.png")), ObjectMissingError)
    assert isinstance(raised(google.NotFound("Not Found"), "list"), ClarityInputError)  # nothing else can be missing
    assert isinstance(raised(google.RequestRangeNotSatisfiable("range")), EmptyRangeError)


@pytest.mark.parametrize(
    ("operation", "text", "permission", "role"),
    [
        (
            "get",
            "x@p.iam does not have storage.objects.get access to the object. Permission 'storage.objects.get' denied",
            "storage.objects.get",
            "roles/storage.objectViewer",
        ),
        ("create", "Permission 'storage.objects.delete' denied", "storage.objects.delete", "roles/storage.objectUser"),
        ("list", "forbidden", "storage.objects.list", "roles/storage.objectViewer"),
    ],
)
def test_what_is_forbidden_names_permission_role_and_bucket(
    operation: Operation, text: str, permission: str, role: str
) -> None:
    """Breaks if a user has to search which of twenty roles is missing."""
    message = str(raised(google.Forbidden(text), operation))
    for part in (permission, role, "gs://raw"):
        assert part in message


@pytest.mark.parametrize("kind", [google.Forbidden, google.BadRequest, google.ServiceUnavailable, RefreshError])
def test_no_session_uri_leaves_in_a_message_or_a_traceback(kind: type[Exception]) -> None:
    """Breaks if the task log shows a URL with which anybody could upload."""
    cause = kind(f"POST {SESSION}: refused")
    for error in (cause, google.RetryError("patience", cause)):
        assert "5ecre7" not in "".join(traceback.format_exception(raised(error)))
