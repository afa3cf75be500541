"""The same plans over a real server: pages, offsets, globs, generations and preconditions that nobody here made up."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from adversary import final
from bench import Bench
from shelf import HOST, PARAMETERS, wanted

from airflow_provider_clarity.batch.item import make_item
from airflow_provider_clarity.batch.plan.grammar import within
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.plan.survey import survey
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.uris import GsSource, GsUri

NAMES = [
    "a.jpg",
    "a-1.png",
    "a.b.jpg",
    "a.k.jpg",
    "a/x.png",
    "a/",
    "img",
    "img-0001.png",
    "img-0002.png",
    "ü/ é?#%2F+.webp",
    "z.JPEG",
    "\U0001f600.png",
    "common/long/prefix/of/names/0001.png",
    "common/long/prefix/of/names/0001x.png",
    "notes.txt",
]


def put(bench: Bench, name: str, **metadata: str) -> int:
    blob = bench.client.bucket(bench.bucket).blob(name)
    blob.metadata = metadata
    kind = "text/plain" if name.endswith(".txt") else "image/png"
    blob.upload_from_string(b"" if name.endswith("/") else b"x", content_type=kind)
    return int(blob.generation)


def deliver(bench: Bench, name: str, pattern: str) -> str:
    """Put a source, and what would have been delivered for it."""
    generation = put(bench, f"raw/{name}")
    source = GsUri(bench.bucket, f"raw/{name}")
    uri = GsUri(bench.bucket, f"print/{final(pattern, name, generation)}")
    item = make_item(
        api_host=HOST, source=GsSource(source), source_generation=generation, destination=uri, parameters=PARAMETERS
    )
    proven = Provenance(item.content_key, item.identity, UUID(int=1), str(source), generation, "other", cost_microusd=9)
    put(bench, uri.name, **proven.to_metadata())
    return str(source)


PATTERNS = ["{path}{stem}.{ext}", "{path}{stem}- {generation}.{ext}", "{stem}-{generation}.{ext}"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_plan_over_a_real_listing(bench: Bench, pattern: str) -> None:
    """Breaks if the order, the offsets or the metadata of a real listing are other than the merge believes."""
    done = {deliver(bench, name, pattern) for name in NAMES[::2] if not name.endswith("/")}
    for name in NAMES[1::2]:
        put(bench, f"raw/{name}")
    put(bench, "raw/a/")
    what = wanted(f"gs://{bench.bucket}/raw/", f"gs://{bench.bucket}/print/", pattern=pattern)
    root = GsUri(bench.bucket, "_clarity/runs/x/plan/")
    parts = list(StoredPlan(bench.store, root, what, size=4).parts())
    rows = [row for part in parts for row in part.rows]
    images = sorted(name for name in NAMES if not name.endswith(("/", ".txt")))
    assert [row.source for row in rows] == [f"gs://{bench.bucket}/raw/{name}" for name in images]
    assert {row.source for row in rows if row.outcome == "done"} == done - {f"gs://{bench.bucket}/raw/notes.txt"}
    assert parts[-1].passed_over == {"folder": 1, "not_an_image": 1}
    again = StoredPlan(bench.store, root, what)
    assert list(again.stored()) == list(again.parts()) == parts
    assert again.rows([9, 2])[9] == rows[9]
    found = survey(bench.store, what, images_per_shard=2, cap=1000)
    sharded = []
    for shard in found.shards.shards:
        narrowed = wanted(within(what.source, shard), str(what.destination), pattern=pattern)
        place = GsUri(bench.bucket, f"_clarity/runs/{len(sharded)}/plan/")
        sharded += [row.source for part in StoredPlan(bench.store, place, narrowed).parts() for row in part.rows]
    assert sharded == [row.source for row in rows]


def test_a_glob_and_a_manifest_over_a_real_server(bench: Bench) -> None:
    """Breaks if Cloud Storage reads a glob, or a range of a manifest, otherwise than the plan does."""
    for name in ("a.png", "b.jpg", "c/d.png", "[x].png"):
        put(bench, f"raw/{name}")
    base = f"gs://{bench.bucket}"
    globbed = StoredPlan(bench.store, GsUri(bench.bucket, "_clarity/1/"), wanted(f"{base}/raw/*.png", f"{base}/print/"))
    assert [row.source for part in globbed.parts() for row in part.rows] == [f"{base}/raw/[x].png", f"{base}/raw/a.png"]
    lines = [json.dumps({"source": f"{base}/raw/{name}"}) for name in ("b.jpg", "gone.png", "a.png")]
    bench.client.bucket(bench.bucket).blob("day.jsonl").upload_from_string("\n".join(lines))
    named = StoredPlan(
        bench.store, GsUri(bench.bucket, "_clarity/2/"), wanted(f"{base}/day.jsonl", f"{base}/print/"), size=2
    )
    rows = [row for part in named.parts() for row in part.rows]
    assert [row.destination for row in rows] == [f"{base}/print/raw/{name}.jpg" for name in ("b", "gone", "a")]
    assert [row.generation is None for row in rows] == [False, True, False]
    assert [str(source.uri) for source in named.sources(rows) if isinstance(source, GsSource)] == [
        row.source for row in rows
    ]
    bench.client.bucket(bench.bucket).blob("day.jsonl").upload_from_string("{}")
    bench.client.bucket(bench.bucket).blob("_clarity/2/00001.jsonl").delete()
    again = StoredPlan(bench.store, GsUri(bench.bucket, "_clarity/2/"), wanted(f"{base}/day.jsonl", f"{base}/print/"))
    with pytest.raises(ClarityInputError, match="was replaced or deleted"):
        list(again.parts())
