"""What a person reads: progress, table, page, failures."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

from demo_pictures import delivery, photograph

from airflow_provider_clarity.demo.airflow_api import AirflowTask
from airflow_provider_clarity.demo.failure import DemoError, last_lines
from airflow_provider_clarity.demo.page import page
from airflow_provider_clarity.demo.progress import Progress
from airflow_provider_clarity.demo.screen import Screen
from airflow_provider_clarity.demo.table import table

A, B = photograph("a.png", 512, 512, "by Ada; CC0"), photograph("long name.jpg", 1000, 872)


class Reader(HTMLParser):
    """Collects what a page loads, and its tags that need an end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        for _, value in attrs:
            self.loads += re.findall(r"url\('([^']*)'\)", value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tasks(*states: str | None, tries: int = 1) -> list[AirflowTask]:
    first = AirflowTask("images", -1, "success", 1, None)
    return [first, *(AirflowTask("upscale", index, state, tries, None) for index, state in enumerate(states))]


def test_each_event_of_an_image_is_told_once() -> None:
    """Five looks a second must not be five lines a second."""
    progress = Progress(["a.png", "b.png"], "upscale")
    assert progress.news(tasks(None, None), []) == []
    assert progress.news(tasks("running", "running"), ["a.png", "foreign.png"]) == ["submitted   1 of 2  a.png"]
    assert progress.news(tasks("deferred", "deferred"), ["a.png", "b.png"]) == [
        "submitted   2 of 2  b.png",
        "deferred    2 of 2  a.png, b.png",
    ]
    assert progress.news(tasks("deferred", "deferred"), ["a.png", "b.png"]) == []
    assert progress.news(tasks("success", "failed"), ["a.png", "b.png"]) == [
        "delivered   1 of 2  a.png",
        "failed      1 of 2  b.png",
    ]


def test_a_second_try_is_told_with_what_it_costs() -> None:
    """Who sees a retry of a paid service thinks of money first."""
    progress = Progress(["a.png"], "upscale")
    (sentence,) = progress.news(tasks("running", tries=2), [])
    assert "tried again" in sentence
    assert "costs nothing more" in sentence
    assert progress.told("tried again") == {"a.png"}


def test_a_task_that_is_not_expanded_yet_is_no_image() -> None:
    """Airflow reports it with the map index -1."""
    assert Progress(["a.png"], "upscale").news([AirflowTask("upscale", -1, "success", 1, None)], []) == []


def test_the_table_is_aligned_and_names_what_was_not_delivered() -> None:
    """Numbers to the right, one under the other."""
    assert table([A, B], [delivery(A)]).splitlines() == [
        "image              before        after  where it is          cost  seconds",
        "-------------  ----------  -----------  ----------------  -------  -------",
        "a.png           512 x 512  1024 x 1024  gs://print/a.jpg  $0.0013     18.2",
        "long name.jpg  1000 x 872            -  not delivered           -        -",
    ]


def test_a_cost_that_nobody_stated_is_not_nothing() -> None:
    """Zero would be a statement."""
    assert "not stated" in table([A], [delivery(A, cost=None)])


def test_the_page_loads_the_pictures_and_nothing_from_elsewhere() -> None:
    """It is opened from a folder, maybe without a network; a name with a space is still found."""
    reader = Reader(page([A, B], [delivery(A), delivery(B)], 2))
    assert reader.open == []
    assert set(reader.loads) == {"a.png", "a-2x.jpg", "long%20name.jpg", "long%20name-2x.jpg"}


def test_the_page_says_what_is_shown_and_what_is_not() -> None:
    """Lanczos is not Clarity; a page that hides it would promise what the demo cannot show."""
    html = page([A, B], [delivery(A)], 2)
    for part in (
        "Lanczos",
        "gs://print/a.jpg",
        "1024 x 1024",
        "$0.0013",
        "18.2 s",
        "by Ada; CC0",
        "1 of 2 photographs",
    ):
        assert part in html
    assert "long name.jpg (1000 x 872) was not delivered." in html


def test_a_name_cannot_write_into_the_page() -> None:
    """File names come from a folder of somebody."""
    odd = photograph("""<b>'"&.png""")
    html = page([odd], [delivery(odd)], 1)
    assert "<b>" not in html
    assert set(Reader(html).loads) == {"%3Cb%3E%27%22%26.png", "%3Cb%3E%27%22%26-2x.jpg"}


def test_a_failure_shows_no_secret() -> None:
    """Logs hold URLs, and theirs are presigned."""
    url = "http://127.0.0.1:1/print/a.jpg?X-Goog-Signature=abc"
    assert "abc" not in str(DemoError(f"Broken at {url}", 1))
    assert "abc" not in last_lines(f"PUT {url}")


def test_only_the_end_of_a_log_is_shown() -> None:
    """The cause is at its end; hundreds of lines would hide it."""
    shown = last_lines("\n".join(f"line {number}\n" for number in range(100))).splitlines()
    assert (len(shown), shown[-1]) == (25, "    line 99")


def test_lines_are_written_at_once() -> None:
    """Through a pipe, too, a person wants to see that something happens."""
    out = io.StringIO()
    screen = Screen(out)
    screen.say("Stopping")
    screen.show("a table")
    assert re.fullmatch(r"   0 s  Stopping\n\na table\n", out.getvalue())
