"""Names that make two listings go out of step, for the tests of the plan."""

from __future__ import annotations

from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.merge import floor
from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.storage.gs_uri import split_name
from airflow_provider_clarity.storage.listing import ListedObject

PATTERNS = ["{path}{stem}.{ext}", "{path}{stem}@2x.{ext}", "x-{path}{stem}- {generation}.{ext}", "{path}{stem}!.{ext}"]
ENDINGS = [".jpg", ".png", ".a", ".k.webp", "", ".", ".JPG", ".!x"]
PIECES = ["a", "a", "b", "-", ".", "/", "!", "\x01", "~", "é", "\U0001f600", "a-1", "a.b", ".k", ".l", "img-000"]

names = st.builds(
    lambda pieces, ending: "".join(pieces) + ending,
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    st.sampled_from(ENDINGS),
)


def key_of(name: str) -> str:
    """The name without its extension."""
    suffix = split_name(name)[1]
    return name[: len(name) - len(suffix)]


def final(pattern: str, name: str, generation: int = 7) -> str:
    """The final name, as the pattern says it."""
    folder, slash, _ = name.rpartition("/")
    stem = split_name(name)[0]
    return NamePattern(pattern).name(bucket="raw", path=folder + slash, stem=stem, ext="jpg", generation=generation)


def floor_of(pattern: str, name: str) -> str:
    """The floor of a source."""
    one = NamePattern(pattern)
    return floor(name, one.head("raw"), one.tail_begins(bucket="raw", ext="jpg"))


def row(name: str, generation: int = 1) -> ListedObject:
    """An object as it is listed."""
    return ListedObject(name, generation, 1, "image/jpeg", {})
