"""What goes wrong on purpose, besides the worker that is killed: the emulator does it."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_clarity.demo.backfill.days import DAYS, source_name

FAULTS = (
    *({"operation": "upload", "fault": "refuse_403", "match": source_name(day, 2)} for day in DAYS[:2]),
    {"operation": "submit", "fault": "reset_after", "match": source_name(DAYS[0], 7)},
)
"""Of two days the upload of one picture is refused; once the reply to a submit is lost, although it bought. The third
day has none, so that its task comes to the point where only waiting is left, and is deferred."""


def unfired(fired: Sequence[int]) -> list[str]:
    """Find the faults that did not happen: what was to be shown was not.

    :param fired: how often each of :data:`FAULTS` fired
    :return: a sentence each
    """
    return [
        f"The fault {fault['fault']} of {fault['match']} happened {times} times instead of once."
        for fault, times in zip(FAULTS, fired, strict=True)
        if times != 1
    ]
