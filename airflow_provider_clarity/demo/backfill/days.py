"""Which days there are, and where their pictures lie: as ``demo/dags/daily_catalog.py`` says it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

DAG_ID = "daily_catalog"
TASK_ID = "upscale"
SOURCE, DESTINATION = "raw", "print"
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
EACH = 40
"""Pictures a day."""


def source_name(day: str, number: int) -> str:
    """Return the name of a source in its bucket.

    :param day: one of :data:`DAYS`
    :param number: from 1
    """
    return f"{prefix(day)}{number:02}.png"


def picture_name(day: str, number: int) -> str:
    """Return the name of a delivered picture in its bucket.

    :param day: one of :data:`DAYS`
    :param number: from 1
    """
    return f"{prefix(day)}{number:02}.jpg"


def prefix(day: str) -> str:
    """Return what the names of a day begin with, in both buckets.

    :param day: one of :data:`DAYS`
    """
    return f"catalog/{day}/"


def name_in_url(url: str) -> str:
    """Return the name of a source by the URL that the service was given; the URL itself where it is none of ours.

    :param url: without its query
    """
    bucket, _, name = unquote(urlsplit(url).path).lstrip("/").partition("/")
    return name if bucket == SOURCE else url
