"""A survey as JSON and as lines for a person. Pure; whatever is shown has passed ``redact``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_clarity.batch.counts import by_number
from airflow_provider_clarity.batch.money import usd
from airflow_provider_clarity.ledger.survey import LedgerSeen, RecordSeen, StagedSeen, Survey
from airflow_provider_clarity.redact import redact

VERSION: Final = 1
_NAMED: Final = 5


def as_json(survey: Survey) -> dict[str, Any]:
    """Return all of it."""
    return {
        "v": VERSION,
        "ledgers": [_ledger(one) for one in survey.ledgers],
        "spent_usd": usd(sum(one.header.totals.spent_microusd for one in survey.ledgers)),
        "staging": [_staged(one) for one in survey.staging],
        "undelivered": [{"uri": str(one.uri), "size": one.size} for one in survey.undelivered],
        "task_records": survey.task_records,
        "attempts": None if survey.records is None else [_record(one) for one in survey.records],
        "problems": [redact(one) for one in survey.problems],
    }


def as_lines(survey: Survey) -> Iterator[str]:
    """Give it line by line."""
    yield f"{len(survey.ledgers)} ledger(s)"
    for one in survey.ledgers:
        yield from _ledger_lines(one)
    spent = usd(sum(one.header.totals.spent_microusd for one in survey.ledgers))
    yield f"spent in these ledgers: ${spent:.4f}"
    counted: Counter[str] = Counter(one.judged for one in survey.staging)
    yield f"staging: {len(survey.staging)} object(s){_brackets(by_number(counted))}"
    for staged in survey.staging:
        if staged.judged != "settled":
            yield f"  {staged.judged:<10} {staged.found.uri}"
    yield f"undelivered: {len(survey.undelivered)} picture(s)"
    for kept in survey.undelivered:
        yield f"  {kept.uri}"
    if survey.records is None:
        yield "task records: not read; --deep reads them, and finds what single images lost or have in flight"
    else:
        yield f"task records: {survey.task_records}; {len(survey.records)} attempt(s) lost, in flight or undelivered"
        for record in survey.records:
            state, known = record.attempt.outcome or "in flight", record.record
            yield f"  {state:<11} {record.attempt.task_uuid}  {redact(known.source)} -> {known.destination}"
    for problem in survey.problems:
        yield f"problem: {redact(problem)}"


def _ledger_lines(seen: LedgerSeen) -> Iterator[str]:
    header, totals = seen.header, seen.header.totals
    unknown = f", {totals.unknown} of unknown cost" if totals.unknown else ""
    state = "ended" if seen.summary is not None else ("released" if header.kind == "released" else "not released")
    yield f"  {seen.root}"
    counts = _colon(by_number(header.counts))
    yield (
        f"    {state}, last written {_time(seen.written_at)}; {header.planned} planned{counts}; "
        f"{totals.in_flight} in flight; {totals.purchases} bought, ${usd(totals.spent_microusd):.4f}{unknown}"
    )
    if seen.dead_letter is not None:
        yield f"    dead letter: {seen.dead_letter}"
    flying = _flying(seen)
    for one in flying[:_NAMED]:
        yield f"    in flight: {one['task_uuid']}  {one['source']}"
    if len(flying) > _NAMED:
        yield f"    and {len(flying) - _NAMED} more"


def _ledger(seen: LedgerSeen) -> dict[str, Any]:
    header, totals = seen.header, seen.header.totals
    return {
        "root": str(seen.root),
        "ended": seen.summary is not None,
        "released": header.kind == "released",
        "written_at": seen.written_at,
        "planned": header.planned,
        "counts": dict(header.counts),
        "lost": header.counts.get("failed.lost", 0),
        "in_flight": totals.in_flight,
        "in_flight_tasks": _flying(seen),
        "purchases": totals.purchases,
        "spent_usd": usd(totals.spent_microusd),
        "cost_unknown": totals.unknown,
        "dead_letter": None if seen.dead_letter is None else str(seen.dead_letter),
    }


def _flying(seen: LedgerSeen) -> list[dict[str, Any]]:
    """Name what was sent and has no outcome."""
    found = []
    for item in seen.state.open.values() if seen.state is not None else ():
        last = item.record.last
        if last is not None and last.outcome is None and last.sent_at is not None:
            known = last.acknowledged_at is not None
            source = redact(item.record.source)
            found.append({"task_uuid": str(last.task_uuid), "source": source, "acknowledged": known})
    return found


def _staged(seen: StagedSeen) -> dict[str, Any]:
    return {"uri": str(seen.found.uri), "size": seen.found.size, "state": seen.judged}


def _record(seen: RecordSeen) -> dict[str, Any]:
    return {
        "record": str(seen.uri),
        "source": redact(seen.record.source),
        "destination": seen.record.destination,
        "attempt": seen.attempt.n,
        "task_uuid": str(seen.attempt.task_uuid),
        "state": seen.attempt.outcome or "in flight",
        "kept": seen.attempt.kept,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _colon(text: str) -> str:
    return f": {text}" if text else ""


def _brackets(text: str) -> str:
    return f" ({text})" if text else ""
