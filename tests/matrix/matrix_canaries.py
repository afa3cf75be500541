"""Secrets that must be nowhere, and the search for them: plain, URL-encoded, and base64 at each of its alignments."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

from matrix_world import Bench, World

MARKS = ("X-Goog-Signature=", "upload_id=")
"""What every presigned URL and every upload session has: no text of ours may hold even a piece of one."""


def spellings(secret: str) -> set[bytes]:
    """Spell a secret in every way in which it may hide."""
    found = {secret.encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    for shift in range(3):
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            coded = code(b"\0" * shift + secret.encode())
            found.add(coded[4 if shift else 0 : -4])
    return found


def secrets_of(world: World) -> list[str]:
    """Return the keys of a world."""
    key = json.loads(Path(world.emulator.service_account_file).read_text())
    lines = [line for line in key["private_key"].splitlines() if len(line) > 40]
    assert len(lines) > 20
    return [world.emulator.api_key, *lines]


def sent_secrets(path: Path) -> list[str]:
    """Return what made the URLs secret that were really sent to the service."""
    found = []
    for url in path.read_text().split() if path.exists() else ():
        query = parse_qs(urlsplit(url).query)
        found += query.get("X-Goog-Signature", []) + query.get("upload_id", [])
    return found


@dataclass
class Searched:
    """What was searched.

    :param found: where a secret was, and its beginning
    """

    files: int = 0
    size: int = 0
    found: tuple[str, ...] = ()


def texts_in(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Read what Airflow, or its stand-in here, has written down."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def texts_of(bench: Bench) -> Iterable[tuple[str, bytes]]:
    """Read what a bucket keeps of an image: records, traces, names, metadata."""
    for blob in bench.world.client.list_blobs(bench.bucket):
        yield f"{blob.name} (metadata)", json.dumps([blob.name, blob.metadata, blob.content_type]).encode()
        if blob.name.endswith(".json"):
            yield blob.name, blob.download_as_bytes()


def search(texts: Iterable[tuple[str, bytes]], secrets: Iterable[str]) -> Searched:
    """Search texts, by their names, for secrets and for the marks of presigned URLs and upload sessions."""
    needles = {needle: secret for secret in (*secrets, *MARKS) for needle in spellings(secret)}
    seen = Searched()
    for name, content in texts:
        seen.files += 1
        seen.size += len(content)
        seen.found += tuple(f"{secret[:12]}... in {name}" for needle, secret in needles.items() if needle in content)
    return seen
