"""Pages that come while others are worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from airflow_provider_clarity.batch.plan.ahead import read_ahead


def test_pages_come_in_order_and_one_ahead() -> None:
    """Breaks if a row is lost or doubled, or if more than a page is held."""
    asked: list[int] = []

    def pages() -> Iterator[list[int]]:
        for number in range(5):
            asked.append(number)
            yield [2 * number, 2 * number + 1]

    rows = read_ahead(pages())
    seen = []
    for row in rows:
        seen.append(row)
        assert len(asked) <= row // 2 + 2
    assert seen == list(range(10))


def test_an_error_comes_where_its_page_would_have_come() -> None:
    """Breaks if what was listed before is thrown away, or if the end of a listing is taken for all of it."""

    def pages() -> Iterator[list[int]]:
        yield [1, 2]
        raise ValueError("no more")

    rows = read_ahead(pages())
    assert [next(rows), next(rows)] == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        next(rows)


def test_who_stops_reading_waits_for_nobody() -> None:
    """Breaks if closing joins a thread: the garbage collector may do it in a thread that starts, and wait for ever."""
    go_on = threading.Event()

    def pages() -> Iterator[list[int]]:
        yield [1]
        assert go_on.wait(60)
        yield [2]

    rows = read_ahead(pages())
    assert next(rows) == 1
    closed = threading.Thread(target=rows.close)  # type: ignore[attr-defined]
    closed.start()
    closed.join(30)
    waits = closed.is_alive()
    go_on.set()
    closed.join()
    assert not waits
