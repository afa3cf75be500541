"""Who may do what: access tokens, and the keys that signatures are checked with.

A token comes from ``/token``, from the metadata server or from ``generateAccessToken`` and is good for an hour. There
are no permissions: every account of the emulator may do everything, so what a real project would refuse is a fault.

Invariants: a token that was not made here, or is too old, is refused; a signature is good only if the key that made it
belongs to the account that is named; tokens are held as digests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_provider_clarity.emulator.keys import ServiceAccountKey
from airflow_provider_clarity.emulator.storage_errors import unauthenticated

__all__ = ["TOKEN_SECONDS", "KeyRing", "TokenBook"]

TOKEN_SECONDS = 3600
_SKEW = 300


class TokenBook:
    """The access tokens that are out.

    :param clock: gives epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}

    def issue(self, email: str, seconds: float = TOKEN_SECONDS) -> str:
        """Make a token for an account."""
        token = f"ya29.emulator-{secrets.token_urlsafe(32)}"
        self._issued[_digest(token)] = (email, self._clock() + seconds)
        return token

    def holder(self, headers: Mapping[str, str]) -> str | None:
        """Return whose token a request carries, None if it carries no Authorization at all.

        :raises StorageError: 401 for any other token than a living one of ours.
        """
        header = headers.get("authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        email, until = self._issued.get(_digest(token.strip()), ("", 0.0))
        if scheme.lower() != "bearer" or self._clock() >= until:
            raise unauthenticated()
        return email


class KeyRing:
    """The keys of the emulator's accounts.

    The account of the key file has that key. ``signBlob`` signs with another one that never leaves the server, as
    Google does with its system-managed keys; it is good for every account it was used for.

    :param key: the key file's content.
    """

    def __init__(self, key: ServiceAccountKey) -> None:
        self.email = key.client_email
        self.key_id = key.private_key_id
        self._own = _load(key.private_key_pem)
        self._managed: RSAPrivateKey | None = None
        self._managed_for: set[str] = set()

    def sign(self, email: str, payload: bytes) -> tuple[str, bytes]:
        """Sign for an account with the system-managed key; return the key's id and the signature."""
        if self._managed is None:
            self._managed = generate_private_key(public_exponent=65537, key_size=2048)
        self._managed_for.add(email)
        return "system-managed", self._managed.sign(payload, PKCS1v15(), SHA256())

    def signed_by(self, email: str, signature: bytes, payload: bytes) -> str | None:
        """Return ``user`` or ``system``, whichever key of the account made the signature, None if neither did."""
        if email == self.email and _verified(self._own, signature, payload):
            return "user"
        if self._managed is not None and email in self._managed_for and _verified(self._managed, signature, payload):
            return "system"
        return None

    def read_assertion(self, assertion: str, audiences: set[str], now: float) -> dict[str, Any]:
        """Check a JWT of the jwt-bearer grant and return its claims.

        :param audiences: the ``aud`` that are right.
        :raises ValueError: what is wrong, in Google's words.
        """
        signed, _, signature = assertion.rpartition(".")
        head, _, payload = signed.partition(".")
        try:
            header, claims = json.loads(_unpadded(head)), json.loads(_unpadded(payload))
            known = header.get("kid", self.key_id) == self.key_id and header.get("alg") == "RS256"
            issuer, times = claims["iss"], (float(claims["iat"]), float(claims["exp"]))
            right = known and _verified(self._own, _unpadded(signature), signed.encode("ascii"))
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise ValueError("Invalid JWT: it cannot be read.") from None
        if issuer != self.email:
            raise ValueError("Invalid grant: account not found")
        if not right:
            raise ValueError("Invalid JWT Signature.")
        if claims.get("aud") not in audiences:
            raise ValueError("Invalid JWT: Failed audience check.")
        if not times[0] - _SKEW <= now < times[1] or times[1] - times[0] > TOKEN_SECONDS:
            raise ValueError(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim."
            )
        return dict(claims)


def _load(pem: str) -> RSAPrivateKey:
    # Not validated: the emulator made it itself, and validation takes 80 ms.
    key = load_pem_private_key(pem.encode("ascii"), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("a service account's key is an RSA key")
    return key


def _verified(key: RSAPrivateKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.public_key().verify(signature, payload, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()
