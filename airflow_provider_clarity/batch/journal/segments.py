"""The objects of a ledger: found, read many at a time, and read back to a state.

Invariant: segments are numbered without a gap and never change, so reading them needs no precondition; where one is
missing or contradicts the others, nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airflow_provider_clarity.batch.journal import messages
from airflow_provider_clarity.batch.journal.lines import Header, Segment, decode, decode_header
from airflow_provider_clarity.batch.journal.state import RunState, replayed, restored
from airflow_provider_clarity.batch.threads import in_batches
from airflow_provider_clarity.exceptions import ClarityLostError
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

_NAME: Final = re.compile(r"segments/(\d{8})\.jsonl")
_AT_ONCE: Final = 8
_HEADER_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class Found:
    """The segments that a ledger has: sequence to generation, in order, without a gap."""

    generations: Mapping[int, int]

    @property
    def head(self) -> int:
        """Sequence of the last one; 0 where there is none."""
        return next(reversed(self.generations), 0)


def segment_uri(root: GsUri, sequence: int) -> GsUri:
    """Say where a segment lies.

    :param root: the ledger's folder
    :param sequence: from 1
    """
    return root.child(f"segments/{sequence:08d}.jsonl")


def find_segments(store: ObjectStore, root: GsUri, *, after: int = 0) -> Found:
    """List the segments of a ledger.

    :param after: list only those that come later
    :raises ClarityLostError: one in the middle is missing
    """
    start = segment_uri(root, after + 1).name if after else None
    found: dict[int, int] = {}
    last = None
    for one in store.list(root.child("segments/"), start=start):
        named = _NAME.fullmatch(one.uri.name.removeprefix(root.child("").name))
        if named is None:
            continue
        sequence = int(named[1])
        if last is not None and sequence != last + 1:
            raise ClarityLostError(messages.unreadable(str(segment_uri(root, last + 1)), "it is missing"))
        found[sequence] = one.generation
        last = sequence
    return Found(found)


def read_segments(store: ObjectStore, root: GsUri, found: Found, *, first: int = 1) -> Iterator[Segment]:
    """Read segments in their order, a few at a time.

    :param first: the sequence to begin with
    :raises ClarityLostError: one is missing or cannot be read
    """
    wanted = [sequence for sequence in found.generations if sequence >= first]
    if not wanted or wanted[0] != first:
        raise ClarityLostError(messages.unreadable(str(segment_uri(root, first)), "it is missing"))

    def read(sequence: int) -> Segment:
        return _read(store, root, sequence, found.generations[sequence])

    yield from in_batches(read, wanted, batch=_AT_ONCE, workers=_AT_ONCE, name="clarity-ledger")


def read_header(store: ObjectStore, root: GsUri, found: Found, sequence: int) -> Header:
    """Read the header of a segment, and no more of it."""
    uri, generation = segment_uri(root, sequence), found.generations[sequence]
    data = store.read(uri, generation=generation, length=_HEADER_BYTES)
    if data is not None and b"\n" not in data:
        data = store.read(uri, generation=generation)
    if data is None:
        raise ClarityLostError(messages.unreadable(str(uri), "it is missing"))
    return decode_header(data, str(uri))


def read_state(store: ObjectStore, root: GsUri, found: Found) -> RunState:
    """Replay a ledger from its newest checkpoint.

    :raises ClarityLostError: a segment is missing, damaged, or does not follow
    """
    if not found.generations:
        return RunState()
    checkpoint = read_header(store, root, found, found.head).checkpoint
    state = RunState()
    for segment in read_segments(store, root, found, first=checkpoint):
        try:
            state = restored(segment) if segment.header.seq == checkpoint else replayed(state, segment)
        except ValueError as error:
            where = str(segment_uri(root, segment.header.seq))
            raise ClarityLostError(messages.unreadable(where, f"it is damaged ({error})")) from None
    return state


def _read(store: ObjectStore, root: GsUri, sequence: int, generation: int) -> Segment:
    uri = segment_uri(root, sequence)
    data = store.read(uri, generation=generation)
    if data is None:
        raise ClarityLostError(messages.unreadable(str(uri), "it is missing"))
    return decode(data, str(uri))
