"""The page of a backfill: the bill and a sheet of pictures a day; it loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from airflow_provider_clarity.demo.backfill.bill import Line, total
from airflow_provider_clarity.demo.backfill.bill_table import HEAD, cells

_TEMPLATE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
_BAR = HEAD.index("|")


def page(all_days: Sequence[Line], story: Sequence[str], sheets: Sequence[str], complaints: Sequence[str]) -> str:
    """Lay out the page.

    :param all_days: a line a day
    :param story: what happened, a sentence each
    :param sheets: the files with the pictures, one a day
    :param complaints: what is not as promised, a sentence each
    :return: HTML
    """
    whole = total(all_days)
    days = zip(all_days, sheets, strict=True)
    return _TEMPLATE.substitute(
        title=f"{len(all_days)} days, {whole.delivered + whole.recovered} pictures, {whole.bought} purchases",
        story="\n".join(f"<li>{escape(one)}</li>" for one in story),
        complaints="".join(f'<p class="wrong">{escape(one)}</p>\n' for one in complaints),
        left=_BAR,
        right=len(HEAD) - _BAR - 1,
        head=_row(HEAD, "th"),
        rows="\n".join(_row(cells(line), "td") for line in all_days),
        total=_row(cells(whole), "td"),
        sheets="\n".join(_sheet(line, name) for line, name in days),
    )


def _row(texts: Sequence[str], tag: str) -> str:
    marked = [
        f"<{tag}{' class=service' if column == _BAR + 1 else ''}>{escape(text)}</{tag}>"
        for column, text in enumerate(texts)
        if column != _BAR
    ]
    return f"<tr>{''.join(marked)}</tr>"


def _sheet(line: Line, name: str) -> str:
    day, url = escape(line.day), quote(name)
    came = f"{line.delivered + line.recovered} of {line.planned} pictures, gs://print/catalog/{day}/"
    return f"""\
<figure>
<figcaption><h2>{day}</h2>{came}</figcaption>
<a href="{url}"><img src="{url}" alt="the pictures of {day}"></a>
</figure>"""
