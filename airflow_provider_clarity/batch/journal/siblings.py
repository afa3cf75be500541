"""What a budget key has spent: over all ledgers and rounds of a run key and map index, by their last headers.

Invariant: to the micro-dollar, and never too little: what was in flight when a ledger was last written counts as in
flight until that ledger says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_clarity.batch.journal.lines import Header
from airflow_provider_clarity.batch.journal.segments import Found, read_header
from airflow_provider_clarity.batch.journal.totals import Totals
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

_SEGMENTS = "/segments/"


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """A ledger and the last of its segments.

    :param root: the ledger's folder
    """

    root: GsUri
    sequence: int
    generation: int


def heads_under(store: ObjectStore, prefix: GsUri) -> Iterator[LedgerHead]:
    """Find the ledgers under a prefix, in the order of their names."""
    last: LedgerHead | None = None
    for one in store.list(prefix):
        folder, found, name = one.uri.name.rpartition(_SEGMENTS)
        number = name.removesuffix(".jsonl")
        if not found or not number.isdigit() or len(number) != 8:  # noqa: PLR2004 - as segments are named
            continue
        root = GsUri(one.uri.bucket, f"{folder}/")
        if last is not None and last.root != root:
            yield last
        last = LedgerHead(root, int(number), one.generation)
    if last is not None:
        yield last


def header_of(store: ObjectStore, head: LedgerHead) -> Header:
    """Read the last header of a ledger.

    :raises ClarityLostError: it cannot be read
    """
    return read_header(store, head.root, Found({head.sequence: head.generation}), head.sequence)


def sibling_totals(store: ObjectStore, workspace: GsUri, place: str, *, besides: GsUri | None = None) -> Totals:
    """Sum up what a run key and map index has bought, over all of its ledgers and rounds.

    What is in flight there is in nobody's engine here: for a budget, take ``closed()`` of it.

    :param workspace: the workspace's root
    :param place: run key and map index, as they are in the ledgers' path
    :param besides: a ledger that is left out, such as one's own
    :raises ClarityLostError: a ledger cannot be read: who cannot read what was spent spends nothing
    """
    heads = heads_under(store, workspace.child(f"runs/{place}/"))
    return sum((header_of(store, head).totals for head in heads if head.root != besides), Totals())
