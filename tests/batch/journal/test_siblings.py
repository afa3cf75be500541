"""What a budget key has spent over all its ledgers: to the micro-dollar, by one header each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_fakes import MemoryStore, Ticking, end, intent
from journal_runs import UNTIMED, attempts

from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.siblings import heads_under, sibling_totals
from airflow_provider_clarity.batch.journal.totals import Totals, totals_of
from airflow_provider_clarity.exceptions import ClarityLostError
from airflow_provider_clarity.storage.uris import GsUri

WORKSPACE = GsUri("print", "_clarity/")
PLACE = "dag/run%2F1/task/-1"


def ledger(store: MemoryStore, name: str, place: str = PLACE) -> Journal:
    clock = Ticking()
    journal = Journal(store, WORKSPACE.child(f"runs/{place}/{name}/"), name, clock=clock, monotonic=clock)
    journal.open()
    return journal


@UNTIMED
@given(st.data())
def test_the_sum_is_that_of_all_attempts_in_all_ledgers(data: Any) -> None:
    """Ended or open, in whichever round: what any of them bought counts against the cap."""
    store, expected = MemoryStore(), Totals()
    for name in ("0a1b2c3d/0", "0a1b2c3d/1", "ffffffff/0"):
        journal = ledger(store, name)
        for position in range(data.draw(st.integers(0, 3))):
            one = data.draw(attempts(position))
            journal.append([intent(position, one)])
            totals = totals_of([one])
            if data.draw(st.booleans()):
                journal.append([end(position)])
                totals = totals.closed()
            expected += totals
    store.create(WORKSPACE.child(f"runs/{PLACE}/0a1b2c3d/0/segments/notes.txt"), b"", if_generation_match=0)
    store.create(WORKSPACE.child(f"runs/{PLACE}/0a1b2c3d/image.json"), b"{}", if_generation_match=0)
    ledger(store, "0a1b2c3d/0", "dag/run%2F1/task/-11").append([intent(9)])
    store.requests.clear()
    assert sibling_totals(store, WORKSPACE, PLACE) == expected
    assert store.requests == ["list", "read", "read", "read"]


def test_ones_own_ledger_is_left_out() -> None:
    """It is counted from memory."""
    store = MemoryStore()
    ours, theirs = ledger(store, "a/0"), ledger(store, "b/0")
    ours.append([intent(1)])
    theirs.append([intent(2), intent(3)])
    assert sibling_totals(store, WORKSPACE, PLACE, besides=ours.root).in_flight == 2
    assert [head.sequence for head in heads_under(store, WORKSPACE.child("runs/"))] == [2, 2]
    assert sibling_totals(MemoryStore(), WORKSPACE, PLACE) == Totals()


def test_a_ledger_that_cannot_be_read_is_an_error() -> None:
    """Who cannot read what was spent spends nothing."""
    store = MemoryStore()
    ledger(store, "a/0")
    store.create(WORKSPACE.child(f"runs/{PLACE}/a/0/segments/00000002.jsonl"), b"?\n", if_generation_match=0)
    with pytest.raises(ClarityLostError, match="00000002"):
        sibling_totals(store, WORKSPACE, PLACE)
