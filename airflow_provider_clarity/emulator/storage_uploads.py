"""Uploads: resumable sessions, and taking a multipart body apart.

Invariants: the object appears whole, once, when the last byte has come; the preconditions named at the start are asked
at the start and again at the end, in one step with the write; a finished session answers with its object again,
whatever is sent to it; the upload id is the only secret, and it is enough.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message

from airflow_provider_clarity.emulator.storage_errors import StorageError, invalid
from airflow_provider_clarity.emulator.storage_objects import Attributes, ObjectVersion, Preconditions
from airflow_provider_clarity.emulator.storage_state import Store

__all__ = ["Session", "Uploads", "parse_multipart"]

_QUANTUM = 256 * 1024
_LIFETIME = 7 * 24 * 3600
_CHUNK = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_STATUS = re.compile(r"bytes \*/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload that was started."""

    upload_id: str = field(repr=False)
    bucket: str
    name: str
    attributes: Attributes
    conditions: Preconditions
    sums: Mapping[str, str]
    total: int | None
    started: float
    received: bytearray = field(default_factory=bytearray, repr=False)
    finished: ObjectVersion | None = None


class Uploads:
    """All sessions.

    :param store: where finished uploads go.
    :param clock: gives epoch seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def start(
        self,
        bucket: str,
        name: str,
        attributes: Attributes,
        *,
        conditions: Preconditions,
        sums: Mapping[str, str] | None = None,
        total: int | None = None,
    ) -> Session:
        """Open a session; what could not be written now is refused now."""
        self._store.check_write(bucket, name, conditions)
        session = Session(
            upload_id=secrets.token_urlsafe(48),
            bucket=bucket,
            name=name,
            attributes=attributes,
            conditions=conditions,
            sums=sums or {},
            total=total,
            started=self._clock(),
        )
        self._sessions[session.upload_id] = session
        return session

    def session(self, upload_id: str) -> Session:
        """Return a session; 404 where there never was one, 410 where it is too old or was given up."""
        session = self._sessions.get(upload_id)
        if session is None:
            raise StorageError(404, "notFound", "No such upload.", xml_code="NoSuchUpload")
        if self._clock() - session.started > _LIFETIME:
            raise StorageError(410, "gone", "The upload session has expired.")
        return session

    def cancel(self, upload_id: str) -> None:
        """Give a session up."""
        self.session(upload_id)
        del self._sessions[upload_id]

    def put(
        self, session: Session, content: bytes, *, content_range: str | None, sums: Mapping[str, str] | None = None
    ) -> ObjectVersion | None:
        """Take bytes, or the question for how many there are.

        :param content_range: the header; without it the body is the whole object.
        :returns: the object once it is complete, None while bytes are missing (``len(session.received)`` have come).
        """
        if session.finished is not None:
            return session.finished
        total = self._take(session, content, content_range)
        if total is None or len(session.received) < total:
            del session.received[len(session.received) // _QUANTUM * _QUANTUM :]
            return None
        session.finished = self._store.insert(
            session.bucket,
            session.name,
            bytes(session.received),
            session.attributes,
            conditions=session.conditions,
            sums={**session.sums, **(sums or {})},
        )
        session.received = bytearray()
        return session.finished

    def _take(self, session: Session, content: bytes, content_range: str | None) -> int | None:
        """Add bytes to a session; return how many it will be in all, None if that is not said yet."""
        if content_range is None:
            session.received[:] = content
            return _agreed(session, len(content))
        status, chunk = _STATUS.fullmatch(content_range), _CHUNK.fullmatch(content_range)
        if status is not None:
            return _agreed(session, None if status[1] == "*" else int(status[1]))
        if chunk is None:
            raise invalid("Invalid request. The Content-Range header cannot be read.")
        first, last = int(chunk[1]), int(chunk[2])
        total = _agreed(session, None if chunk[3] == "*" else int(chunk[3]))
        if last - first + 1 != len(content) or (total is not None and last >= total):
            raise invalid("Invalid request. The number of bytes is not that of the Content-Range header.")
        here = len(session.received)
        if first > here:
            raise invalid(
                f"Invalid request. According to the Content-Range header, the upload offset is {first} byte(s), "
                f"which exceeds already uploaded size of {here} byte(s)."
            )
        session.received += content[here - first :]
        return total


def _agreed(session: Session, total: int | None) -> int | None:
    if session.total is not None and total not in {None, session.total}:
        raise invalid(f"Invalid request. The upload was announced with {session.total} byte(s).")
    if total is not None:
        session.total = total
    return total


def parse_multipart(content: bytes, content_type: str) -> tuple[bytes, str | None, bytes]:
    """Take ``multipart/related`` apart.

    :returns: the first part (the object resource), the second part's content type, the second part (the content).
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not content_type.startswith("multipart/"):
        raise invalid("Missing multipart boundary.")
    dash = b"--" + boundary.encode("latin-1")
    end = content.rfind(b"\r\n" + dash + b"--")
    second = content.find(b"\r\n" + dash + b"\r\n", len(dash))
    if not content.startswith(dash) or second < 0 or end < second:
        raise invalid("Malformed multipart body.")
    resource, _ = _part(content[len(dash) + 2 : second])
    media, media_type = _part(content[second + len(dash) + 4 : end])
    return resource, media_type, media


def _part(part: bytes) -> tuple[bytes, str | None]:
    if part.startswith(b"\r\n"):
        return part[2:], None
    head, separator, body = part.partition(b"\r\n\r\n")
    if not separator:
        raise invalid("Malformed multipart body.")
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            return body, value.strip()
    return body, None
