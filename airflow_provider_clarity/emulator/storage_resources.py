"""How the Cloud Storage emulator writes buckets and objects on the wire: JSON resources and response headers.

Invariant: numbers of 64 bits are strings in JSON, as Google writes them.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from airflow_provider_clarity.emulator.storage_objects import ObjectVersion
from airflow_provider_clarity.emulator.storage_state import Bucket

__all__ = ["bucket_resource", "object_headers", "object_resource"]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _etag(*numbers: int) -> str:
    return base64.b64encode(b"".join(number.to_bytes(8, "big") for number in numbers)).decode("ascii")


def bucket_resource(bucket: Bucket, base_url: str) -> dict[str, Any]:
    """Write a bucket as the JSON API does."""
    return {
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        **bucket.settings,
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base_url}/storage/v1/b/{bucket.name}",
        "projectNumber": "0",
        "metageneration": str(bucket.metageneration),
        "etag": _etag(bucket.metageneration),
        "timeCreated": _time(bucket.created),
        "updated": _time(bucket.updated),
        "versioning": {"enabled": bucket.versioning},
        "billing": {"requesterPays": bucket.requester_pays},
    }


def object_resource(version: ObjectVersion, base_url: str) -> dict[str, Any]:
    """Write an object as the JSON API does."""
    path = f"/storage/v1/b/{version.bucket}/o/{quote(version.name, safe='')}"
    resource: dict[str, Any] = {
        "storageClass": "STANDARD",
        **version.attributes.texts,
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": f"{base_url}{path}",
        "mediaLink": f"{base_url}/download{path}?generation={version.generation}&alt=media",
        "name": version.name,
        "bucket": version.bucket,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        "contentType": version.content_type,
        "size": str(len(version.content)),
        "md5Hash": version.md5_base64,
        "crc32c": version.crc32c,
        "etag": _etag(version.generation, version.metageneration),
        "timeCreated": _time(version.created),
        "updated": _time(version.updated),
        "timeStorageClassUpdated": _time(version.created),
        "timeFinalized": _time(version.created),
    }
    if version.attributes.metadata:
        resource["metadata"] = dict(version.attributes.metadata)
    if version.deleted is not None:
        resource["timeDeleted"] = _time(version.deleted)
    return resource


def object_headers(version: ObjectVersion, *, xml: bool = False) -> dict[str, str]:
    """Return the headers that come with an object's content; the XML API adds custom metadata and its own ETag."""
    texts = version.attributes.texts
    headers = {
        "content-type": version.content_type,
        "etag": f'"{version.md5.hex()}"' if xml else _etag(version.generation, version.metageneration),
        "last-modified": formatdate(version.updated, usegmt=True),
        "accept-ranges": "bytes",
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": f"crc32c={version.crc32c},md5={version.md5_base64}",
        "x-goog-stored-content-length": str(len(version.content)),
        "x-goog-stored-content-encoding": texts.get("contentEncoding", "identity"),
        "x-goog-storage-class": texts.get("storageClass", "STANDARD"),
    }
    for name, header in (
        ("cacheControl", "cache-control"),
        ("contentDisposition", "content-disposition"),
        ("contentEncoding", "content-encoding"),
        ("contentLanguage", "content-language"),
    ):
        if name in texts:
            headers[header] = texts[name]
    if xml:
        headers.update({f"x-goog-meta-{key}": value for key, value in version.attributes.metadata.items()})
    return headers
