"""The stored parts: one plan whoever plans, the same after a kill, read again by position."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adversary import names
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import PARAMETERS, Shelf, wanted

from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow
from airflow_provider_clarity.batch.plan.parts import Parts, _encode_row, decode_part, encode_part
from airflow_provider_clarity.batch.plan.planner import Begin, plan
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.plan.wanted import Overrides, over
from airflow_provider_clarity.exceptions import ClarityPlanError
from airflow_provider_clarity.storage.store import GenerationConflict
from airflow_provider_clarity.storage.uris import GsUri, HttpsSource, parse_source

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "plan_part_1.jsonl"
ROOT = GsUri("print", "_clarity/runs/x/plan/")
UUID = "52f41967-7b2e-4c2c-9f0c-3d1a9f7c0e11"
SIGNED = "https://cdn.example.com/in/c.png?X-Goog-Signature=s3cret&v="
PIXEL = "data:image/png;base64,AAAA"

texts = st.text(max_size=6)
owns = st.fixed_dictionaries(
    {}, optional={"upscale_factor": st.sampled_from([2, 4.5]), "settings": st.just({"strength": 0.3, "steps": None})}
)


@st.composite
def plan_rows(draw: st.DrawFn, position: int) -> PlanRow:
    own = draw(owns)
    return PlanRow(
        position=position,
        source=draw(texts),
        generation=draw(st.none() | st.integers(0, 2**62)),
        destination=draw(texts),
        parameters=over(PARAMETERS, own),
        outcome=draw(st.sampled_from([None, "done", "stale", "foreign"])),
        asked=draw(st.booleans()),
        attempt=draw(st.integers(0, 5)),
        extra=draw(st.dictionaries(texts, st.integers() | texts, max_size=2)),
        own=own,
        size=draw(st.none() | st.integers(0, 9)),
        line=draw(st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9))),
        hidden=draw(st.booleans()),
    )


@st.composite
def plan_parts(draw: st.DrawFn) -> PlanPart:
    number, rows = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    return PlanPart(
        number,
        tuple(draw(plan_rows(number * 4 + place)) for place in range(rows)),
        draw(texts),
        draw(st.booleans()),
        draw(st.dictionaries(st.sampled_from(["folder", "empty"]), st.integers(1, 9))),
        4,
        draw(st.none() | st.integers(1, 2**62)),
    )


@settings(deadline=None)
@given(plan_parts())
def test_what_is_stored_is_read(part: PlanPart) -> None:
    """Breaks if a row that is read again is bought at another place, or with other parameters."""
    assert decode_part(encode_part(part), Overrides(PARAMETERS), ROOT) == part


@settings(deadline=None)
@given(rows=st.lists(st.text(max_size=8) | st.just("\ud800"), max_size=4), outcome=st.sampled_from([None, "done"]))
def test_the_fast_form_of_a_listed_row_is_the_form(rows: list[str], outcome: Any) -> None:
    """Breaks if a listed row with a strange name is written so that it is read as another."""
    made = tuple(
        PlanRow(
            place, f"gs://raw/{name}", place + 1 if place else None, f"gs://print/{name}", PARAMETERS, outcome, size=3
        )
        for place, name in enumerate(rows)
    )
    part = PlanPart(0, made, "x", True, {}, 5)
    assert decode_part(encode_part(part), Overrides(PARAMETERS), ROOT) == part
    lines = [json.loads(line) for line in encode_part(part).decode().split("\n")[1:-1]]
    assert lines == [json.loads(_encode_row(row)) for row in made]


def test_a_part_of_each_release_loads() -> None:
    """Breaks if a run that an older release began cannot be ended by this one."""
    part = decode_part(FIXTURE.read_bytes(), Overrides(PARAMETERS), ROOT)
    assert (part.number, part.first, part.after, part.last) == (2, 10_000, "in/c.png", True)
    assert (part.passed_over, part.generation) == ({"folder": 1, "not_an_image": 2}, 1700000000000009)
    done, asked, newer = part.rows
    assert (done.position, done.outcome, done.size, done.generation) == (10_000, "done", 4096, 1700000000000001)
    assert (asked.asked, asked.attempt, asked.line, asked.extra) == (True, 2, (120, 64), {"sku": "b-1"})
    assert [row.hidden for row in part.rows] == [False, True, False]
    assert asked.parameters == over(PARAMETERS, {"output_format": "PNG", "settings": {"strength": 0.3}})
    assert (newer.outcome, newer.parameters) == (None, PARAMETERS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('"v":1', '"v":2', 1), "version 2, which a newer release"),
        (lambda text: text.rpartition('{"v":1')[0], "no part of a plan"),
        (lambda text: text.replace('"source"', '"sauce"'), "no part of a plan"),
        (lambda text: text.replace('"after"', '"before"'), "no part of a plan"),
        (lambda text: text.replace('{"v":1,"source"', '{"v"'), "no part of a plan"),
        (lambda _: "", "no part of a plan"),
        (lambda _: "[]\n", "no part of a plan"),
    ],
)
def test_what_cannot_be_read_buys_nothing(change: Any, why: str) -> None:
    """Breaks if half a part, or one of a newer release, is taken for the plan."""
    with pytest.raises(ClarityPlanError, match=why):
        decode_part(change(FIXTURE.read_text()).encode(), Overrides(PARAMETERS), ROOT)


def stocked(number: int, name: str = "in/{:03}.png") -> Shelf:
    shelf = Shelf(page=7)
    for place in range(number):
        shelf.put(GsUri("raw", name.format(place)))
    return shelf


def stored_plan(shelf: Shelf, what: Any = None, size: int | None = 10) -> StoredPlan:
    return StoredPlan(shelf, ROOT, what or wanted(), size=size)  # type: ignore[arg-type]


def parts_in(shelf: Shelf) -> list[str]:
    return [uri.name.removeprefix(ROOT.name) for uri in sorted(shelf.objects) if uri.name.startswith(ROOT.name)]


def test_a_part_is_stored_before_it_is_given_and_planned_only_when_asked_for() -> None:
    """Breaks if something is submitted that no plan knows, or a million names lie in memory."""
    shelf = stocked(25)
    parts = stored_plan(shelf).parts()
    for number in range(3):
        part = next(parts)
        assert part.number == number
        assert parts_in(shelf) == [f"{place:05}.jsonl" for place in range(number + 1)]
    assert next(parts, None) is None
    header = json.loads(shelf.data[ROOT.child("00002.jsonl")].partition(b"\n")[0])
    assert header == {"v": 1, "part": 2, "size": 10, "rows": 5, "after": "in/024.png", "last": True, "passed_over": {}}


@settings(max_examples=60, deadline=None)
@given(sources=st.sets(names, max_size=12), kills=st.lists(st.integers(1, 3), max_size=4), size=st.integers(1, 4))
def test_a_plan_is_the_same_however_often_its_planner_is_killed(sources: set[str], kills: list[int], size: int) -> None:
    """Breaks if a retry numbers rows otherwise, so that what was paid for one is taken for another's."""
    whole, killed = Shelf(), Shelf()
    for shelf in (whole, killed):
        for name in sorted(sources):
            shelf.put(GsUri("raw", f"in/{name}"))
    what = wanted(pattern="{path}{stem}-{generation}.{ext}")
    expected = list(stored_plan(whole, what, size).parts())
    for asked in kills:
        parts = stored_plan(killed, what, size).parts()
        for _ in range(asked):
            next(parts, None)
        parts.close()  # type: ignore[attr-defined]
    assert list(stored_plan(killed, what, size).parts()) == expected
    assert list(stored_plan(killed, what, size).stored()) == expected


def test_a_faster_runners_parts_are_taken_and_planned_on() -> None:
    """Breaks if two runners that overlap have two plans, and one row stands for two images."""
    shelf = stocked(35)
    slow = stored_plan(shelf, size=10).parts()
    first = next(slow)
    shelf.put(GsUri("raw", "in/0105.png"))  # comes while two of them plan
    fast = stored_plan(shelf, size=10)
    other = list(fast.parts())
    assert other[0] == first
    assert [row.source for row in other[1].rows][:2] == ["gs://raw/in/010.png", "gs://raw/in/0105.png"]
    assert [first, *slow] == other
    assert len(parts_in(shelf)) == 4


def test_after_anothers_part_one_plans_on_from_where_that_ends() -> None:
    """Breaks if a runner goes on from its own part that was not taken: an image is left out or planned twice."""
    shelf = stocked(35)
    slow = stored_plan(shelf, size=10).parts()
    first = next(slow)
    shelf.put(GsUri("raw", "in/0105.png"))
    fast = stored_plan(shelf, size=10).parts()
    assert next(fast) == first
    taken = next(fast)
    rest = list(slow)
    assert rest[0] == taken
    names = [row.source.rpartition("/")[2] for part in [first, *rest] for row in part.rows]
    assert names == sorted([f"{place:03}.png" for place in range(35)] + ["0105.png"])


def test_a_reply_that_was_lost_is_ones_own_part() -> None:
    """Breaks if a part whose upload was repeated by the library ends the run."""
    shelf = stocked(5)
    (part,) = list(plan(shelf, wanted(), Begin(size=10)))  # type: ignore[arg-type]
    parts = Parts(shelf, ROOT, PARAMETERS)  # type: ignore[arg-type]
    shelf.put(ROOT.child("00000.jsonl"), encode_part(part))
    assert parts.keep(part) == part


def test_rows_are_read_again_by_position() -> None:
    """Breaks if a resumed run adopts one image's purchase for another, or reads the whole plan for one row."""
    shelf = stocked(35)
    rows = [row for part in stored_plan(shelf).parts() for row in part.rows]
    before = shelf.reads
    found = stored_plan(shelf).rows([34, 3, 12, 17, 3])
    assert found == {position: rows[position] for position in (3, 12, 17, 34)}
    assert shelf.reads - before == 3, "each part is read once"
    assert stored_plan(shelf).rows([]) == {}
    assert stored_plan(shelf).part(2) == PlanPart(2, tuple(rows[20:30]), "in/029.png", False, {}, 10)
    assert stored_plan(shelf).part(4) is None
    for missing in (35, 40):
        with pytest.raises(ClarityPlanError, match=f"has no row {missing}"):
            stored_plan(shelf).rows([missing])
    with pytest.raises(ClarityPlanError, match="There is no plan"):
        stored_plan(Shelf()).rows([0])


def test_parts_go_on_from_any_number() -> None:
    """Breaks if a resumed run reads all parts again that it has settled long ago."""
    shelf = stocked(35)
    whole = list(stored_plan(shelf).parts())
    assert list(stored_plan(shelf).parts(2)) == whole[2:]
    assert list(stored_plan(shelf).parts(4)) == []
    for number in (2, 3):
        del shelf.objects[ROOT.child(f"{number:05}.jsonl")]
    assert list(stored_plan(shelf).parts(2)) == whole[2:]


def sources_of(made: StoredPlan) -> list[Any]:
    return made.sources([row for part in made.stored() for row in part.rows])


def test_what_is_not_stored_is_read_again_where_it_was_written() -> None:
    """Breaks if the digest of a presigned URL is sent to the service instead of the URL."""
    given = ["gs://raw/a.png", SIGNED + "1", UUID.upper(), PIXEL, "https://x.example/d.png", SIGNED + "2"]
    rows = [{"source": text, "destination": f"gs://print/{place}.jpg"} for place, text in enumerate(given)]
    shelf = Shelf()
    shelf.put(GsUri("raw", "day.jsonl"), "\n".join(map(json.dumps, rows)).encode())
    what = wanted("gs://raw/day.jsonl")
    list(stored_plan(shelf, what, 4).parts())
    for uri, data in shelf.data.items():
        assert uri.bucket == "raw" or (b"s3cret" not in data and b"AAAA" not in data)
    assert sources_of(stored_plan(shelf, what)) == [parse_source(text) for text in given]
    few = [text for text in given if text.startswith("https")]
    named = Shelf()
    what = wanted(few, pattern="{path}{stem}-{generation}.{ext}")
    list(stored_plan(named, what, 4).parts())
    assert sources_of(stored_plan(named, what)) == [HttpsSource(text) for text in few]
    other = wanted([few[0], few[1]], pattern="{path}{stem}-{generation}.{ext}")
    assert sources_of(stored_plan(named, other)) == [HttpsSource(few[0]), HttpsSource(few[1]), None]


def test_a_source_that_can_be_had_no_more_is_none_and_no_error() -> None:
    """Breaks if what is in flight is not adopted any more because the manifest was replaced."""
    shelf = Shelf()
    shelf.put(GsUri("raw", "day.jsonl"), json.dumps({"source": SIGNED}).encode())
    made = stored_plan(shelf, wanted("gs://raw/day.jsonl"))
    list(made.parts())
    assert sources_of(made) == [HttpsSource(SIGNED)]
    shelf.put(GsUri("raw", "day.jsonl"), b"{}")
    assert sources_of(made) == [None]
    del shelf.objects[GsUri("raw", "day.jsonl")]
    assert sources_of(stored_plan(shelf, wanted("gs://raw/day.jsonl"))) == [None]


def test_lines_far_apart_are_not_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if two small rows at both ends of a large manifest bring all of it into memory."""
    monkeypatch.setattr("airflow_provider_clarity.batch.plan.stored._AT_ONCE", 300)
    shelf, lengths = Shelf(), []
    rows = [{"source": f"{SIGNED}{place}", "destination": f"gs://print/{place}.jpg"} for place in range(20)]
    shelf.put(GsUri("raw", "day.jsonl"), "\n".join(map(json.dumps, rows)).encode())
    made = stored_plan(shelf, wanted("gs://raw/day.jsonl"))
    list(made.parts())
    read = shelf.read

    def counted(uri: GsUri, **how: Any) -> Any:
        if uri.name == "day.jsonl":
            lengths.append(how["length"])
        return read(uri, **how)

    monkeypatch.setattr(shelf, "read", counted)
    assert [source.url for source in sources_of(made)] == [row["source"] for row in rows]
    assert len(lengths) > 5
    assert max(lengths) <= 300


def test_a_row_that_cannot_be_had_again_leaves_the_others_alone() -> None:
    """Breaks if one line that was damaged in place keeps all rows of its part from being sent."""
    shelf = Shelf()
    rows = [{"source": SIGNED + str(place), "destination": f"gs://print/{place}.jpg"} for place in range(3)]
    text = "\n".join(map(json.dumps, rows)).encode()
    made = stored_plan(shelf, wanted("gs://raw/day.jsonl"))
    shelf.put(GsUri("raw", "day.jsonl"), text)
    list(made.parts())
    lines = text.split(b"\n")
    for damaged in (b"{" * len(lines[1]), b" " * len(lines[1]), lines[1].replace(b"v=1", b"v=9")):
        shelf.data[GsUri("raw", "day.jsonl")] = b"\n".join([lines[0], damaged, lines[2]])
        assert sources_of(made) == [HttpsSource(SIGNED + "0"), None, HttpsSource(SIGNED + "2")]
    row = next(made.stored()).rows[0]
    assert stored_plan(Shelf(), wanted("gs://raw/day.jsonl")).sources([row]) == [None]
    assert stored_plan(Shelf(), wanted("gs://raw/in/")).sources([row]) == [None]


def test_a_part_that_is_neither_there_nor_can_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if rows are given away whose part is not stored."""
    shelf = stocked(2)

    def conflict(uri: GsUri, *_: Any, **__: Any) -> None:
        raise GenerationConflict(uri)

    monkeypatch.setattr(shelf, "create", conflict)
    with pytest.raises(GenerationConflict):
        next(stored_plan(shelf).parts())


def test_a_plan_that_ends_is_not_planned_again() -> None:
    """Breaks if objects that came since the plan was made are bought under its numbers."""
    shelf = stocked(5)
    first: Iterator[PlanPart] = stored_plan(shelf).parts()
    whole = list(first)
    shelf.put(GsUri("raw", "in/900.png"))
    before = shelf.pages_given
    assert list(stored_plan(shelf).parts()) == whole
    assert shelf.pages_given == before
