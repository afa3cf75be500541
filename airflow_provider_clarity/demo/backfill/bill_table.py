"""The bill, laid out for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_clarity.demo.backfill.bill import Line, total
from airflow_provider_clarity.demo.table import aligned, dollars

HEAD = ("day", "planned", "delivered", "recovered", "done", "failed", "cost", "tries", "|", "sold", "billed")
_TEXT = (0, 8)


def bill_table(all_days: Sequence[Line]) -> str:
    """Lay out a row a day and one for the sum: left of the bar what Airflow's tasks say, right of it the service.

    :param all_days: a line a day
    """
    rows = [HEAD, *map(cells, [*all_days, total(all_days)])]
    return "\n".join(aligned(rows, right=[column for column in range(len(HEAD)) if column not in _TEXT]))


def cells(line: Line) -> tuple[str, ...]:
    """Return the cells of a row, as :data:`HEAD` names them.

    :param line: a day, or the sum
    """
    counts = (line.planned, line.delivered, line.recovered, line.done, line.failed)
    left = (line.day, *map(str, counts), dollars(line.cost_usd), str(line.tries))
    return (*left, "|", str(line.bought), dollars(line.billed_usd))
