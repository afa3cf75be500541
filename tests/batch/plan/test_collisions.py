"""Two sources with one final name are always found, in whatever order they come."""

from __future__ import annotations

from collections import Counter

import pytest
from adversary import PATTERNS, final, key_of, names
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.collisions import (
    Collision,
    NameHashes,
    OpenNames,
    Suspects,
    collisions_error,
    may_come_again,
)


def naive(finals: list[str]) -> set[str]:
    return {name for name, times in Counter(finals).items() if times > 1}


@settings(max_examples=400, deadline=None)
@given(sources=st.sets(names, max_size=30), pattern=st.sampled_from(PATTERNS))
def test_a_streamed_listing_shows_every_collision(sources: set[str], pattern: str) -> None:
    """Breaks if two sources are paid and the later picture lands on the earlier one."""
    ordered, open_names = sorted(sources), OpenNames()
    found = [open_names.take(name, key_of(name), final(pattern, name), name) for name in ordered]
    collisions = [one for one in found if one is not None]
    assert {one.final for one in collisions} == naive([final(pattern, name) for name in ordered])
    for one in collisions:
        assert final(pattern, one.first) == final(pattern, one.second) == one.final
        assert one.first != one.second


@settings(deadline=None)
@given(sources=st.sets(names, min_size=2, max_size=20))
def test_a_key_that_was_closed_never_comes_again(sources: set[str]) -> None:
    """Breaks if what is kept of the names before is too little."""
    ordered = sorted(sources)
    for place, name in enumerate(ordered):
        for later in ordered[place:]:
            for key in (key_of(earlier) for earlier in ordered[: place + 1]):
                assert key_of(later) != key or later in ordered[: place + 1] or may_come_again(key, name)


def test_a_key_that_begins_others_stays_open_and_nothing_else_does() -> None:
    """Breaks if memory grows with the listing."""
    open_names = OpenNames()
    for name in ("a", *(f"a-{number:05}.png" for number in range(2000))):
        assert open_names.take(name, key_of(name), f"{key_of(name)}.jpg", name) is None
    assert open_names.keys == ("a", "a-01999")
    apart = open_names.copy()
    apart.close("b")
    assert (apart.keys, open_names.keys) == ((), ("a", "a-01999"))
    assert open_names.take("a.png", "a", "a.jpg", "a.png") == Collision("a.jpg", "a", "a.png")


def test_of_several_open_keys_any_may_collide() -> None:
    """Breaks if only the last name is compared."""
    open_names = OpenNames()
    assert open_names.take("a", "a", "a.jpg", "a") is None
    assert open_names.take("a.", "a.", "a..jpg", "a.") is None
    assert open_names.take("a.!x", "a", "a.jpg", "a.!x") == Collision("a.jpg", "a", "a.!x")


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=12))
def test_hashes_find_what_is_noted_twice(finals: list[str]) -> None:
    """Breaks if a list in any order hides two rows with one destination."""
    hashes = NameHashes()
    for name in finals:
        hashes.add(name)
    assert len(hashes) == len(finals)
    suspects = Suspects(hashes.suspects())
    found = [suspects.take(name, f"source {place}") for place, name in enumerate(finals)]
    assert {one.final for one in found if one is not None} == naive(finals)
    assert all(one is None or one.first != one.second for one in found)


def test_a_suspect_that_is_another_name_is_no_collision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks if two names with the same 8 bytes stop a run for nothing."""
    monkeypatch.setattr("airflow_provider_clarity.batch.plan.collisions._hash", lambda _: 1)
    hashes = NameHashes()
    hashes.add("a")
    hashes.add("b")
    suspects = Suspects(hashes.suspects())
    assert [suspects.take("a", "1"), suspects.take("b", "2")] == [None, None]


def test_the_error_names_the_first_few_and_counts_the_rest() -> None:
    """Breaks if a thousand collisions make a log of a thousand lines, or none is named."""
    many = [Collision(f"f{number}", f"a{number}", f"b{number}") for number in range(7)]
    message = str(collisions_error(many, more=3))
    assert "a0 and b0 would both be f0; " in message
    assert "a5" not in message
    assert "and 5 more" in message
    assert "more" not in str(collisions_error(many[:1]))
