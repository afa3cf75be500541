"""The page of before and after: one file beside the pictures, which loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from airflow_provider_clarity.demo.photographs import Photograph
from airflow_provider_clarity.demo.pictures import FACTOR
from airflow_provider_clarity.demo.table import Delivery, dollars, pixels

PAGE = "index.html"

_TEMPLATE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
_DETAIL = 171
"""Side of a detail on the page; a pixel of the photograph is four wide there, so that each can be seen."""
_ZOOM = 4


def page(photographs: Sequence[Photograph], deliveries: Sequence[Delivery], purchases: int) -> str:
    """Lay out the page.

    :param photographs: all that were asked for
    :param deliveries: those that came, each beside a copy of its photograph
    :param purchases: how many pictures the service sold
    :return: HTML
    """
    by_name = {one.photograph.name: one for one in deliveries}
    articles = [_article(by_name[one.name]) if one.name in by_name else _missing(one) for one in photographs]
    return _TEMPLATE.substitute(
        title=f"{_share(len(deliveries), len(photographs))} photographs, twice as large",
        lead=_lead(len(photographs), deliveries, purchases),
        articles="\n".join(articles),
        footer=_footer(photographs),
    )


def _share(delivered: int, asked: int) -> str:
    return str(asked) if delivered == asked else f"{delivered} of {asked}"


def _lead(asked: int, deliveries: Sequence[Delivery], purchases: int) -> str:
    cost = sum(one.cost_usd or 0 for one in deliveries)
    return (
        f"A real Airflow ran {asked} mapped tasks, one for each photograph. Each picture below was bought once; its "
        "task freed the worker meanwhile, was woken by a trigger and put the picture into the bucket. "
        f"{purchases} purchases, {dollars(cost)} of the emulator's money."
    )


def _article(one: Delivery) -> str:
    before, after = quote(one.photograph.name), quote(one.path.name)
    size = (one.photograph.width, one.photograph.height)
    name = escape(one.photograph.name)
    return f"""\
<article>
<div class="pair" style="aspect-ratio: {size[0]} / {size[1]}">
<img src="{after}" alt="{name}, upscaled" width="{one.size[0]}" height="{one.size[1]}">
<img class="before" src="{before}" alt="{name}, the photograph" width="{size[0]}" height="{size[1]}">
<span class="tag left">before</span><span class="tag right">after</span>
<input type="range" min="0" max="100" value="50" step="0.1" aria-label="how much of {name} is shown as before">
</div>
<section>
<h2>{name}</h2>
<figure class="details">
{_detail(before, size, one.detail, _ZOOM)}
{_detail(after, one.size, one.detail, _ZOOM / FACTOR)}
<figcaption>The same place before and after, every pixel drawn as a square.</figcaption>
</figure>
<dl>
<dt>before</dt><dd><a href="{before}">{pixels(size)}</a> pixels</dd>
<dt>after</dt><dd><a href="{after}">{pixels(one.size)}</a> pixels</dd>
<dt>cost</dt><dd>{dollars(one.cost_usd)}</dd>
<dt>time</dt><dd>{one.seconds:.1f} s</dd>
<dt>bucket</dt><dd>{escape(one.uri)}</dd>
</dl>
</section>
</article>"""


def _detail(url: str, size: tuple[int, int], middle: tuple[float, float], zoom: float) -> str:
    """Draw a square of a picture around a place, each pixel ``zoom`` wide."""
    width, height = size[0] * zoom, size[1] * zoom
    left, top = (
        -min(max(0.0, share * side - _DETAIL / 2), max(0.0, side - _DETAIL))
        for share, side in zip(middle, (width, height), strict=True)
    )
    style = f"background-image: url('{url}'); background-size: {width:g}px {height:g}px; "
    return f'<div style="{escape(style)}background-position: {left:.0f}px {top:.0f}px"></div>'


def _missing(one: Photograph) -> str:
    size = pixels((one.width, one.height))
    return f'<article class="missing"><p>{escape(one.name)} ({size}) was not delivered.</p></article>'


def _footer(photographs: Sequence[Photograph]) -> str:
    rows = [f"<li>{escape(one.name)}: {escape(one.credit)}</li>" for one in photographs if one.credit]
    return "<footer>The photographs:\n<ul>\n" + "\n".join(rows) + "\n</ul></footer>" if rows else ""
