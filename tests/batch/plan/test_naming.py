"""What pictures are called."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.exceptions import ClarityValidationError

ORDERED = [
    "{path}{stem}.{ext}",
    "{path}{stem}@2x.{ext}",
    "{bucket}/{path}{stem}.{ext}",
    "big-{path}{stem}-{generation}.{ext}",
    "{path}{stem}{ext}.{ext}",
    "{path}{stem} {{x}}.{ext}",
]
UNORDERED = [
    "{stem}.{ext}",
    "{path}x-{stem}.{ext}",
    "{path}{{{stem}.{ext}",
    "{stem}/{path}.{ext}",
    "{path}{stem}{generation}.{ext}",
    "{path}{stem}-1{generation}.{ext}",
    "{generation}/{path}{stem}.{ext}",
    "{ext}/{path}{stem}.{ext}",
    "{path}{stem}-{stem}.{ext}",
    "{path}{stem}-{generation}-{generation}.{ext}",
]


def name(pattern: str, key: str, generation: int | None = 7) -> str:
    path, _, stem = key.rpartition("/")
    folder = f"{path}/" if "/" in key else ""
    return NamePattern(pattern).name(bucket="raw", path=folder, stem=stem, ext="jpg", generation=generation)


def test_the_default_keeps_folder_and_stem() -> None:
    """Breaks if pictures of two folders land in one, or keep the source's extension."""
    assert name("{path}{stem}.{ext}", "a/b/c.tar") == "a/b/c.tar.jpg"
    assert name("{bucket}-{path}{stem}-{generation}.{ext}", "a") == "raw-a-7.jpg"
    assert name("{stem}-{generation}.{ext}", "a", None) == "a-0.jpg"
    assert name("{stem}{{}}.{ext}", "a") == "a{}.jpg"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{path}{name}.{ext}", r"has the field \{name\}; there are bucket, path, stem, ext, generation"),
        ("{path}{stem!r}.{ext}", "has the field"),
        ("{path}{stem:>9}.{ext}", "has the field"),
        ("{path}{stem.title}.{ext}", "has the field"),
        ("{path}{}.{ext}", "has the field"),
        ("{path}{stem.{ext}", "cannot be read|has the field"),
        ("{path}.{ext}", "has no {stem}"),
        ("", "has no {stem}"),
        ("/{path}{stem}.{ext}", "empty folder"),
        ("{stem}//x.{ext}", "empty folder"),
        ("{stem}\n.{ext}", "line break"),
    ],
)
def test_a_pattern_that_cannot_name_pictures_is_refused(pattern: str, why: str) -> None:
    """Breaks if a typing error is found after the first purchase."""
    with pytest.raises(ClarityValidationError, match=why):
        NamePattern(pattern)


def test_a_name_ends_as_its_picture_does() -> None:
    """Breaks if PNGs are called .jpg."""
    NamePattern("{path}{stem}.jpeg").check("JPG")
    NamePattern("{path}{stem}.{ext}").check("WEBP")
    for pattern in ("{path}{stem}.jpg", "{path}{stem}", "{path}{stem}{ext}", "{path}{stem}.{ext}.bak"):
        with pytest.raises(ClarityValidationError, match="will be PNG"):
            NamePattern(pattern).check("PNG")


def test_which_patterns_keep_order() -> None:
    """Breaks if a merge of listings, which is exact for these only, is used for others."""
    assert [pattern for pattern in ORDERED + UNORDERED if NamePattern(pattern).keeps_order] == ORDERED
    with pytest.raises(ValueError, match="does not keep order"):
        NamePattern("{stem}.{ext}").head("raw")


def test_which_patterns_need_the_generation() -> None:
    """Breaks if a source is not looked at although its name depends on it."""
    assert NamePattern("{stem}-{generation}.{ext}").names_generation
    assert not NamePattern().names_generation


keys = st.text(alphabet="a1-./\x00é", min_size=1, max_size=6).filter(lambda key: key.rpartition("/")[2])


@settings(deadline=None)
@given(pattern=st.sampled_from(ORDERED), key=keys, generation=st.integers(1, 99))
def test_an_ordered_name_is_head_key_tail(pattern: str, key: str, generation: int) -> None:
    """Breaks if the merge looks for a name that nobody gives."""
    one = NamePattern(pattern)
    tail = one.tail(bucket="raw", ext="jpg", generation=generation)
    assert name(pattern, key, generation) == one.head("raw") + key + tail
    assert tail.startswith(one.tail_begins(bucket="raw", ext="jpg"))


@settings(deadline=None)
@given(pattern=st.sampled_from(ORDERED), one=keys, other=keys, first=st.integers(1, 99), second=st.integers(1, 99))
def test_ordered_names_are_the_same_only_for_the_same_key(
    pattern: str, one: str, other: str, first: int, second: int
) -> None:
    """Breaks if two sources can share a final name that the search for collisions does not see."""
    if name(pattern, one, first) == name(pattern, other, second):
        assert one == other
