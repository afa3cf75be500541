"""The rows of a plan whose sources a listing gives: a prefix or a glob.

Invariants: sources come in the order of their names; whether anything lies at a final name is known from the
destination's listing where the pattern keeps order, and asked for name by name where it does not; both of two sources
with one final name are known before the part that holds the first is given away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from airflow_provider_clarity.batch.identity import ContentKeys
from airflow_provider_clarity.batch.plan.ahead import Peekable, read_ahead
from airflow_provider_clarity.batch.plan.candidates import Candidates
from airflow_provider_clarity.batch.plan.collisions import Collision, NameHashes, OpenNames, Suspects
from airflow_provider_clarity.batch.plan.grammar import GlobSource, ListedSource
from airflow_provider_clarity.batch.plan.merge import Destination
from airflow_provider_clarity.batch.plan.model import NOTHING, PlanRow
from airflow_provider_clarity.batch.plan.planning import AT_ONCE, Planning
from airflow_provider_clarity.batch.plan.wanted import extension_of
from airflow_provider_clarity.batch.threads import at_once
from airflow_provider_clarity.storage.gs_uri import split_name
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.uris import GsUri

_LONGEST_NAME: Final = 1024  # bytes of UTF-8
_FOLDERS: Final = ("staging/", "undelivered/", "runs/", "tasks/")  # of a workspace that is a whole bucket
_PEEKED: Final = 1000


class ListedRows:
    """Rows one after another.

    :param planning: `after` is the last name that earlier parts hold
    :param source: a prefix or a glob
    """

    def __init__(self, planning: Planning, source: ListedSource) -> None:
        self._planning = planning
        self._store = planning.store
        self._pattern = planning.wanted.pattern
        self._source = source
        self._bucket = source.base.bucket
        self._base = len(source.base.name)
        self._under = planning.wanted.destination
        self._keys = ContentKeys(planning.wanted.api_host, planning.wanted.parameters.canonical())
        self._ext = extension_of(planning.wanted.parameters)
        self._candidates = Candidates(
            ours_in(self._bucket, planning.wanted.workspaces),
            allow_upscaled=planning.wanted.allow_upscaled_sources,
        )
        self._sources = Peekable(self._listing(planning.after))
        self._open = OpenNames()
        self._met: set[str] = set()  # keys that meet nothing up to the end of the listing

    def __iter__(self) -> Iterator[tuple[PlanRow, str]]:
        """Give each row with where the next begins. What is passed over is counted as it is met."""
        if self._pattern.keeps_order:
            return self._merged()
        return self._asked()

    def check_beyond(self) -> None:
        """Look whether what was given so far meets a source that is still to come; to be called before it is kept."""
        if not self._pattern.keeps_order:
            return  # all names were read first
        ahead = self._open.copy()
        last = ""
        peeked = 0
        for found in self._sources.peek(_PEEKED):
            peeked += 1
            last = found.name
            ahead.close(last[self._base :])
            if not ahead.keys:
                return
            self._meet(ahead, found)
        if peeked < _PEEKED:
            return
        for key in ahead.keys:
            if key in self._met:
                continue
            prefix = GsUri(self._bucket, f"{self._source.base.name}{key}.")
            for found in read_ahead(self._pages(prefix, last)):
                self._meet(ahead, found)
            self._met.add(key)

    def _meet(self, ahead: OpenNames, found: ListedObject) -> None:
        if self._candidates.why_not(found) is None:
            self._tell(ahead.meets(self._final(found), self._uri(found)))

    def _tell(self, collision: Collision | None) -> None:
        """Tell of a collision, if it is one."""
        if collision is not None:
            uri = f"gs://{self._under.bucket}/{collision.final}"
            self._planning.collided(Collision(uri, collision.first, collision.second))

    def _merged(self) -> Iterator[tuple[PlanRow, str]]:
        pattern = self._pattern
        head = self._under.name + pattern.head(self._bucket)
        begins = pattern.tail_begins(bucket=self._bucket, ext=self._ext)
        tail = None if pattern.names_generation else begins
        destination = Destination(
            self._destination,
            self._ask,
            head=head,
            tail_begins=begins,
            look_back=self._planning.limits.look_back,
            look_ahead=self._planning.limits.look_ahead,
        )
        for found in self._sources:
            name = found.name[self._base :]
            suffix = split_name(name)[1]
            if not self._taken(found, suffix):
                continue
            key = name[: len(name) - len(suffix)]
            ends = tail if tail is not None else pattern.tail(
                bucket=self._bucket, ext=self._ext, generation=found.generation
            )  # fmt: skip
            final = head + key + ends
            if self._too_long(final):
                continue
            uri = self._uri(found)
            collision = self._open.take(name, key, final, uri)
            if collision is not None:
                self._tell(collision)
                continue
            there = destination.find(final, name)
            yield self._row(found, uri, final, None if there is None else there.metadata), found.name

    def _asked(self) -> Iterator[tuple[PlanRow, str]]:
        self._compare_all()
        while some := list(islice(self._sources, AT_ONCE)):
            wanted = [self._final(one) for one in some if self._candidates.why_not(one) is None]
            asked = [final for final in wanted if len(final.encode()) <= _LONGEST_NAME]
            looks = iter(at_once(self._ask, asked, workers=self._planning.limits.workers, name="clarity-look"))
            for found in some:
                if not self._taken(found):
                    continue
                final = self._final(found)
                if self._too_long(final):
                    continue
                there = next(looks)
                yield self._row(found, self._uri(found), final, None if there is None else there.metadata), found.name

    def _compare_all(self) -> None:
        """Read all names first: in no order, a collision may be anywhere."""
        hashes = NameHashes()
        for found in self._listing(""):
            if self._candidates.why_not(found) is None:
                hashes.add(self._final(found))
        suspects = hashes.suspects()
        if not suspects:
            return
        names = Suspects(suspects)
        for found in self._listing(""):
            if self._candidates.why_not(found) is None:
                self._tell(names.take(self._final(found), self._uri(found)))

    def _row(self, found: ListedObject, uri: str, final: str, metadata: Mapping[str, str] | None) -> PlanRow:
        destination = f"gs://{self._under.bucket}/{final}"
        outcome = self._planning.judge.settled(
            metadata,
            canonical=uri,
            recorded=uri,
            generation=found.generation,
            destination=destination,
            key=self._keys.of,
        )
        return PlanRow(
            self._planning.numbered(),
            uri,
            found.generation,
            destination,
            self._planning.wanted.parameters,
            outcome,
            extra=NOTHING,
            own=NOTHING,
            size=found.size,
        )

    def _taken(self, found: ListedObject, suffix: str | None = None) -> bool:
        reason = self._candidates.why_not(found, suffix)
        if reason is None:
            return True
        self._planning.passed_over[reason] += 1
        return False

    def _too_long(self, final: str) -> bool:
        if len(final) * 4 <= _LONGEST_NAME or len(final.encode()) <= _LONGEST_NAME:
            return False
        self._planning.passed_over["name_too_long"] += 1
        return True

    def _final(self, found: ListedObject) -> str:
        name = found.name[self._base :]
        folder, slash, _ = name.rpartition("/")
        return self._under.name + self._pattern.name(
            bucket=self._bucket,
            path=folder + slash,
            stem=split_name(name)[0],
            ext=self._ext,
            generation=found.generation,
        )

    def _uri(self, found: ListedObject) -> str:
        return f"gs://{self._bucket}/{found.name}"

    def _listing(self, after: str) -> Iterator[ListedObject]:
        for found in read_ahead(self._pages(GsUri(self._bucket, self._source.prefix), after)):
            if found.name != after:
                yield found

    def _pages(self, prefix: GsUri, after: str) -> Iterator[Any]:
        start = max(self._source.start or "", after) or None
        glob = self._source.pattern if isinstance(self._source, GlobSource) else None
        return self._store.pages(prefix, start=start, end=self._source.end, glob=glob)

    def _destination(self, at: str) -> Iterator[ListedObject]:
        return read_ahead(self._store.pages(self._under, start=at or None))

    def _ask(self, name: str) -> ListedObject | None:
        found = self._store.stat(GsUri(self._under.bucket, name))
        if found is None:
            return None
        return ListedObject(name, found.generation, found.size, found.content_type, found.metadata)


def ours_in(bucket: str, workspaces: Iterable[GsUri]) -> tuple[str, ...]:
    """Give the name prefixes of what we keep for ourselves in a bucket."""
    roots = [one.name for one in workspaces if one.bucket == bucket]
    return tuple(chain.from_iterable([root] if root else _FOLDERS for root in roots))
