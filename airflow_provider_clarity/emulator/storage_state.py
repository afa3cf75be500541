"""The buckets and objects of the Cloud Storage emulator, in memory.

Invariants:

* every method runs to its end without awaiting and the server is one event loop, so check and act are one step: of any
  number of racing writers with the same precondition exactly one wins;
* generations only grow, over all buckets, and are never given twice;
* without versioning an overwritten or deleted generation is gone at once; with it, it stays readable by its number;
* what failed a precondition changed nothing.

Memory: the content of all live and noncurrent generations, and nothing of the deleted.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_clarity.emulator.storage_errors import StorageError, invalid, no_such_bucket, no_such_object
from airflow_provider_clarity.emulator.storage_objects import Attributes, ObjectVersion, Preconditions

__all__ = ["Bucket", "Store"]

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_OURS = {"name", "versioning", "billing"}


@dataclass
class Bucket:
    """A bucket: its settings, its live objects, and its noncurrent generations (oldest first)."""

    name: str
    created: float
    updated: float
    metageneration: int = 1
    versioning: bool = False
    requester_pays: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    live: dict[str, ObjectVersion] = field(default_factory=dict)
    noncurrent: dict[str, list[ObjectVersion]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def change(self, body: Mapping[str, Any]) -> None:
        """Take over settings as PATCH does; those without a meaning here are kept and given back."""
        if "versioning" in body:
            self.versioning = bool((body["versioning"] or {}).get("enabled", False))
        if "billing" in body:
            self.requester_pays = bool((body["billing"] or {}).get("requesterPays", False))
        for name, value in body.items():
            if name in _OURS:
                continue
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value

    def place(self, version: ObjectVersion) -> None:
        """Make a version the live one."""
        if version.name not in self.live:
            insort(self.names, version.name)
        self.live[version.name] = version

    def displace(self, name: str, now: float) -> None:
        """Take the live version away; with versioning it becomes noncurrent."""
        version = self.live.pop(name)
        del self.names[bisect_left(self.names, name)]
        if self.versioning:
            self.noncurrent.setdefault(name, []).append(replace(version, deleted=now))

    def version(self, name: str, generation: int | None) -> ObjectVersion:
        """Return the live version, or the generation that is named."""
        live = self.live.get(name)
        if live is not None and generation in {None, live.generation}:
            return live
        for version in self.noncurrent.get(name, ()):
            if version.generation == generation:
                return version
        raise no_such_object(self.name, name if generation is None else f"{name}#{generation}")


class Store:
    """All buckets.

    :param clock: gives epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._last_generation = 0

    def create_bucket(self, name: str, body: Mapping[str, Any] | None = None) -> Bucket:
        """Make a bucket; 409 where there is one of that name."""
        if not _BUCKET_NAME.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        if name in self._buckets:
            raise StorageError(
                409, "conflict", "Your previous request to create the named bucket succeeded and you already own it."
            )
        now = self._clock()
        bucket = Bucket(name=name, created=now, updated=now)
        bucket.change(body or {})
        self._buckets[name] = bucket
        return bucket

    def bucket(self, name: str) -> Bucket:
        """Return a bucket or raise 404."""
        try:
            return self._buckets[name]
        except KeyError:
            raise no_such_bucket() from None

    def change_bucket(self, name: str, body: Mapping[str, Any]) -> Bucket:
        """Patch a bucket's settings."""
        bucket = self.bucket(name)
        bucket.change(body)
        bucket.metageneration += 1
        bucket.updated = self._clock()
        return bucket

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket; 409 while anything is in it."""
        bucket = self.bucket(name)
        if bucket.live or bucket.noncurrent:
            raise StorageError(
                409, "conflict", "The bucket you tried to delete is not empty.", xml_code="BucketNotEmpty"
            )
        del self._buckets[name]

    def buckets(self, prefix: str = "") -> list[Bucket]:
        """Return the buckets in the order of their names."""
        return [self._buckets[name] for name in sorted(self._buckets) if name.startswith(prefix)]

    def find(
        self, bucket: str, name: str, *, generation: int | None = None, conditions: Preconditions | None = None
    ) -> ObjectVersion:
        """Return a version for reading."""
        version = self.bucket(bucket).version(name, generation)
        (conditions or Preconditions()).require(version, reading=True)
        return version

    def check_write(self, bucket: str, name: str, conditions: Preconditions) -> None:
        """Raise what :meth:`insert` would raise now; a write that takes several requests asks it at its start."""
        if not name or len(name.encode("utf-8")) > 1024 or "\n" in name or "\r" in name or name in {".", ".."}:
            raise invalid("The object name is not valid.") if name else StorageError(400, "required", "Required")
        conditions.require(self.bucket(bucket).live.get(name))

    def insert(
        self,
        bucket: str,
        name: str,
        content: bytes,
        attributes: Attributes,
        *,
        conditions: Preconditions | None = None,
        sums: Mapping[str, str] | None = None,
    ) -> ObjectVersion:
        """Write an object: a new generation, if the preconditions hold of what is there now.

        :param sums: what ``md5`` and ``crc32c`` of the content must be, base64; 400 where they are not.
        """
        self.check_write(bucket, name, conditions or Preconditions())
        home, now = self.bucket(bucket), self._clock()
        version = ObjectVersion.new((bucket, name), self._next_generation(now), content, attributes, now)
        for kind, sum_ in (sums or {}).items():
            if sum_ != {"md5": version.md5_base64, "crc32c": version.crc32c}[kind]:
                raise StorageError(400, "invalid", f"Provided {kind} does not match the content.", xml_code="BadDigest")
        if name in home.live:
            home.displace(name, now)
        home.place(version)
        return version

    def update(
        self,
        bucket: str,
        name: str,
        change: Callable[[Attributes], Attributes],
        *,
        generation: int | None = None,
        conditions: Preconditions | None = None,
    ) -> ObjectVersion:
        """Change attributes: the same generation, the next metageneration."""
        home = self.bucket(bucket)
        old = home.version(name, generation)
        (conditions or Preconditions()).require(old)
        new = old.with_attributes(change(old.attributes), self._clock())
        if old.deleted is None:
            home.live[name] = new
        else:
            versions = home.noncurrent[name]
            versions[versions.index(old)] = new
        return new

    def delete(
        self, bucket: str, name: str, *, generation: int | None = None, conditions: Preconditions | None = None
    ) -> None:
        """Delete the live object, or for good the generation that is named."""
        home = self.bucket(bucket)
        version = home.version(name, generation)
        (conditions or Preconditions()).require(version)
        if version.deleted is None:
            home.displace(name, self._clock())
            if generation is None:
                return
        kept = [other for other in home.noncurrent.get(name, ()) if other.generation != version.generation]
        if kept:
            home.noncurrent[name] = kept
        else:
            home.noncurrent.pop(name, None)

    def _next_generation(self, now: float) -> int:
        self._last_generation = max(self._last_generation + 1, int(now * 1_000_000))
        return self._last_generation
