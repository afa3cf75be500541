"""What an object of a workspace is to us, and whether it may be deleted. Pure.

Invariants, each a property in the tests: nothing may go but the staging of an attempt that is settled, whose final name
carries the picture, of an image that no ledger has open; and a ledger whose round is over, of which nothing was
written for 90 days. What is unsettled, lost, kept or not known stays.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from airflow_provider_clarity.batch.journal.closing import Summary
from airflow_provider_clarity.batch.leftovers import to_sweep
from airflow_provider_clarity.batch.record import TaskRecord
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import StoredObject

LEDGERS_ARE_KEPT: Final = 90 * 24 * 3600.0
"""Seconds after the last write to the ledger of a round that is over."""

Staged = Literal["settled", "in flight", "lost", "needed", "unknown"]
"""``needed``: its attempt is over, but the picture is not at its final name, so this may be the last of its kind."""


def judge_staging(
    found: StoredObject, record: TaskRecord | None, final: Provenance | None, open_: Collection[str]
) -> Staged:
    """Say what an object in staging is.

    :param record: the task record that its name leads to; None where there is none
    :param final: what the final object's metadata proves, read after the listing; None where there is none
    :param open_: identities that a ledger has open
    """
    identity, n = identity_and_attempt(found.uri.name)
    attempt = None
    if record is not None and record.identity == identity:
        attempt = next((one for one in record.attempts if one.n == n and one.staging == str(found.uri)), None)
    if identity in open_:
        return "in flight"
    if record is None or attempt is None:
        return "unknown"
    if attempt.outcome is None:
        return "in flight"
    if attempt.outcome == "lost":
        return "lost"
    return "settled" if to_sweep(record, (found,), final) else "needed"


def identity_and_attempt(name: str) -> tuple[str, int]:
    """Read the identity and the number of the attempt off a name in staging; ("", 0) where it is none of ours."""
    stem = name.rpartition("/")[2].partition(".")[0]
    identity, _, n = stem.rpartition("-")
    return (identity, int(n)) if identity and n.isascii() and n.isdigit() else ("", 0)


def ledger_may_go(summary: Summary | None, *, in_flight: int, written_at: float, now: float) -> bool:
    """Say whether the ledger of a round may be deleted.

    :param summary: how the round ended; None where it is not over, or that cannot be read
    :param in_flight: attempts that it had in flight at its last segment
    :param written_at: when the newest of its objects was written, epoch seconds
    :param now: epoch seconds
    """
    if summary is None or in_flight:
        return False
    return now - max(written_at, summary.ended_at) > LEDGERS_ARE_KEPT
