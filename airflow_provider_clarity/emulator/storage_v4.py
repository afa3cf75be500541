"""V4 signatures of presigned URLs, really verified: GOOG4-RSA-SHA256 over the canonical request. Pure.

Source: Google's "V4 signing process" and "Canonical requests". The canonical request is built from what arrived, never
from what the signature claims, so another object, method, host, parameter or header value cannot pass.

Where the documents leave room: a header that is signed but does not come is an empty value (so the signature does not
match); an ``x-goog-`` header that comes must be signed; a signature by a system-managed key (``signBlob``) is taken for
at most 12 hours, whatever it says, because those keys rotate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from airflow_provider_clarity.emulator.storage_errors import StorageError, invalid

__all__ = ["SignedRequest", "parse_query", "verify"]

_ALGORITHM = "GOOG4-RSA-SHA256"
_SCOPE = "auto/storage/goog4_request"
_LONGEST = 604_800
_LONGEST_BY_SYSTEM_KEY = 43_200
_SKEW = 900
_PARAMETERS = (
    "X-Goog-Algorithm",
    "X-Goog-Credential",
    "X-Goog-Date",
    "X-Goog-Expires",
    "X-Goog-SignedHeaders",
    "X-Goog-Signature",
)


@dataclass(frozen=True)
class SignedRequest:
    """A request as it arrived: ``path`` and ``query`` still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class _Claims:
    email: str
    scope: str
    date: str
    expires: int
    signed_headers: tuple[str, ...]
    signature: bytes

    @property
    def at(self) -> float:
        return datetime.strptime(self.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def parse_query(query: str) -> list[tuple[str, str]]:
    """Take a query apart without reading ``+`` as a blank: a canonical query has ``%20``."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def verify(request: SignedRequest, signed_by: Callable[[str, bytes, bytes], str | None], now: float) -> str:
    """Return the account that signed this request.

    :param signed_by: gives for (account, signature, text) the kind of key that made it, or None.
    :param now: epoch seconds.
    :raises StorageError: 400 for a query that cannot be read or has expired, 403 for a signature that is not right.
    """
    claims = _claims(parse_query(request.query))
    for name in request.headers:
        if name.startswith("x-goog-") and name not in claims.signed_headers:
            raise _malformed(name, "Header was included in the request, but not in signedheaders.")
    canonical = _canonical_request(request, claims)
    digest = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    text = f"{_ALGORITHM}\n{claims.date}\n{claims.scope}\n{digest}"
    kind = signed_by(claims.email, claims.signature, text.encode("utf-8"))
    if kind is None:
        raise StorageError(
            403,
            "forbidden",
            "The request signature we calculated does not match the signature you provided. "
            "Check your Google secret key and signing method.",
            xml_code="SignatureDoesNotMatch",
            details={"StringToSign": text, "CanonicalRequest": canonical},
        )
    if claims.at > now + _SKEW:
        raise StorageError(
            403,
            "forbidden",
            "The difference between the request time and the server's time is too large.",
            xml_code="RequestTimeTooSkewed",
        )
    lifetime = claims.expires if kind == "user" else min(claims.expires, _LONGEST_BY_SYSTEM_KEY)
    if now > claims.at + lifetime:
        expired_at = datetime.fromtimestamp(claims.at + lifetime, UTC).isoformat()
        raise StorageError(
            400,
            "invalid",
            "The provided token has expired.",
            xml_code="ExpiredToken",
            details={"Details": f"Request signature expired at: {expired_at}"},
        )
    return claims.email


def _claims(pairs: list[tuple[str, str]]) -> _Claims:
    given = _parameters(pairs)
    email, _, scope = given["X-Goog-Credential"].partition("/")
    headers = tuple(given["X-Goog-SignedHeaders"].split(";"))
    if "host" not in headers or list(headers) != sorted({name.lower() for name in headers}):
        raise _malformed("X-Goog-SignedHeaders", "Signed headers are lower case, sorted, and host is one of them.")
    try:
        claims = _Claims(
            email=email,
            scope=scope,
            date=given["X-Goog-Date"],
            expires=int(given["X-Goog-Expires"]),
            signed_headers=headers,
            signature=bytes.fromhex(given["X-Goog-Signature"]),
        )
        day = datetime.fromtimestamp(claims.at, UTC).strftime("%Y%m%d")
    except ValueError:
        raise _malformed("X-Goog-Date, X-Goog-Expires or X-Goog-Signature", "The value cannot be read.") from None
    if not 1 <= claims.expires <= _LONGEST:
        raise _malformed("X-Goog-Expires", f"The value must be a number of seconds from 1 to {_LONGEST}.")
    if scope != f"{day}/{_SCOPE}":
        raise _malformed("X-Goog-Credential", f"The scope must be {day}/{_SCOPE}.")
    return claims


def _parameters(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return the signing parameters: each exactly once, with exactly that name."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name.lower() not in {parameter.lower() for parameter in _PARAMETERS}:
            continue
        if name not in _PARAMETERS or name in given:
            raise _malformed(name, "The parameter is given twice, or its name is written wrongly.")
        given[name] = value
    for name in _PARAMETERS:
        if not given.get(name):
            raise _malformed(name, "The parameter is missing.")
    if given["X-Goog-Algorithm"] != _ALGORITHM:
        raise _malformed("X-Goog-Algorithm", f"The emulator takes {_ALGORITHM} only.")
    return given


def _canonical_request(request: SignedRequest, claims: _Claims) -> str:
    query = sorted(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in parse_query(request.query)
        if name != "X-Goog-Signature"
    )
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in claims.signed_headers]
    content = (
        request.headers.get("x-goog-content-sha256", "") if "x-goog-content-sha256" in claims.signed_headers else ""
    )
    return "\n".join(
        (
            request.method,
            quote(unquote(request.path), safe="/~"),
            "&".join(query),
            "".join(headers),
            ";".join(claims.signed_headers),
            content or "UNSIGNED-PAYLOAD",
        )
    )


def _malformed(parameter: str, why: str) -> StorageError:
    error = invalid("Your request has a malformed header.")
    return StorageError(
        error.status,
        error.reason,
        error.message,
        xml_code="MalformedSecurityHeader",
        details={"ParameterName": parameter, "Details": why},
    )
