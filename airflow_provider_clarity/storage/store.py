"""Objects in Cloud Storage: read and written with preconditions, errors translated once.

Invariants: every write names the generation it expects, so each is safe to repeat and the library's own retries are on.
A repeat whose first sending succeeded unseen meets 412: ``GenerationConflict`` therefore means "read again", never
"somebody else did it". None as an answer means that the object (or that generation of it) is not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import SEEK_END
from typing import Any, BinaryIO, Final

from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from airflow_provider_clarity.storage._errors import (
    EmptyRangeError,
    GenerationConflict,
    NotJsonError,
    ObjectMissingError,
    translated,
)
from airflow_provider_clarity.storage.listing import FIELDS, ListedObject, listed
from airflow_provider_clarity.storage.uris import GsUri

__all__ = ["GenerationConflict", "JsonObject", "NotJsonError", "ObjectStore", "StoredObject"]

_JSON: Final = "application/json"
_REREADS: Final = 5
_CHUNK: Final = 8 * 1024 * 1024
"""Bytes of a file that are in memory at a time while it is uploaded."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One generation of an object, without its bytes.

    :param uri: where it is
    :param generation: changes whenever the bytes are replaced
    :param size: in bytes
    :param content_type: as stored; nobody checked it against the bytes
    :param metadata: custom metadata
    :param updated: when it was last changed, aware
    """

    uri: GsUri
    generation: int
    size: int
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON document and the generation it was read at.

    :param value: the parsed document
    :param generation: name it in the update that builds on the value
    """

    value: Any
    generation: int


class ObjectStore:
    """Cloud Storage as this package needs it. Synchronous; may be used from several threads as far as the client may.

    Every method raises, besides what it names: ``ClarityAuthError`` (credentials refused, permission missing),
    ``ClarityInputError`` (no such bucket), ``ClarityDeliveryError`` (retryable where it may pass).

    :param client: from ``google-cloud-storage``; it honours ``STORAGE_EMULATOR_HOST`` by itself
    :param user_project: who pays for requests to a requester-pays bucket
    :param timeout: seconds for one request
    :param patience: seconds for one call with all its repeats
    """

    def __init__(
        self, client: storage.Client, *, user_project: str | None = None, timeout: float = 60, patience: float = 120
    ) -> None:
        self._client: Any = client  # the library is untyped
        self._user_project = user_project
        self._how: dict[str, Any] = {"timeout": timeout, "retry": DEFAULT_RETRY.with_timeout(patience)}

    def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
        """Look at an object.

        :param generation: this one; without it, the live one
        """
        blob = self._blob(uri, generation)
        try:
            with translated("get", uri):
                blob.reload(**self._how)
        except ObjectMissingError:
            return None
        return _stored(blob)

    def read(self, uri: GsUri, *, generation: int, start: int = 0, length: int | None = None) -> bytes | None:
        """Read the bytes as they are stored (nothing is decompressed on the way).

        :param generation: of which generation
        :param start: the first byte
        :param length: how many at most; without it, all
        :return: fewer bytes than asked for where the object ends
        """
        if length is not None and length <= 0:
            return b""
        ranged: dict[str, Any] = {"raw_download": True}
        if start or length is not None:
            ranged |= {"start": start, "checksum": None}  # a part has no checksum to compare with
            ranged |= {} if length is None else {"end": start + length - 1}
        try:
            with translated("get", uri):
                data: bytes = self._blob(uri, generation).download_as_bytes(**ranged, **self._how)
        except ObjectMissingError:
            return None
        except EmptyRangeError:
            return b""
        return data

    def create(
        self,
        uri: GsUri,
        data: bytes,
        *,
        if_generation_match: int,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Write an object as a whole.

        :param if_generation_match: 0 if there must be none, else the generation to replace
        :raises GenerationConflict: there is another generation; it may be this very call's, so read it again
        """
        blob = self._blob(uri)
        blob.metadata = dict(metadata or {})
        try:
            with translated("create", uri):
                blob.upload_from_string(
                    data, content_type=content_type, if_generation_match=if_generation_match, **self._how
                )
        except ObjectMissingError:  # an upload session that is over
            raise GenerationConflict(uri) from None
        return _stored(blob)

    def create_file(
        self, uri: GsUri, file: BinaryIO, *, if_generation_match: int, content_type: str = "application/octet-stream"
    ) -> StoredObject:
        """Write an object from a file, a few megabytes in memory at a time; see `create`.

        :param file: read from its beginning to its end
        """
        blob = self._blob(uri)
        blob.chunk_size = _CHUNK
        try:
            with translated("create", uri):
                blob.upload_from_file(
                    file,
                    rewind=True,
                    size=file.seek(0, SEEK_END),
                    content_type=content_type,
                    if_generation_match=if_generation_match,
                    **self._how,
                )
        except ObjectMissingError:  # an upload session that is over
            raise GenerationConflict(uri) from None
        return _stored(blob)

    def open_upload(self, uri: GsUri, *, if_generation_match: int) -> str:
        """Open an upload session: a URL that takes one PUT of the whole object, of any type and length, from anybody.

        :param if_generation_match: 0 if there must be none, else the generation to replace
        :return: a secret: never logged, stored or shown
        :raises GenerationConflict: there is another generation
        """
        try:
            with translated("create", uri):
                url: str = self._blob(uri).create_resumable_upload_session(
                    checksum=None, if_generation_match=if_generation_match, **self._how
                )
        except ObjectMissingError:
            raise GenerationConflict(uri) from None
        return url

    def update_metadata(
        self, uri: GsUri, metadata: Mapping[str, str], *, if_generation_match: int
    ) -> StoredObject | None:
        """Add or replace keys of the custom metadata; other keys stay.

        :param if_generation_match: of which generation
        :raises GenerationConflict: another generation is live
        """
        blob = self._blob(uri)
        blob.metadata = dict(metadata)
        try:
            with translated("update", uri):
                blob.patch(if_generation_match=if_generation_match, **self._how)
        except ObjectMissingError:
            return None
        return _stored(blob)

    def rewrite(
        self,
        source: StoredObject,
        destination: GsUri,
        *,
        if_generation_match: int,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> StoredObject | None:
        """Copy one generation, inside Cloud Storage and as a whole, also between buckets.

        :param source: its URI and generation are copied; not its content type and metadata
        :param if_generation_match: 0 if there must be nothing at the destination, else the generation to replace
        :return: the new object; None if that generation of the source is not there
        :raises GenerationConflict: the destination is at another generation; it may be this very call's
        """
        blob = self._blob(destination)
        blob.content_type = content_type
        blob.metadata = dict(metadata)
        original = self._blob(source.uri, source.generation)
        try:
            token: str | None = None
            while True:
                with translated("create", destination):
                    token, _, _ = blob.rewrite(
                        original, token=token, if_generation_match=if_generation_match, **self._how
                    )
                if token is None:
                    return _stored(blob)
        except ObjectMissingError:
            return None

    def delete(self, uri: GsUri, *, generation: int) -> bool:
        """Delete this generation and no other.

        :return: whether it was there; False also where a repeat meets the first sending's success
        """
        try:
            with translated("delete", uri):
                self._blob(uri, generation).delete(**self._how)
        except ObjectMissingError:
            return False
        return True

    def list(self, prefix: GsUri, *, start: str | None = None, end: str | None = None) -> Iterator[StoredObject]:
        """Give the objects under a prefix in the order of their names, page by page.

        :param prefix: the bucket, and what names begin with
        :param start: the first name, inclusive
        :param end: the name to stop before
        """
        with translated("list", prefix):
            for blob in self._client.list_blobs(
                self._client.bucket(prefix.bucket, user_project=self._user_project),
                prefix=prefix.name or None,
                start_offset=start,
                end_offset=end,
                **self._how,
            ):
                yield _stored(blob)

    def pages(
        self,
        prefix: GsUri,
        *,
        start: str | None = None,
        end: str | None = None,
        glob: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Sequence[ListedObject]]:
        """Give the objects under a prefix as `list` does, but page by page and with less of each: for very many.

        :param start: the first name, inclusive
        :param end: the name to stop before
        :param glob: only names that match, as Cloud Storage reads a glob
        :param page_size: objects a request, at most 1000
        """
        shown = self._client.list_blobs(
            self._client.bucket(prefix.bucket, user_project=self._user_project),
            prefix=prefix.name or None,
            start_offset=start,
            end_offset=end,
            match_glob=glob,
            page_size=page_size,
            fields=FIELDS,
            **self._how,
        ).pages
        while True:
            with translated("list", prefix):
                page = next(shown, None)
            if page is None:
                return
            items = page.raw_page.get("items", [])
            rows = [listed(item) for item in items]
            items.clear()  # the library keeps the page until the next one: a thousand dicts that nobody reads again
            yield rows

    def create_json(self, uri: GsUri, value: object, *, if_generation_match: int) -> StoredObject:
        """Write a JSON document; see `create`.

        :param value: what ``json.dumps`` takes
        """
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return self.create(uri, text.encode(), if_generation_match=if_generation_match, content_type=_JSON)

    def read_json(self, uri: GsUri) -> JsonObject | None:
        """Read a JSON document with the generation to name in an update.

        :raises NotJsonError: it is no JSON
        :raises ClarityDeliveryError: it is being replaced faster than it can be read (retryable)
        """
        for _ in range(_REREADS):
            found = self.stat(uri)
            if found is None:
                return None
            data = self.read(uri, generation=found.generation)
            if data is None:
                continue  # replaced between the two requests
            try:
                return JsonObject(json.loads(data), found.generation)
            except ValueError:
                raise NotJsonError(uri) from None
        raise GenerationConflict(uri)

    def _blob(self, uri: GsUri, generation: int | None = None) -> Any:  # noqa: ANN401 - the library is untyped
        bucket = self._client.bucket(uri.bucket, user_project=self._user_project)
        return bucket.blob(uri.name, generation=generation)


def _stored(blob: Any) -> StoredObject:  # noqa: ANN401 - the library is untyped; values are narrowed here
    return StoredObject(
        uri=GsUri(blob.bucket.name, blob.name),
        generation=int(blob.generation),
        size=int(blob.size or 0),
        content_type=blob.content_type,
        metadata=dict(blob.metadata or {}),
        updated=blob.updated,
    )
