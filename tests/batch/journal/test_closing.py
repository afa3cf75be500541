"""The end of a run: a row for each image, what failed as a source again, and sums that come out or are an error."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fakes import ROOT, MemoryStore, Ticking, end, failure, identity_of, intent
from journal_runs import UNTIMED

from airflow_provider_clarity.batch.journal import closing
from airflow_provider_clarity.batch.journal.closing import (
    Written,
    counts_of,
    read_summary,
    write_interrupted,
    write_rows,
    write_summary,
)
from airflow_provider_clarity.batch.journal.ends import Ends
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.lines import Planned
from airflow_provider_clarity.batch.journal.segments import segment_uri
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.plan.rows import read_rows
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import ClarityFencedError, ClarityLostError, ClarityPlanError
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.store import GenerationConflict
from airflow_provider_clarity.storage.uris import GsUri

PARAMETERS = parameters_from_user(upscale_factor=2)
ENDS = ["delivered", "recovered", "done", "failed", "lost", "unsent", "settled", "none"]


def row(position: int, **changes: Any) -> PlanRow:
    known: dict[str, Any] = {
        "position": position,
        "source": f"gs://raw/{position}.png",
        "generation": 7,
        "destination": f"gs://print/{position}.jpg",
        "parameters": PARAMETERS,
    }
    return PlanRow(**known | changes)


def plan_of(rows: list[PlanRow], *, last: bool = True) -> Planned:
    settled = [one for one in rows if one.outcome is not None]
    return Planned(
        number=0,
        first=0,
        rows=len(rows),
        settled=tuple((one.position, one.position + 1) for one in settled),
        counts=dict(Counter(str(one.outcome) for one in settled)),
        passed_over={"not a picture": 3},
        last=last,
    )


def opened(store: MemoryStore, runner: str = "one") -> Journal:
    clock = Ticking()
    journal = Journal(store, ROOT, runner, clock=clock, monotonic=clock)
    journal.open()
    return journal


def lines(store: MemoryStore, uri: GsUri) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.objects[uri][1].splitlines()]


def ended(position: int, how: str) -> Any:
    if how == "lost":
        return end(position, "failed", failure=failure("lost"), attempt=1, cost_microusd=None)
    if how == "unsent":
        return end(position, "not_submitted", why="budget", cost_microusd=0)
    size = (1024, 768) if how in ("delivered", "recovered") else None
    return end(position, how, failure=failure() if how == "failed" else None, size=size, attempt=1, task_uuid="u")


@UNTIMED
@given(how=st.lists(st.sampled_from(ENDS), max_size=12), order=st.randoms(), cut=st.integers(1, 4))
def test_each_image_has_one_row_in_the_order_of_the_plan(how: list[str], order: Any, cut: int) -> None:
    """And what failed or was not sent is, row by row, a source again."""
    store = MemoryStore()
    journal = opened(store)
    rows = [row(n, outcome="done" if one == "settled" else None) for n, one in enumerate(how)]
    journal.append([plan_of(rows)])
    happened = [ended(n, one) for n, one in enumerate(how) if one not in ("settled", "none")]
    order.shuffle(happened)
    for first in range(0, len(happened), cut):
        journal.append(happened[first : first + cut])
    written = write_rows(store, journal, rows, rest="budget")
    named = {"settled": "done", "lost": "failed", "unsent": "not_submitted", "none": "not_submitted"}
    found = lines(store, written.manifest)
    assert [one["source"] for one in found] == [one.source for one in rows]
    assert [one["outcome"] for one in found] == [named.get(one, one) for one in how]
    dead = [n for n, one in enumerate(how) if one in ("failed", "lost", "unsent", "none")]
    assert (written.dead_letter is not None) == bool(dead)
    if written.dead_letter is not None:
        again = list(read_rows(store.objects[written.dead_letter][1].splitlines()))
        assert [one.source for one in again] == [rows[n].source for n in dead]
        assert [one.asked for one in again] == [how[n] in ("failed", "lost") for n in dead]
        assert all(one.destination == rows[n].destination for one, n in zip(again, dead, strict=True))
    assert (written.counts.planned, written.counts.pending) == (len(how), 0)
    assert written.counts.not_submitted.get("budget", 0) == how.count("none") + how.count("unsent")
    assert written.counts.passed_over == {"not a picture": 3}
    before = dict(store.objects)
    assert write_rows(store, journal, rows, rest="budget") == written
    assert store.objects[written.manifest][1] == before[written.manifest][1]


def test_a_row_says_what_was_asked_what_came_and_what_it_cost() -> None:
    """With the keys of the row that the package does not know."""
    store = MemoryStore()
    journal = opened(store)
    rows = [
        row(0, own={"upscale_factor": 4.0, "settings": {"strength": 0.3}}, extra={"sku": "K-1"}, attempt=2),
        row(1),
        row(2, attempt=3),
    ]
    journal.append([plan_of(rows)])
    secret = Failure(kind="provider", code="x", message="It failed at https://store.example/a?X-Goog-Signature=abc.")
    kept = Failure(kind="delivery", message="It is kept.")
    journal.append(
        [
            end(0, attempt=1, task_uuid="u0", size=(1024, 768), cost_microusd=1300, extra={"shelf": 4}),
            end(1, "failed", failure=secret, attempt=2, cost_microusd=None),
            end(2, "failed", failure=kept, uri="gs://print/_clarity/undelivered/x.jpg", attempt=4),
        ]
    )
    written = write_rows(store, journal, rows)
    one, two, three = lines(store, written.manifest)
    assert one == {
        "v": 1, "source": "gs://raw/0.png", "generation": 7, "destination": "gs://print/0.jpg", "upscale_factor": 4.0,
        "settings": {"strength": 0.3}, "attempt": 2, "outcome": "delivered", "task_uuid": "u0", "cost_usd": 0.0013,
        "width": 1024, "height": 768, "sku": "K-1", "shelf": 4,
    }  # fmt: skip
    assert (two["error"]["kind"], two["error"]["code"], two["attempt"]) == ("provider", "x", 2)
    assert "cost_usd" not in two
    assert "Signature" not in json.dumps(two)
    assert (three["kept"], three["attempt"]) == ("gs://print/_clarity/undelivered/x.jpg", 4)


@pytest.mark.parametrize("wrong", ["a row without an end", "a row more", "a row less", "an open image", "an open plan"])
def test_what_does_not_come_out_is_an_error(wrong: str) -> None:
    """A summary that is short of an image would hide a purchase, or that none was made."""
    store = MemoryStore()
    journal = opened(store)
    rows = [row(0), row(1)]
    journal.append([plan_of(rows, last=wrong != "an open plan"), end(0)])
    if wrong == "an open image":
        journal.append([intent(1)])
    elif wrong != "a row without an end":
        journal.append([end(1)])
    given_rows = {"a row more": [*rows, row(2, outcome="done")], "a row less": rows[:1]}.get(wrong, rows)
    with pytest.raises(ClarityPlanError, match=r"does not come out|are accounted for"):
        write_rows(store, journal, given_rows, rest="budget" if wrong == "an open image" else None)
    assert not [uri for uri in store.objects if uri.name.endswith(("manifest.jsonl", "summary.json"))]


def test_a_segment_that_somebody_deleted_is_missed() -> None:
    """Its ends are paid pictures; a manifest without them must not look whole."""
    store = MemoryStore()
    journal = opened(store)
    journal.append([plan_of([row(0)]), end(0)])
    for _ in range(60):
        journal.append()
    del store.objects[segment_uri(ROOT, 1)], store.objects[segment_uri(ROOT, 2)]
    with pytest.raises(ClarityLostError, match=r"00000001.jsonl.*it is missing"):
        write_rows(store, journal, [row(0)])


def test_a_fenced_runner_closes_nothing() -> None:
    """The one that took over will."""
    store = MemoryStore()
    journal = opened(store)
    journal.append([plan_of([row(0)]), end(0)])
    opened(store, "two")
    for call in (
        lambda: write_rows(store, journal, [row(0)]),
        lambda: write_summary(
            store, journal, Written(ROOT, None, counts_of(journal.state)), now=1.0, max_tries=1, result={}
        ),
        lambda: write_interrupted(store, journal, why="deadline", now=1.0),
    ):
        with pytest.raises(ClarityFencedError):
            call()


def test_a_dead_letter_of_before_goes_when_nothing_is_in_it_any_more() -> None:
    """A person would buy again what is done."""
    store = MemoryStore()
    journal = opened(store)
    journal.append([plan_of([row(0)]), end(0)])
    store.create(ROOT.child("dead_letter.jsonl"), b"{}", if_generation_match=0)
    assert write_rows(store, journal, [row(0)]).dead_letter is None
    assert ROOT.child("dead_letter.jsonl") not in store.objects


def test_a_summary_is_read_back_and_written_again_harmlessly() -> None:
    """A later try repeats what it says."""
    store = MemoryStore()
    journal = opened(store)
    assert read_summary(store, ROOT) is None
    rows = [row(0), row(1)]
    journal.append([plan_of(rows), end(0, adopted=True), end(1, "failed", failure=failure())])
    written = write_rows(store, journal, rows)
    for now in (5.0, 6.0):
        made = write_summary(
            store, journal, written, now=now, max_tries=2, result={"planned": 2}, failure=failure("provider")
        )
        assert read_summary(store, ROOT) == made
    assert (made.max_tries, made.counts, made.adopted) == (2, {"delivered": 1, "failed.provider": 1}, 1)


@pytest.mark.parametrize("content", ['{"v": 2}', '{"v": 1}', "[]"])
def test_a_summary_that_cannot_be_read_is_not_guessed_at(content: str) -> None:
    """Taking it for none would open the round again."""
    store = MemoryStore()
    store.create(ROOT.child("summary.json"), content.encode(), if_generation_match=0)
    with pytest.raises(ClarityLostError, match=r"summary.json.*cannot be read"):
        read_summary(store, ROOT)


def test_the_fixture_of_a_summary_loads() -> None:
    """For ever."""
    from pathlib import Path  # noqa: PLC0415

    store = MemoryStore()
    stored = (Path(__file__).parent.parent / "fixtures" / "journal_1" / "summary.json").read_bytes()
    store.create(ROOT.child("summary.json"), stored, if_generation_match=0)
    summary = read_summary(store, ROOT)
    assert summary is not None
    assert (summary.max_tries, summary.counts["delivered"], summary.totals.spent_microusd) == (3, 2, 2600)
    assert summary.failure is not None
    assert summary.failure.kind == "safety"


def test_an_interrupted_run_says_what_is_in_flight_and_what_is_left() -> None:
    """For the person who wonders whether to clear."""
    store = MemoryStore()
    journal = opened(store)
    journal.append([plan_of([row(0), row(1), row(2)], last=False), intent(1), end(0)])
    write_interrupted(store, journal, why="deadline", now=9.0)
    write_interrupted(store, journal, why="deadline", now=9.0)
    found = json.loads(store.objects[ROOT.child("interrupted.json")][1])
    assert (found["v"], found["why"], found["planned"], found["plan_complete"], found["pending"]) == (
        1,
        "deadline",
        3,
        False,
        2,
    )
    last = journal.state.open[identity_of(1)].record.last
    assert last is not None
    assert (found["in_flight"], found["in_flight_uuids"]) == (1, [str(last.task_uuid)])
    assert found["totals"]["in_flight"] == 1


def test_somebody_who_writes_as_fast_as_we_do_is_left_alone() -> None:
    """Nobody tries for ever."""
    store = MemoryStore(fate=lambda uri: "repeated" if uri.name.endswith(".json") else "ok")
    journal = opened(store)

    def rival(kind: str, uri: GsUri) -> None:
        if kind == "create" and uri.name.endswith(".json"):
            store.generation += 1
            store.objects[uri] = (store.generation, b"{}")

    store.before = rival
    with pytest.raises(GenerationConflict):
        write_interrupted(store, journal, why="deadline", now=9.0)


@UNTIMED
@given(st.lists(st.integers(0, 40), max_size=20), st.integers(0, 50))
def test_ends_are_found_by_position_and_the_first_stays(positions: list[int], asked: int) -> None:
    """In whatever order they happened."""
    with Ends() as ends:
        for n, position in enumerate(positions):
            ends.add(end(position, seconds=float(n)))
        found = ends.at(asked)
        assert (found is not None) == (asked in positions)
        if found is not None:
            assert (found.position, found.seconds) == (asked, float(positions.index(asked)))


def test_outcomes_that_only_the_ledger_knows_are_named() -> None:
    """The names of the files are an interface of users."""
    assert (closing.MANIFEST, closing.DEAD_LETTER, closing.SUMMARY, closing.INTERRUPTED) == (
        "manifest.jsonl", "dead_letter.jsonl", "summary.json", "interrupted.json",
    )  # fmt: skip
