"""Buckets in memory, for properties that need thousands of them. The same plans run over a real server elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from airflow_provider_clarity.batch.item import make_item
from airflow_provider_clarity.batch.plan.grammar import parse_batch_source
from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import GenerationConflict, StoredObject
from airflow_provider_clarity.storage.uris import GsSource, GsUri

PARAMETERS = parameters_from_user(output_format="JPG")
HOST = "api.runware.ai"
RUN = "dag/run/task"


class Shelf:
    """What the planner needs of an `ObjectStore`, over a dict; it counts what it is asked."""

    def __init__(self, page: int = 3) -> None:
        self.objects: dict[GsUri, StoredObject] = {}
        self.data: dict[GsUri, bytes] = {}
        self.page = page
        self.stats: list[GsUri] = []
        self.pages_given = 0
        self.reads = 0
        self._generation = 100

    def put(
        self,
        uri: GsUri,
        data: bytes = b"x",
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = "image/png",
    ) -> StoredObject:
        self._generation += 1
        found = StoredObject(uri, self._generation, len(data), content_type, dict(metadata or {}))
        self.objects[uri], self.data[uri] = found, data
        return found

    def pages(
        self,
        prefix: GsUri,
        *,
        start: str | None = None,
        end: str | None = None,
        glob: str | None = None,
    ) -> Iterator[Sequence[ListedObject]]:
        pattern = re.compile("" if glob is None else re.escape(glob).replace(r"\*", "[^/]*") + r"\Z", re.DOTALL)
        rows = [
            ListedObject(uri.name, one.generation, one.size, one.content_type, one.metadata)
            for uri, one in sorted(self.objects.items())
            if uri.bucket == prefix.bucket
            and uri.name.startswith(prefix.name)
            and uri.name >= (start or "")
            and (end is None or uri.name < end)
            and pattern.match(uri.name)
        ]
        for at in range(0, max(len(rows), 1), self.page):
            self.pages_given += 1
            yield rows[at : at + self.page]

    def list(self, prefix: GsUri) -> Iterator[StoredObject]:
        return (one for uri, one in sorted(self.objects.items()) if str(uri).startswith(str(prefix)))

    def stat(self, uri: GsUri, *, generation: int | None = None) -> StoredObject | None:
        self.stats.append(uri)
        found = self.objects.get(uri)
        return found if found is not None and generation in (None, found.generation) else None

    def read(self, uri: GsUri, *, generation: int, start: int = 0, length: int | None = None) -> bytes | None:
        self.reads += 1
        found = self.objects.get(uri)
        if found is None or found.generation != generation:
            return None
        return self.data[uri][start : None if length is None else start + length]

    def create(self, uri: GsUri, data: bytes, *, if_generation_match: int, content_type: str) -> StoredObject:
        assert if_generation_match == 0
        if uri in self.objects:
            raise GenerationConflict(uri)
        return self.put(uri, data, content_type=content_type)

    def picture(
        self,
        destination: str,
        source: str,
        generation: int | None,
        *,
        run_key: str = "other",
        parameters: Any = PARAMETERS,
        cost: int | None = 1300,
    ) -> StoredObject:
        """Put what this package would have delivered for a source."""
        uri = GsUri.parse(source)
        item = make_item(
            api_host=HOST,
            source=GsSource(uri),
            source_generation=generation,
            destination=GsUri.parse(destination),
            parameters=parameters,
        )
        proven = Provenance(item.content_key, item.identity, UUID(int=1), source, generation, run_key,
                            cost_microusd=cost)  # fmt: skip
        return self.put(item.destination, metadata=proven.to_metadata(), content_type="image/jpeg")


def wanted(source: Any = "gs://raw/in/", destination: str = "gs://print/out/", **more: Any) -> Wanted:
    """What a test wants: the usual, but for what it says."""
    if "pattern" in more:
        more["pattern"] = NamePattern(more["pattern"])
    return Wanted(
        **{
            "source": parse_batch_source(source) if isinstance(source, str | list) else source,
            "destination": GsUri.parse(destination),
            "parameters": PARAMETERS,
            "api_host": HOST,
            "run_key": RUN,
        }
        | more
    )
