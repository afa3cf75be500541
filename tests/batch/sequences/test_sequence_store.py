"""The buckets in memory do what the emulator's do: any requests, one after another, have the same answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sequence_store import Buckets, MemoryStore

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.store import JsonObject, ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

NAMES = st.sampled_from(("a.json", "b.png", "c/d.png", "c/é.png"))
WHICH = st.none() | st.integers(0, 5) | st.just("no such")
"""A generation: none (0), that of the n-th write, or one that never was."""
DATA = st.sampled_from((b"", b'{"v": 1}', b"0123456789"))
METADATA = st.sampled_from(({}, {"clarity-v": "1"}, {"clarity-v": "2", "note": "größer"}))


@dataclass
class Room:
    """A store, and the generations that its writes made."""

    store: ObjectStore
    root: GsUri
    made: list[int] = field(default_factory=list)

    def generation(self, which: Any) -> int:
        if isinstance(which, int):
            return self.made[which % len(self.made)] if self.made else 12345
        return 0 if which is None else 12345

    def told(self, value: Any) -> Any:
        """What an answer says, with generations by the order of the writes."""
        match value:
            case StoredObject():
                number = self.number(value.generation)
                name = value.uri.name.removeprefix(self.root.name)
                return name, number, value.size, value.content_type, dict(value.metadata)
            case ListedObject():
                name = value.name.removeprefix(self.root.name)
                return name, self.number(value.generation), value.size, value.content_type, dict(value.metadata)
            case JsonObject():
                return value.value, self.number(value.generation)
            case list():
                return [self.told(one) for one in value]
            case _:
                return value

    def number(self, generation: int) -> int:
        if generation not in self.made:
            self.made.append(generation)
        return self.made.index(generation)

    def ask(self, request: Callable[[Room], Any]) -> Any:
        try:
            return self.told(request(self))
        except ClarityError as error:
            return type(error).__name__


def _create(name: str, data: bytes, which: Any, metadata: dict[str, str]) -> Callable[[Room], Any]:
    return lambda room: room.store.create(
        room.root.child(name), data, if_generation_match=room.generation(which), content_type="x/y", metadata=metadata
    )


def _rewrite(name: str, to: str, which: Any, expected: Any, metadata: dict[str, str]) -> Callable[[Room], Any]:
    return lambda room: room.store.rewrite(
        StoredObject(room.root.child(name), room.generation(which), 1),
        room.root.child(to),
        if_generation_match=room.generation(expected),
        content_type="image/jpeg",
        metadata=metadata,
    )


REQUESTS = st.one_of(
    st.builds(_create, NAMES, DATA, st.none() | WHICH, METADATA),
    st.builds(_create, NAMES, DATA, st.none(), METADATA),
    st.builds(_rewrite, NAMES, NAMES, st.integers(0, 5), st.none() | WHICH, METADATA),
    st.builds(lambda name: lambda room: room.store.stat(room.root.child(name)), NAMES),
    st.builds(
        lambda name, which: (
            lambda room: room.store.stat(room.root.child(name), generation=room.generation(which) or 12345)
        ),
        NAMES,
        WHICH,
    ),
    st.builds(
        lambda name, which, start, length: (
            lambda room: room.store.read(
                room.root.child(name), generation=room.generation(which) or 12345, start=start, length=length
            )
        ),
        NAMES,
        st.integers(0, 5),
        st.integers(0, 12),
        st.none() | st.integers(0, 12),
    ),
    st.builds(lambda name: lambda room: room.store.read_json(room.root.child(name)), NAMES),
    st.builds(
        lambda name, which: (
            lambda room: room.store.delete(room.root.child(name), generation=room.generation(which) or 12345)
        ),
        NAMES,
        WHICH,
    ),
    st.builds(
        lambda name, which, metadata: (
            lambda room: room.store.update_metadata(
                room.root.child(name), metadata, if_generation_match=room.generation(which)
            )
        ),
        NAMES,
        WHICH,
        METADATA,
    ),
    st.builds(
        lambda name, which: (
            lambda room: bool(room.store.open_upload(room.root.child(name), if_generation_match=room.generation(which)))
        ),
        NAMES,
        st.none() | WHICH,
    ),
    st.builds(
        lambda prefix, start, end: (
            lambda room: list(
                room.store.list(
                    room.root.child(prefix),
                    start=start and room.root.name + start,
                    end=end and room.root.name + end,
                )
            )
        ),
        st.sampled_from(("", "c/", "b")),
        st.sampled_from((None, "b.png", "c/e")),
        st.sampled_from((None, "c/e")),
    ),
    st.builds(
        lambda glob, size: (
            lambda room: [
                one
                for page in room.store.pages(room.root, glob=glob and room.root.name + glob, page_size=size)
                for one in page
            ]
        ),
        st.sampled_from(("*.png", None, "c/*.png")),
        st.sampled_from((None, 1, 2)),
    ),
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS, min_size=8, max_size=24))
def test_memory_answers_as_the_emulator_does(bench: Bench, requests: list[Callable[[Room], Any]]) -> None:
    """Breaks if the sequences hold over buckets that forgive what Cloud Storage does not, or the other way round."""
    root = GsUri(bench.bucket, f"{uuid.uuid4().hex}/")
    there, here = Room(bench.store, root), Room(MemoryStore(Buckets()), root)
    for number, request in enumerate(requests):
        assert here.ask(request) == there.ask(request), f"request {number} of {len(requests)}"
