"""What a plan says, of whatever lies in the buckets: what a look at every single name would say."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from adversary import PATTERNS, final, names
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import PARAMETERS, RUN, Shelf, wanted

from airflow_provider_clarity.batch.plan.collisions import Collision
from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow
from airflow_provider_clarity.batch.plan.planner import Begin, plan
from airflow_provider_clarity.batch.plan.planning import Limits
from airflow_provider_clarity.batch.policy import IfExists
from airflow_provider_clarity.exceptions import ClarityInputError, ClarityPlanError, ClarityValidationError
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.uris import GsUri

SMALL = Limits(look_back=3, look_ahead=2, workers=2)
UNORDERED = ["{stem}-{generation}.{ext}", "{path}x-{stem}.{ext}"]
UUID = "52f41967-7b2e-4c2c-9f0c-3d1a9f7c0e11"
PIXEL = "data:image/png;base64,AAAA"
SIGNED = "https://cdn.example.com/in/c.png?X-Goog-Signature=s3cret&v=2"


def parts_of(shelf: Shelf, what: Any, size: int = 4, limits: Limits = SMALL, **more: Any) -> list[PlanPart]:
    return list(plan(shelf, what, Begin(size=size), limits=limits, **more))  # type: ignore[arg-type]


def rows_of(parts: list[PlanPart]) -> list[PlanRow]:
    return [row for part in parts for row in part.rows]


OCCUPIED: dict[str, dict[str, str | None]] = {
    "same": {"skip": "done", "update": "done", "overwrite": None, "fail": None},
    "mine": dict.fromkeys(("skip", "update", "overwrite", "fail"), "done"),
    "older": {"skip": "stale", "update": None, "overwrite": None, "fail": None},
    "other parameters": {"skip": "stale", "update": None, "overwrite": None, "fail": None},
    "other source": {"skip": "foreign", "update": "foreign", "overwrite": None, "fail": None},
    "not ours": {"skip": "foreign", "update": "foreign", "overwrite": None, "fail": None},
}


def occupy(shelf: Shelf, how: str, destination: str, source: str, generation: int) -> None:
    match how:
        case "same":
            shelf.picture(destination, source, generation)
        case "mine":
            shelf.picture(destination, source, generation, run_key=RUN)
        case "older":
            shelf.picture(destination, source, generation - 1)
        case "other parameters":
            shelf.picture(destination, source, generation, parameters=parameters_from_user(upscale_factor=4))
        case "other source":
            shelf.picture(destination, source + "~", generation)
        case "not ours":
            shelf.put(GsUri.parse(destination), metadata={"camera": "x"})


@settings(max_examples=250, deadline=None)
@given(
    sources=st.sets(names, max_size=18),
    others=st.sets(names, max_size=8),
    pattern=st.sampled_from(PATTERNS + UNORDERED),
    if_exists=st.sampled_from(["skip", "update", "overwrite", "fail"]),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_a_plan_is_what_a_look_at_every_name_would_say(
    sources: set[str], others: set[str], pattern: str, if_exists: IfExists, size: int, seed: int
) -> None:
    """Breaks if an image is bought again that is there, is left out, or is paid although its name is another's."""
    shelf, chance = Shelf(), random.Random(seed)  # noqa: S311
    for name in others:
        shelf.put(GsUri("print", f"out/{name}"), metadata={})
    expected: list[tuple[str, int, str, str | None]] = []
    for name in sorted(sources):
        found = shelf.put(GsUri("raw", f"in/{name}"))
        if name.endswith("/"):
            continue
        source, destination = f"gs://raw/in/{name}", f"gs://print/out/{final(pattern, name, found.generation)}"
        taken = GsUri.parse(destination) in shelf.objects
        outcome = OCCUPIED["not ours"][if_exists] if taken else None
        if not taken and chance.random() < 0.7:
            how = chance.choice(list(OCCUPIED))
            occupy(shelf, how, destination, source, found.generation)
            outcome = OCCUPIED[how][if_exists]
        expected.append((source, found.generation, destination, outcome))
    twice = [name for name, times in Counter(row[2] for row in expected).items() if times > 1]
    what = wanted(pattern=pattern, if_exists=if_exists)
    if twice:
        with pytest.raises(ClarityPlanError):
            parts_of(shelf, what, size)
        told: list[Collision] = []
        parts_of(shelf, what, size, collided=told.append)
        assert {one.final for one in told} == set(twice)
        return
    parts = parts_of(shelf, what, size)
    rows = rows_of(parts)
    assert [(row.source, row.generation, row.destination, row.outcome) for row in rows] == expected
    assert [row.position for row in rows] == list(range(len(rows)))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [len(part.rows) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    folders = sum(name.endswith("/") for name in sources)
    assert parts[-1].passed_over == ({"folder": folders} if folders else {})
    for part in parts[:-1]:
        again = list(plan(shelf, what, Begin.after_part(part), limits=SMALL))  # type: ignore[arg-type]
        assert again == parts[part.number + 1 :]


@settings(max_examples=150, deadline=None)
@given(sources=st.sets(names, min_size=2, max_size=14), size=st.integers(1, 4), pattern=st.sampled_from(PATTERNS))
def test_no_part_with_one_of_two_colliding_sources_is_given_away(sources: set[str], size: int, pattern: str) -> None:
    """Breaks if one of two sources with one final name is paid before the other is seen."""
    shelf = Shelf()
    sources = {name for name in sources if not name.endswith("/")}
    for name in sources:
        shelf.put(GsUri("raw", f"in/{name}"))
    finals = Counter(final(pattern, name, shelf.objects[GsUri("raw", f"in/{name}")].generation) for name in sources)
    given_away: list[PlanRow] = []
    try:
        for part in plan(shelf, wanted(pattern=pattern), Begin(size=size), limits=SMALL):  # type: ignore[arg-type]
            given_away += part.rows
    except ClarityPlanError:
        pass
    for row in given_away:
        assert finals[row.destination.removeprefix("gs://print/out/")] == 1


def test_a_collision_thousands_of_names_away_is_seen_before_the_first_is_given_away() -> None:
    """Breaks if a name without an extension is paid, and its double is met an hour later."""
    shelf = Shelf(page=1000)
    for name in ("img", "img.png", *(f"img-{number:04}.png" for number in range(3000))):
        shelf.put(GsUri("raw", f"in/{name}"))
    with pytest.raises(ClarityPlanError, match=r"gs://raw/in/img and gs://raw/in/img.png would both be gs://print/out"):
        next(plan(shelf, wanted(), Begin(size=10)))  # type: ignore[arg-type]
    del shelf.objects[GsUri("raw", "in/img.png")]
    before = shelf.pages_given
    assert len(rows_of(parts_of(shelf, wanted(), 10, Limits()))) == 3001
    assert shelf.pages_given - before < 12, "the key was looked for once, not for every part"


def test_a_collision_is_found_where_names_keep_no_order() -> None:
    """Breaks if ``{stem}`` alone puts two folders' pictures on each other, after both were paid."""
    shelf = Shelf()
    for name in ("x/a.png", "x/b.png", "y/a.png", "y/c.png"):
        shelf.put(GsUri("raw", f"in/{name}"))
    with pytest.raises(ClarityPlanError, match=r"gs://raw/in/x/a.png and gs://raw/in/y/a.png would both be gs://print"):
        next(plan(shelf, wanted(pattern="{stem}.{ext}"), Begin(size=1)))  # type: ignore[arg-type]
    assert shelf.stats == [], "no name was asked for"


def test_what_is_passed_over_is_counted_by_reason() -> None:
    """Breaks if a folder of thousands makes a plan of ten, and nobody can tell why."""
    shelf = Shelf()
    shelf.put(GsUri("raw", "in/"))
    shelf.put(GsUri("raw", "in/_clarity/staging/a.jpg"))
    shelf.put(GsUri("raw", "in/a.txt"), content_type="text/plain")
    shelf.put(GsUri("raw", "in/b.jpg"), b"")
    shelf.put(GsUri("raw", "in/c.jpg"))
    shelf.put(GsUri("raw", f"in/{'d' * 1018}.j"))
    shelf.picture("gs://raw/in/e.jpg", "gs://raw/x.jpg", 1)
    what = wanted(workspaces=(GsUri("raw", "in/_clarity/"), GsUri("print", "")))
    (part,) = parts_of(shelf, what)
    assert [row.source for row in part.rows] == ["gs://raw/in/c.jpg"]
    assert part.passed_over == {
        "folder": 1, "workspace": 1, "not_an_image": 1, "empty": 1, "name_too_long": 1, "upscaled": 1,
    }  # fmt: skip
    (part,) = parts_of(shelf, wanted(allow_upscaled_sources=True, pattern="x/{stem}.{ext}"))
    assert part.passed_over == {"folder": 1, "not_an_image": 1, "empty": 1, "name_too_long": 1}


def test_a_workspace_that_is_a_whole_bucket_hides_its_own_folders_only() -> None:
    """Breaks if a workspace at a bucket's root makes every source of that bucket ours."""
    shelf = Shelf()
    for name in ("staging/a.jpg", "undelivered/b.jpg", "runs/c.jpg", "tasks/d.jpg", "e.jpg"):
        shelf.put(GsUri("raw", name))
    (part,) = parts_of(shelf, wanted("gs://raw/", workspaces=(GsUri("raw", ""),)), 9)
    assert [row.source for row in part.rows] == ["gs://raw/e.jpg"]


def test_a_glob_and_a_shard_take_their_own() -> None:
    """Breaks if a glob takes what does not match, or two shards take one name or leave one out."""
    shelf = Shelf()
    for name in ("in/a.png", "in/b.jpg", "in/c.png", "in/x/d.png"):
        shelf.put(GsUri("raw", name))
    (part,) = parts_of(shelf, wanted("gs://raw/in/*.png"))
    assert [(row.source, row.destination) for row in part.rows] == [
        ("gs://raw/in/a.png", "gs://print/out/a.jpg"),
        ("gs://raw/in/c.png", "gs://print/out/c.jpg"),
    ]


def test_nothing_found_is_one_empty_part() -> None:
    """Breaks if an empty prefix has no end, so that a run waits for ever."""
    (part,) = parts_of(Shelf(), wanted())
    assert (part.rows, part.last, part.number, part.after) == ((), True, 0, "")


def test_what_cannot_be_planned_is_refused_before_anything_is_listed() -> None:
    """Breaks if a pattern or destination that is wrong costs a listing, or a picture."""
    shelf = Shelf()
    with pytest.raises(ClarityInputError, match="lies in the source prefix"):
        next(plan(shelf, wanted(destination="gs://raw/in/out/")))  # type: ignore[arg-type]
    with pytest.raises(ClarityValidationError, match="pictures will be JPG"):
        next(plan(shelf, wanted(pattern="{path}{stem}.png")))  # type: ignore[arg-type]
    assert (shelf.pages_given, shelf.stats) == (0, [])


# Lists and manifests


def manifest(shelf: Shelf, *rows: dict[str, Any] | str) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    shelf.put(GsUri("raw", "day.jsonl"), "\n".join(lines).encode(), content_type="application/jsonl")


def test_a_list_takes_every_kind_of_source_that_has_a_name() -> None:
    """Breaks if a list's images get other names than the docs say, or a source that is gone ends the run."""
    shelf = Shelf()
    here = shelf.put(GsUri("raw", "in/a.png"), b"123")
    shelf.picture("gs://print/out/in/b.jpg", "gs://raw/in/b.png", shelf.put(GsUri("raw", "in/b.png")).generation)
    parts = parts_of(shelf, wanted(["gs://raw/in/a.png", "gs://raw/in/b.png", "gs://raw/gone.png", SIGNED]), 3)
    rows = rows_of(parts)
    assert [(row.destination, row.outcome, row.size) for row in rows] == [
        ("gs://print/out/in/a.jpg", None, 3),
        ("gs://print/out/in/b.jpg", "done", 1),
        ("gs://print/out/gone.jpg", None, None),
        ("gs://print/out/in/c.jpg", None, None),
    ]
    assert [row.generation for row in rows[::2]] == [here.generation, None]
    assert [part.after for part in parts] == ["3", "4"]


def test_no_row_holds_a_secret_or_a_picture() -> None:
    """Breaks if a presigned URL, or the bytes of a picture, are written to the plan."""
    shelf = Shelf()
    manifest(shelf, {"source": SIGNED}, {"source": PIXEL, "destination": "gs://print/p.jpg"},
             {"source": UUID.upper(), "destination": "gs://print/u.jpg"})  # fmt: skip
    (part,) = parts_of(shelf, wanted("gs://raw/day.jsonl"))
    assert "s3cret" not in repr(part)
    assert "AAAA" not in repr(part)
    assert [row.source.partition("?")[0] for row in part.rows][::2] == ["https://cdn.example.com/in/c.png", UUID]
    text = shelf.data[GsUri("raw", "day.jsonl")]
    lines = [json.loads(text[row.line[0] : sum(row.line)])["source"] for row in part.rows if row.line and row.hidden]
    assert lines == [SIGNED, PIXEL]


def test_a_row_of_a_manifest_wins_over_the_operator() -> None:
    """Breaks if a row's own destination, format or settings are not what is bought and judged."""
    shelf = Shelf()
    source = shelf.put(GsUri("raw", "in/a.png"))
    own = {"upscale_factor": 4, "output_format": "PNG", "settings": {"cfg_scale": 3, "strength": None}}
    operator = parameters_from_user(output_format="JPG", output_quality=90, settings={"strength": 0.2, "steps": 3})
    bought = parameters_from_user(
        upscale_factor=4, output_format="PNG", output_quality=90, settings={"steps": 3, "CFGScale": 3}
    )
    shelf.picture("gs://print/x/special.png", "gs://raw/in/a.png", source.generation, parameters=bought)
    manifest(
        shelf,
        {"source": "gs://raw/in/a.png", "destination": "gs://print/x/special.png", "generation": 5, "sku": 7, **own},
        "",
        {"source": "gs://raw/in/a.png", "output_format": "WEBP"},
    )
    (part,) = parts_of(shelf, wanted("gs://raw/day.jsonl", parameters=operator))
    first, second = part.rows
    assert (first.destination, first.outcome, first.parameters) == ("gs://print/x/special.png", "done", bought)
    assert (first.extra, first.own, first.generation) == ({"sku": 7}, own, source.generation)
    assert (second.destination, second.outcome) == ("gs://print/out/in/a.webp", None)


def test_a_dead_letter_is_a_source() -> None:
    """Breaks if what failed is not asked for again, or what was never submitted counts as asked for."""
    shelf = Shelf()
    manifest(
        shelf,
        {"source": "gs://raw/a.png", "attempt": 3, "outcome": "failed", "error": {"kind": "provider", "message": "x"}},
        {"source": "gs://raw/b.png", "attempt": 1, "outcome": "failed", "error": {"kind": "lost", "message": "x"}},
        {"source": "gs://raw/c.png", "attempt": 2, "outcome": "not_submitted"},
        {"source": "gs://raw/d.png"},
    )
    (part,) = parts_of(shelf, wanted("gs://raw/day.jsonl"), 9)
    assert [(row.asked, row.attempt) for row in part.rows] == [(True, 3), (True, 1), (False, 2), (False, 0)]


def test_our_own_picture_in_a_list_is_passed_over() -> None:
    """Breaks if a list of all objects of a bucket upscales pictures again."""
    shelf = Shelf()
    shelf.picture("gs://raw/a.jpg", "gs://raw/x.jpg", 1)
    (part,) = parts_of(shelf, wanted(["gs://raw/a.jpg"]))
    assert (part.rows, part.passed_over) == ((), {"upscaled": 1})
    (part,) = parts_of(shelf, wanted(["gs://raw/a.jpg"], allow_upscaled_sources=True))
    assert len(part.rows) == 1


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"source": "s3://raw/a.png"}, "Copy the object"),
        ({"source": UUID}, "has no name to call the picture by"),
        ({"source": "gs://raw/a.png", "destination": "gs://print/x/"}, "is a prefix"),
        ({"source": "gs://raw/a.png", "destination": "gs://print/x.png"}, "ends in .png"),
        ({"source": "gs://raw/a.png", "destination": "gs://raw/a.png"}, "ends in .png"),
        ({"source": "gs://raw/a.jpg", "destination": "gs://raw/a.jpg"}, "is the source itself"),
        ({"source": "gs://raw/a.png", "output_quality": 5}, "output_quality must be"),
        ({"source": "gs://raw/a.png", "settings": {"strenght": 1}}, "no field 'strenght'"),
        ({"v": 2, "source": "gs://raw/a.png"}, "version 2"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_given_away(row: dict[str, Any], why: str) -> None:
    """Breaks if a mistake in line 9,000 is found after 8,999 purchases."""
    shelf = Shelf()
    manifest(shelf, *[{"source": f"gs://raw/{number}.png"} for number in range(20)], row)
    with pytest.raises((ClarityInputError, ClarityValidationError), match=rf"(?s)Line 21 of gs://raw/day.jsonl.*{why}"):
        next(plan(shelf, wanted("gs://raw/day.jsonl"), Begin(size=2)))  # type: ignore[arg-type]
    assert shelf.stats == [GsUri("raw", "day.jsonl")], "no image was looked at"


def test_two_rows_with_one_final_name_are_named() -> None:
    """Breaks if the second of two purchases lands on the first one's picture."""
    shelf = Shelf()
    manifest(shelf, {"source": "gs://raw/a.png"}, {"source": "gs://raw/b.png"},
             {"source": "https://x.example/c.png", "destination": "gs://print/out/a.jpg"})  # fmt: skip
    with pytest.raises(ClarityPlanError, match=r"line 1 of .*\(gs://raw/a.png\) and line 3 of .* gs://print/out/a.jpg"):
        next(plan(shelf, wanted("gs://raw/day.jsonl")))  # type: ignore[arg-type]
    same = wanted(["gs://raw/a.png", "gs://raw/a.jpg", "gs://raw/a.png"], pattern="{path}{stem}-{generation}.{ext}")
    with pytest.raises(ClarityPlanError, match=r"entry 0 of .* and entry 2 of"):
        next(plan(shelf, same))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.sampled_from("abcdefghij"), max_size=10, unique=True),
    blank=st.integers(0, 10),
    size=st.integers(1, 4),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_a_manifest_goes_on_where_it_was_left(rows: list[str], blank: int, size: int, newline: str) -> None:
    """Breaks if a killed planner leaves a row out, plans it twice, or gives it another number."""
    shelf = Shelf()
    lines = [json.dumps({"source": f"gs://raw/{name}.png", "sku": "ü" * ord(name)}) for name in rows]
    lines.insert(min(blank, len(lines)), "")
    shelf.put(GsUri("raw", "day.jsonl"), "\ufeff".encode() + newline.join(lines).encode())
    what = wanted("gs://raw/day.jsonl")
    parts = parts_of(shelf, what, size)
    assert [row.source for row in rows_of(parts)] == [f"gs://raw/{name}.png" for name in rows]
    for part in parts[:-1]:
        assert list(plan(shelf, what, Begin.after_part(part), limits=SMALL)) == parts[part.number + 1 :]  # type: ignore[arg-type]


def test_a_manifest_that_is_missing_or_was_replaced_is_an_error() -> None:
    """Breaks if half of a run is planned from one manifest and the rest from another."""
    shelf = Shelf()
    what = wanted("gs://raw/day.jsonl")
    with pytest.raises(ClarityInputError, match="does not exist"):
        parts_of(shelf, what)
    manifest(shelf, {"source": "gs://raw/a.png"}, {"source": "gs://raw/b.png"})
    first = next(plan(shelf, what, Begin(size=1)))  # type: ignore[arg-type]
    manifest(shelf, {"source": "gs://raw/a.png"})
    with pytest.raises(ClarityInputError, match="was replaced or deleted"):
        list(plan(shelf, what, Begin.after_part(first)))  # type: ignore[arg-type]


def test_the_operators_parameters_are_shared_by_the_rows() -> None:
    """Breaks if a million rows hold a million copies of the same parameters."""
    shelf = Shelf()
    shelf.put(GsUri("raw", "in/a.png"))
    (part,) = parts_of(shelf, wanted())
    assert part.rows[0].parameters is PARAMETERS
