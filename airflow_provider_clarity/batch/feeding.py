"""Takes rows from a plan as they are needed, part by part.

Invariants: a row is given once, and only if it is neither over nor open; a part is in the journal before any of its
rows is given; at most one part lies in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.lines import Planned, Spans
from airflow_provider_clarity.batch.plan.model import PlanPart, PlanRow


class Feeder:
    """Gives the rows of a plan that are to be taken up.

    :param journal: what is over, and what is open
    :param parts: the plan from its beginning; each is stored before it is given. Blocks
    """

    def __init__(self, journal: Journal, parts: Iterator[PlanPart]) -> None:
        self._journal = journal
        self._parts = parts
        self._rows: deque[PlanRow] = deque()
        self._reading: asyncio.Task[PlanPart | None] | None = None
        self._complete = False

    @property
    def empty(self) -> bool:
        """Whether the plan is read to its end and every row was given."""
        return self._complete and not self._rows

    @property
    def busy(self) -> bool:
        """Whether rows are on their way."""
        return self._reading is not None and not self._rows

    async def take(self, limit: int, patience: float) -> list[PlanRow]:
        """Give rows that are to be taken up.

        :param limit: how many at most
        :param patience: seconds to wait for a part that is being planned
        :return: fewer where the plan is not ready with more
        :raises ClarityError: it cannot be planned on
        """
        if limit > 0 and not self._rows and not self._complete:
            await self._read(patience)
        return [self._rows.popleft() for _ in range(min(limit, len(self._rows)))]

    async def pass_over(self) -> None:
        """Leave out what is still to be taken up, and read the next part, of which the same is true."""
        self._rows.clear()
        if not self._complete:
            await self._read(None)
            self._rows.clear()
            await asyncio.to_thread(self._journal.append)

    async def _read(self, patience: float | None) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(next, self._parts, None))
        done, _ = await asyncio.wait([self._reading], timeout=patience)
        if not done:
            return
        task, self._reading = self._reading, None
        part = task.result()
        if part is None:
            self._complete = True
            return
        self._know(part)
        self._complete = part.last
        state = self._journal.state
        open_at = {item.position for item in state.open.values()}
        self._rows.extend(
            row for row in part.rows if row.position not in state.ended and row.position not in open_at
        )  # fmt: skip

    def _know(self, part: PlanPart) -> None:
        """Note a part that no runner of this ledger has noted."""
        known = self._journal.state.part
        if known is not None and part.number <= known:
            return
        counts: dict[str, int] = {}
        for row in part.rows:
            if row.outcome is not None:
                counts[row.outcome] = counts.get(row.outcome, 0) + 1
        self._journal.buffer(
            Planned(
                number=part.number,
                first=part.first,
                rows=len(part.rows),
                settled=_spans([row.position for row in part.rows if row.outcome is not None]),
                counts=counts,
                passed_over=dict(part.passed_over),
                last=part.last,
            )
        )


def _spans(positions: list[int]) -> Spans:
    """Return ascending positions as spans, each from its first to the one after its last."""
    spans: list[tuple[int, int]] = []
    for position in positions:
        if spans and spans[-1][1] == position:
            spans[-1] = (spans[-1][0], position + 1)
        else:
            spans.append((position, position + 1))
    return tuple(spans)
