"""Shards: every name in exactly one, every micro-dollar in exactly one; and what a whole plan comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from adversary import names
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import PARAMETERS, Shelf, wanted

from airflow_provider_clarity.batch.plan.grammar import within
from airflow_provider_clarity.batch.plan.planner import Begin, plan
from airflow_provider_clarity.batch.plan.shards import MOST_SHARDS, ShardCutter, divided
from airflow_provider_clarity.batch.plan.survey import survey
from airflow_provider_clarity.exceptions import ClarityInputError, ClarityPlanError
from airflow_provider_clarity.storage.uris import GsUri


@settings(deadline=None)
@given(cap=st.integers(0, 10**13), weights=st.lists(st.integers(0, 10**6), max_size=40))
def test_a_divided_cap_sums_up_to_the_cap(cap: int, weights: list[int]) -> None:
    """Breaks if shards together may spend a micro-dollar more than was allowed, or one starves beside the others."""
    if not any(weights):
        weights = [weight + 1 for weight in weights]
    shares = divided(cap, weights)
    assert sum(shares) == (cap if weights else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - cap * weight) <= sum(weights)
        assert round(share / 1_000_000 * 1_000_000) == share, "as it is written into the shard"


@settings(deadline=None)
@given(
    rows=st.lists(st.booleans(), max_size=60),
    per_shard=st.integers(1, 5),
    cap=st.none() | st.integers(0, 10**9),
)
def test_each_row_is_in_one_shard_and_no_shard_is_too_large(rows: list[bool], per_shard: int, cap: int | None) -> None:
    """Breaks if a shard takes its neighbour's images, or a plan over shards buys fewer than the plan."""
    cutter = ShardCutter(per_shard)
    for place, to_do in enumerate(rows):
        cutter.take(place, to_do=to_do)
    made = cutter.shards(cap=cap).shards
    assert len(made) == -(-sum(rows) // per_shard)
    for shard in made:
        mine = rows[shard["start"] or 0 : shard["end"]]
        assert sum(mine) == shard["to_do"] <= per_shard
        assert ("max_cost_usd" in shard) == (cap is not None)
    assert sum(shard["to_do"] for shard in made) == sum(rows)
    if made:
        assert (made[0]["start"], made[-1]["end"]) == (None, None)
        assert [shard["end"] for shard in made[:-1]] == [shard["start"] for shard in made[1:]]
        assert cap is None or sum(round(shard["max_cost_usd"] * 1_000_000) for shard in made) == cap


@pytest.mark.parametrize("number", [1024, 1025, 8192, 8193, 30_000])
def test_more_shards_than_airflow_expands_are_made_larger_and_say_so(number: int) -> None:
    """Breaks if ``expand`` fails for a plan of a million images, or the shards are larger and nobody knows."""
    cutter = ShardCutter(1)
    for place in range(number):
        cutter.take(place, to_do=True)
        assert len(cutter._cuts) <= 8 * MOST_SHARDS
    made = cutter.shards(generation=7)
    assert MOST_SHARDS // 2 < len(made.shards) <= MOST_SHARDS
    assert sum(shard["to_do"] for shard in made.shards) == number
    assert max(shard["to_do"] for shard in made.shards) == made.images_per_shard
    assert (made.images_per_shard == 1) == (number == 1024)
    assert made.shards[0]["generation"] == 7
    starts = [shard["start"] or 0 for shard in made.shards]
    ends = [*(shard["end"] for shard in made.shards[:-1]), number]
    assert [end - start for start, end in zip(starts, ends, strict=True)] == [s["to_do"] for s in made.shards]


@settings(max_examples=60, deadline=None)
@given(sources=st.sets(names, max_size=14), later=names, per_shard=st.integers(1, 4))
def test_the_plans_of_the_shards_are_the_plan(sources: set[str], later: str, per_shard: int) -> None:
    """Breaks if an image at a border is bought by two shards or by none, also one that came since."""
    shelf = Shelf()
    for name in sources:
        shelf.put(GsUri("raw", f"in/{name}"))
    what = wanted(pattern="{path}{stem}-{generation}.{ext}")
    found = survey(shelf, what, images_per_shard=per_shard)  # type: ignore[arg-type]
    shelf.put(GsUri("raw", f"in/{later}"))
    whole = [row.source for part in plan(shelf, what) for row in part.rows]  # type: ignore[arg-type]
    shards = []
    for shard in found.shards.shards:
        narrowed = wanted(pattern="{path}{stem}-{generation}.{ext}", source=within(what.source, shard))
        shards += [row.source for part in plan(shelf, narrowed) for row in part.rows]  # type: ignore[arg-type]
    assert shards == (whole if found.shards.shards else [])


@settings(max_examples=40, deadline=None)
@given(number=st.integers(0, 12), per_shard=st.integers(1, 4), as_list=st.booleans())
def test_what_is_named_is_sharded_by_its_place(number: int, per_shard: int, as_list: bool) -> None:  # noqa: FBT001
    """Breaks if a shard of a manifest begins in the middle of a row, or in another generation of it."""
    shelf = Shelf()
    uris = [f"gs://raw/{place}.png" for place in range(number)]
    lines = [json.dumps({"source": uri, "note": "é" * place}) for place, uri in enumerate(uris)]
    shelf.put(GsUri("raw", "day.jsonl"), "\n\n".join(lines).encode())
    what = wanted(uris if as_list else "gs://raw/day.jsonl")
    found = survey(shelf, what, images_per_shard=per_shard)  # type: ignore[arg-type]
    if not as_list:
        shelf.put(GsUri("raw", "other.jsonl"))
    shards = []
    for shard in found.shards.shards:
        assert ("generation" in shard) == (not as_list)
        part = list(plan(shelf, wanted(source=within(what.source, shard)), Begin(size=2)))  # type: ignore[arg-type]
        shards += [row.source for one in part for row in one.rows]
    assert shards == uris
    if found.shards.shards and not as_list:
        shelf.put(GsUri("raw", "day.jsonl"), b"{}")
        with pytest.raises(ClarityInputError, match="was replaced"):
            list(plan(shelf, wanted(source=within(what.source, found.shards.shards[0]))))  # type: ignore[arg-type]


def test_a_survey_counts_everything_and_what_it_has_cost() -> None:
    """Breaks if a person approves a plan by numbers that are not the plan's."""
    shelf = Shelf()
    for number in range(10):
        source = shelf.put(GsUri("raw", f"in/{number}.png"))
        match number:
            case 0 | 1:
                shelf.picture(f"gs://print/out/{number}.jpg", str(source.uri), source.generation, cost=1000 + number)
            case 2:
                shelf.picture(f"gs://print/out/{number}.jpg", str(source.uri), 1, cost=9)
            case 3:
                shelf.put(GsUri("print", "out/3.jpg"))
    shelf.put(GsUri("raw", "in/a.txt"), content_type=None)
    found = survey(shelf, wanted(), images_per_shard=4, cap=10)  # type: ignore[arg-type]
    counts = found.counts
    assert (counts.planned, counts.to_do, counts.done, counts.stale, counts.foreign) == (10, 6, 2, 1, 1)
    assert found.passed_over == {"not_an_image": 1}
    costs = found.costs
    assert (costs.number, costs.total, costs.least, costs.most) == (2, 2001, 1000, 1001)
    assert found.shards.shards == (
        {"v": 1, "start": None, "end": "in/8.png", "to_do": 4, "max_cost_usd": 0.000006},
        {"v": 1, "start": "in/8.png", "end": None, "to_do": 2, "max_cost_usd": 0.000004},
    )
    assert all(uri.bucket != "print" or uri.name.startswith("out/") for uri in shelf.objects), "nothing is stored"


def test_nothing_to_do_is_no_shard() -> None:
    """Breaks if a second run over the same data starts workers."""
    shelf = Shelf()
    source = shelf.put(GsUri("raw", "in/a.png"))
    shelf.picture("gs://print/out/a.jpg", "gs://raw/in/a.png", source.generation)
    assert survey(shelf, wanted(), cap=5).shards.shards == ()  # type: ignore[arg-type]
    assert survey(Shelf(), wanted()).counts.planned == 0  # type: ignore[arg-type]


def test_a_survey_names_all_collisions() -> None:
    """Breaks if a person mends one name, and is told of the next an hour later."""
    shelf = Shelf()
    for name in "abcdefghij":
        for ending in ("jpg", "png"):
            shelf.put(GsUri("raw", f"in/{name}.{ending}"))
    with pytest.raises(ClarityPlanError, match=r"in/a.jpg and gs://raw/in/a.png .*in/b.jpg.*and 5 more"):
        survey(shelf, wanted())  # type: ignore[arg-type]
    for number in range(200):
        shelf.put(GsUri("raw", f"in/{number}.jpg"))
        shelf.put(GsUri("raw", f"in/{number}.png"))
    with pytest.raises(ClarityPlanError, match="and 205 more"):
        survey(shelf, wanted())  # type: ignore[arg-type]


def test_taken_names_are_an_error_before_anything_is_paid() -> None:
    """Breaks if ``if_exists="fail"`` is noticed after the first purchase."""
    shelf = Shelf()
    shelf.put(GsUri("raw", "in/a.png"))
    shelf.put(GsUri("print", "out/a.jpg"))
    what: Any = wanted(if_exists="fail", parameters=PARAMETERS)
    with pytest.raises(ClarityInputError, match='1 final names are taken, and if_exists="fail"'):
        survey(shelf, what)  # type: ignore[arg-type]
