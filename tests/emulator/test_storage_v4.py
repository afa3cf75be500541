"""The verifier of V4 signatures against Google's own vectors, which no code of ours has signed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from airflow_provider_clarity.emulator.storage_errors import StorageError
from airflow_provider_clarity.emulator.storage_v4 import SignedRequest, verify

DATA = json.loads((Path(__file__).parent / "storage_v4_vectors.json").read_text(encoding="utf-8"))
KEY = load_pem_public_key(DATA["public_key"].encode())


def signed_by(email: str, signature: bytes, text: bytes) -> str | None:
    assert isinstance(KEY, RSAPublicKey)
    try:
        KEY.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return None
    return "user" if email == DATA["account"] else None


def request_of(vector: dict[str, Any], **changed: Any) -> SignedRequest:
    url = urlsplit(vector["url"])
    parts = {"method": vector["method"], "path": url.path, "query": url.query, "headers": vector["headers"]}
    return SignedRequest(**(parts | changed))


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["description"])


@pytest.mark.parametrize("vector", DATA["vectors"], ids=name_of)
def test_googles_vectors_are_taken(vector: dict[str, Any]) -> None:
    """Each of the 29 signed URLs is verified as it stands: encoding, order, headers, digests, all styles of host."""
    now = datetime.fromisoformat(vector["at"]).timestamp()
    assert verify(request_of(vector), signed_by, now) == DATA["account"]


@pytest.mark.parametrize("vector", DATA["vectors"], ids=name_of)
def test_and_not_when_anything_is_another(vector: dict[str, Any]) -> None:
    """Another method, path, host, parameter, header value or signature: the same vectors are refused."""
    now = datetime.fromisoformat(vector["at"]).timestamp()
    url = urlsplit(vector["url"])
    changes: list[dict[str, Any]] = [
        {"method": "DELETE"},
        {"path": f"{url.path}x"},
        {"query": f"{url.query}&more=1"},
        {"query": url.query[:-2] + ("00" if url.query[-2:] != "00" else "11")},
        *({"headers": vector["headers"] | {name: f"{value}x"}} for name, value in vector["headers"].items()),
    ]
    for change in changes:
        with pytest.raises(StorageError) as caught:
            verify(request_of(vector, **change), signed_by, now)
        assert (caught.value.status, caught.value.xml_code) == (403, "SignatureDoesNotMatch")
