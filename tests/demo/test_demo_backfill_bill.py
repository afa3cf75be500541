"""The bill of a backfill: whatever is not as it should be shows."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from backfill_bill import DAYS, EACH, PRICE, bill, told

from airflow_provider_clarity.demo.backfill.account import account_of, since
from airflow_provider_clarity.demo.backfill.bill import disagreements, lines, total
from airflow_provider_clarity.demo.backfill.bill_table import bill_table
from airflow_provider_clarity.demo.backfill.faults import FAULTS, unfired
from airflow_provider_clarity.demo.backfill.kill import Kill
from airflow_provider_clarity.demo.backfill.page import page
from airflow_provider_clarity.demo.backfill.promises import not_for_nothing, not_killed, story

KILL = Kill(DAYS[0], 7, 12, tries=2)
AGAIN: dict[str, Any] = {"delivered": 0, "recovered": 0, "done": 2, "cost_usd": 0.0}


def wrong(accounts: dict[str, Any] | None = None, **other: Any) -> list[str]:
    accounts = accounts or told()
    return disagreements(bill(accounts, **other), account_of(accounts, DAYS, EACH), EACH)


def test_a_bill_on_which_both_sides_agree_has_nothing_wrong() -> None:
    """The base line of the tests below."""
    assert wrong() == []


@pytest.mark.parametrize(
    ("accounts", "says"),
    [
        (told(twice="catalog/2026-01-01/01.png"), "catalog/2026-01-01/01.png was bought 2 times."),
        (told(without="catalog/2026-01-02/02.png"), "catalog/2026-01-02/02.png was bought 0 times."),
        (told(foreign="catalog/2026-01-07/01.png"), "catalog/2026-01-07/01.png was bought, and is none of ours."),
    ],
)
def test_anything_but_one_purchase_a_picture_is_noticed(accounts: dict[str, Any], says: str) -> None:
    """Twice, not at all, or of something that nobody asked for; the money shows it, too."""
    found = wrong(accounts)
    assert says in found
    assert any("billed" in sentence for sentence in found)


def test_one_uuid_that_was_accepted_twice_is_two_purchases() -> None:
    """The service counts an acceptance; a count of UUIDs would hide the second."""
    accounts = told()
    accounts["purchases"]["u-catalog/2026-01-01/01.png"]["count"] = 2
    assert wrong(accounts) == ["catalog/2026-01-01/01.png was bought 2 times."]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"cost_usd": 0.0}, "the task paid 0.0000 $, the service billed 0.0026 $"),
        ({"planned": 1}, "1 were planned instead of 2"),
        ({"delivered": 0, "failed": {"provider": 1}}, "1 of 2 were delivered, 1 failed"),
        ({"delivered": 0, "not_submitted": {"budget": 1}}, "1 of 2 were delivered, 1 failed"),
        ({"delivered": 0, "done": 1}, "1 of 2 were delivered, 0 failed"),
    ],
)
def test_what_a_task_says_is_compared(other: dict[str, Any], says: str) -> None:
    """A day that is not whole, or that pays another sum than was billed."""
    (sentence,) = wrong(**other)
    assert sentence.startswith(DAYS[0])
    assert says in sentence


def test_a_task_without_a_result_is_a_day_without_pictures() -> None:
    """It must not be passed over."""
    account = account_of(told(), DAYS, EACH)
    found = disagreements(lines({DAYS[0]: None, DAYS[1]: None}, dict.fromkeys(DAYS, 4), account), account, EACH)
    assert sum("0 were planned" in sentence for sentence in found) == 2


def test_the_table_has_both_sides_and_their_sum() -> None:
    """Numbers to the right, one under the other."""
    assert bill_table(bill()).splitlines() == [
        "day         planned  delivered  recovered  done  failed     cost  tries  |  sold   billed",
        "----------  -------  ---------  ---------  ----  ------  -------  -----  -  ----  -------",
        "2026-01-01        2          1          1     0       0  $0.0026      2  |     2  $0.0026",
        "2026-01-02        2          1          1     0       0  $0.0026      1  |     2  $0.0026",
        "sum               4          2          2     0       0  $0.0052      3  |     4  $0.0052",
    ]


def test_what_is_at_work_is_in_flight() -> None:
    """By it a worker is chosen to be killed."""
    accounts = told()
    accounts["purchases"]["u-catalog/2026-01-01/02.png"]["status"] = "processing"
    days = account_of(accounts, DAYS, EACH).days
    assert (days[DAYS[0]].in_flight, days[DAYS[1]].in_flight) == (1, 0)


def test_a_second_backfill_that_finds_all_done_cost_nothing() -> None:
    """What was sold before is not its own."""
    first = account_of(told(), DAYS, EACH)
    meanwhile = since(first, first)
    again = lines(dict.fromkeys(DAYS, AGAIN | {"planned": 2}), dict.fromkeys(DAYS, 1), meanwhile)
    assert (total(again).done, total(again).bought, total(again).billed_usd) == (4, 0, 0)
    assert not_for_nothing(again, meanwhile, EACH) == []


def test_a_second_backfill_that_submits_or_pays_is_noticed() -> None:
    """By the service's accounts, or by its own."""
    first = account_of(told(), DAYS, EACH)
    meanwhile = since(first, account_of(told(twice="catalog/2026-01-01/01.png"), DAYS, EACH))
    assert (meanwhile.submits, meanwhile.days[DAYS[0]].bought) == (1, 1)
    found = not_for_nothing(bill(), meanwhile, EACH)
    assert found[0] == f"{DAYS[0]}: the second backfill found 0 of 2 done, and paid $0.0026."
    assert found[-1] == f"The second backfill submitted 1 tasks and cost ${PRICE:.4f}."


def test_a_kill_that_did_not_happen_or_did_not_matter_is_noticed() -> None:
    """Without it the demo would show less than it says."""
    assert not_killed(KILL, {DAYS[0]: 3}) == []
    assert "No worker was killed" in not_killed(None, {DAYS[0]: 1})[0]
    assert "did not need another try" in not_killed(KILL, {DAYS[0]: 2})[0]


def test_a_fault_that_did_not_happen_is_noticed() -> None:
    """A refused upload that was not refused proves nothing."""
    once = [1] * len(FAULTS)
    assert unfired(once) == []
    (sentence,) = unfired([*once[:-1], 0])
    assert "reset_after" in sentence


def test_only_what_happened_is_told() -> None:
    """A story of no lost replies and no refused uploads would be noise on a page that says what broke."""
    first = account_of(told(), DAYS, EACH)
    whole = " ".join(story(bill(), KILL, 1, since(first, first)))
    assert "1 reply to a submit was lost" in whole
    assert "2 uploads were refused" in whole
    plain = " ".join(story(bill()[:0], None, 0, since(first, first)))
    assert "No worker was killed." in plain
    assert "lost" not in plain
    assert "refused" not in plain


class Reader(HTMLParser):
    """Collects what a page loads, and its tags that need an end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.loads |= {value or "" for name, value in attrs if name in ("src", "href")}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_has_the_bill_and_the_sheets_and_loads_nothing_from_elsewhere() -> None:
    """It is opened from a folder, maybe without a network."""
    first = account_of(told(), DAYS, EACH)
    html = page(bill(), story(bill(), KILL, 1, since(first, first)), ["a.jpg", "b.jpg"], ["<b> was bought 2 times."])
    reader = Reader(html)
    assert (reader.open, reader.loads) == ([], {"a.jpg", "b.jpg"})
    assert "2 days, 4 pictures, 4 purchases" in html
    assert "with 12 purchases in flight" in html
    assert "once more: 0 submits, $0.0000" in html
    assert "Lanczos" in html
    assert html.count("$0.0052") == 3
    assert "&lt;b&gt; was bought 2 times." in html
