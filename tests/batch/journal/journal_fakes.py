"""A store in memory, whose requests a test may interleave, lose, or let arrive late; and lines to put into segments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.journal.lines import End, Intent
from airflow_provider_clarity.batch.record import Attempt, Failure, TaskRecord
from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.storage.store import GenerationConflict, JsonObject, ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

ROOT = GsUri("print", "_clarity/runs/dag/run/task/-1/0a1b2c3d/0/")


@dataclass
class Ticking:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class NoAnswerError(ClarityDeliveryError):
    """A request whose reply did not come."""

    usually_retryable = True


@dataclass
class MemoryStore(ObjectStore):
    """Objects with generations and preconditions.

    :param before: is told of each request before it takes effect, and may do anything, also raise
    :param fate: says what becomes of a create: ``ok``; ``lost`` (it arrives, the reply does not); ``repeated`` (the
        library repeats it after a lost reply); ``never`` (it does not arrive); ``late`` (it arrives by
        :meth:`deliver_late`)
    """

    objects: dict[GsUri, tuple[int, bytes]] = field(default_factory=dict)
    before: Callable[[str, GsUri], None] = lambda _kind, _uri: None
    fate: Callable[[GsUri], str] = lambda _uri: "ok"
    late: list[tuple[GsUri, bytes]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    generation: int = 0

    def _asked(self, kind: str, uri: GsUri) -> None:
        self.requests.append(kind)
        self.before(kind, uri)

    def _put(self, uri: GsUri, data: bytes, expected: int) -> StoredObject:
        there = self.objects[uri][0] if uri in self.objects else 0
        if there != expected:
            raise GenerationConflict(uri)
        self.generation += 1
        self.objects[uri] = (self.generation, data)
        return StoredObject(uri, self.generation, len(data))

    def create(self, uri: GsUri, data: bytes, *, if_generation_match: int, **_how: Any) -> StoredObject:
        self._asked("create", uri)
        fate = self.fate(uri)
        if fate == "never":
            raise NoAnswerError("never arrived")
        if fate == "late":
            self.late.append((uri, data))
            raise NoAnswerError("on its way")
        made = self._put(uri, data, if_generation_match)
        if fate == "lost":
            raise NoAnswerError("the reply was lost")
        return made if fate == "ok" else self._put(uri, data, if_generation_match)

    def create_file(self, uri: GsUri, file: Any, *, if_generation_match: int, **_how: Any) -> StoredObject:
        file.seek(0)
        return self.create(uri, file.read(), if_generation_match=if_generation_match)

    def create_json(self, uri: GsUri, value: object, *, if_generation_match: int) -> StoredObject:
        return self.create(uri, json.dumps(value).encode(), if_generation_match=if_generation_match)

    def deliver_late(self, number: int) -> None:
        uri, data = self.late.pop(number % len(self.late))
        if uri not in self.objects:
            self._put(uri, data, 0)

    def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
        self._asked("stat", uri)
        found = self.objects.get(uri)
        if found is None or generation not in (None, found[0]):
            return None
        return StoredObject(uri, found[0], len(found[1]))

    def read(self, uri: GsUri, *, generation: int, start: int = 0, length: int | None = None) -> bytes | None:
        self._asked("read", uri)
        found = self.objects.get(uri)
        if found is None or found[0] != generation:
            return None
        return found[1][start:] if length is None else found[1][start : start + length]

    def list(self, prefix: GsUri, *, start: str | None = None, end: str | None = None) -> Iterator[StoredObject]:
        self._asked("list", prefix)
        under = [uri for uri in self.objects if uri.bucket == prefix.bucket and uri.name.startswith(prefix.name)]
        for uri in sorted(under):
            if (not start or uri.name >= start) and (end is None or uri.name < end):
                yield StoredObject(uri, self.objects[uri][0], len(self.objects[uri][1]))

    def delete(self, uri: GsUri, *, generation: int) -> bool:
        self._asked("delete", uri)
        if uri not in self.objects or self.objects[uri][0] != generation:
            return False
        del self.objects[uri]
        return True

    def read_json(self, uri: GsUri) -> JsonObject | None:
        found = self.stat(uri)
        data = self.read(uri, generation=found.generation) if found is not None else None
        return None if found is None or data is None else JsonObject(json.loads(data), found.generation)


def identity_of(position: int) -> str:
    return f"{position:064x}"


def attempt(position: int, n: int = 1, **changes: Any) -> Attempt:
    """An attempt, sent at 1000."""
    known: dict[str, Any] = {
        "n": n,
        "task_uuid": task_uuid(identity_of(position), n),
        "staging": f"gs://print/_clarity/staging/{identity_of(position)}-{n}.jpg",
        "run_key": "dag/run/task",
        "place": "dag/run/task/-1",
        "submit_timeout": 60.0,
        "sent_at": 1000.0,
        "last_sent_at": 1000.0,
    }
    return Attempt.model_validate(known | changes)


def record(position: int, *attempts: Attempt) -> TaskRecord:
    """A record of these attempts, or of one that was sent."""
    return TaskRecord(
        identity=identity_of(position),
        content_key="c" * 64,
        source=f"gs://raw/{position}.png",
        source_generation=1,
        pixels=(512, 512),
        destination=f"gs://print/{position}.jpg",
        parameters={"model": "runware:500@1", "upscaleFactor": 2.0},
        owner="somebody",
        owner_since=1000.0,
        attempts=attempts or (attempt(position),),
    )


def intent(position: int, *attempts: Attempt, first: bool = True) -> Intent:
    return Intent(position=position, first=first, record=record(position, *attempts))


def end(position: int, outcome: Any = "delivered", **changes: Any) -> End:
    return End.model_validate({"position": position, "outcome": outcome, "cost_microusd": 1300} | changes)


def failure(kind: Any = "provider") -> Failure:
    return Failure(kind=kind, message="The service failed.", retryable=True)


SOME_UUID = UUID("3f0c1c1e-5c1d-4c1c-9c1c-1c1c1c1c1c1c")
