"""The keys of one emulator: an API key for Runware, a service account for Cloud Storage.

Invariants: both are made anew at each start and are worth nothing anywhere else; the API key begins with ``emulator-``,
so that nobody takes it for a real one; the key file can be read by its owner only.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

API_KEY_PREFIX = "emulator-"


def make_api_key() -> str:
    """Return a new API key."""
    return API_KEY_PREFIX + secrets.token_hex(16)


@dataclass(frozen=True)
class ServiceAccountKey:
    """A Google service account with its private key.

    :param client_email: who signs
    :param private_key_id: which of its keys
    :param private_key_pem: the key itself, PKCS #8
    :param project_id: the project it belongs to
    """

    client_email: str
    private_key_id: str
    private_key_pem: str = field(repr=False)
    project_id: str

    @classmethod
    def make(cls, project_id: str = "emulator-project") -> ServiceAccountKey:
        """Return a new account with an RSA key of 2048 bits."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return cls(
            client_email=f"emulator@{project_id}.iam.gserviceaccount.com",
            private_key_id=secrets.token_hex(20),
            private_key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            project_id=project_id,
        )

    def write(self, path: Path, token_uri: str) -> None:
        """Write the key file as Google writes it, readable by its owner only.

        :param path: the file; one that exists is replaced
        :param token_uri: where access tokens are asked for
        """
        content = {
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": self.private_key_id,
            "private_key": self.private_key_pem,
            "client_email": self.client_email,
            "client_id": "100000000000000000000",
            "auth_uri": token_uri,
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=2)
