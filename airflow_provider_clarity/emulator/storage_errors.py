"""What the Cloud Storage emulator refuses, once as Google's JSON and once as Google's XML.

Everything below the HTTP layer raises :class:`StorageError`; the layer that speaks to the caller (JSON API or XML API)
chooses the form. Invariant: a message names buckets and objects, never a token, a signature or a query string.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response

__all__ = [
    "StorageError",
    "invalid",
    "json_error",
    "no_such_bucket",
    "no_such_object",
    "not_modified",
    "precondition_failed",
    "unauthenticated",
    "xml_error",
]

_XML_CODES = {
    "accountDisabled": "AccountProblem",
    "authError": "AuthenticationRequired",
    "backendError": "ServiceUnavailable",
    "conditionNotMet": "PreconditionFailed",
    "conflict": "BucketNameUnavailable",
    "forbidden": "AccessDenied",
    "gone": "NoSuchUpload",
    "invalid": "InvalidArgument",
    "methodNotAllowed": "MethodNotAllowed",
    "notFound": "NoSuchKey",
    "rateLimitExceeded": "SlowDown",
    "required": "UserProjectMissing",
    "requestedRangeNotSatisfiable": "InvalidRange",
}
_IAM_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}


class StorageError(Exception):
    """A request that is refused.

    :param status: the HTTP status.
    :param reason: the JSON API's ``reason``.
    :param message: what a person reads.
    :param xml_code: the XML API's ``Code`` where the reason does not tell it.
    :param details: the XML API's ``Details``, or any further elements by name.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        xml_code: str | None = None,
        details: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.xml_code = xml_code or _XML_CODES.get(reason, "InternalError")
        self.details = details or {}
        self.headers = headers or {}


def invalid(message: str) -> StorageError:
    """400: the request makes no sense."""
    return StorageError(400, "invalid", message)


def no_such_bucket() -> StorageError:
    """404: the bucket is not there."""
    return StorageError(404, "notFound", "The specified bucket does not exist.", xml_code="NoSuchBucket")


def no_such_object(bucket: str, name: str) -> StorageError:
    """404: the object, or the generation asked for, is not there."""
    return StorageError(404, "notFound", f"No such object: {bucket}/{name}")


def precondition_failed() -> StorageError:
    """412: a precondition did not hold, nothing was done."""
    return StorageError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def not_modified() -> StorageError:
    """304: a read whose ``NotMatch`` precondition did not hold."""
    return StorageError(304, "notModified", "Not Modified")


def unauthenticated(message: str = "Invalid Credentials") -> StorageError:
    """401: a token that was not issued here, or is too old."""
    return StorageError(
        401, "authError", message, headers={"www-authenticate": 'Bearer realm="https://accounts.google.com/"'}
    )


def json_error(error: StorageError, *, iam: bool = False) -> Response:
    """Write an error as the JSON API does; with ``iam`` also the canonical status that Google's IAM adds."""
    if error.status == 304:
        return Response(status_code=304, headers=error.headers)
    item = {"message": error.message, "domain": "global", "reason": error.reason}
    if error.reason in {"conditionNotMet", "authError"}:
        item["locationType"] = "header"
        item["location"] = "If-Match" if error.reason == "conditionNotMet" else "Authorization"
    body: dict[str, object] = {"code": error.status, "message": error.message, "errors": [item]}
    if iam:
        body["status"] = _IAM_STATUS.get(error.status, "UNAVAILABLE")
    return JSONResponse({"error": body}, status_code=error.status, headers=error.headers)


def xml_error(error: StorageError, *, body: bool = True) -> Response:
    """Write an error as the XML API does; without a body for HEAD."""
    if error.status == 304 or not body:
        return Response(status_code=error.status, headers=error.headers)
    elements = {"Code": error.xml_code, "Message": error.message, **error.details}
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
    return Response(
        f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>",
        status_code=error.status,
        headers=error.headers,
        media_type="application/xml",
    )
