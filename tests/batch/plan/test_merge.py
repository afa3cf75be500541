"""What lies at final names, from listings that are out of step: always what a look at each name would say."""

from __future__ import annotations

from collections.abc import Iterator

from adversary import PATTERNS, final, floor_of, names, row
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clarity.batch.plan.merge import Destination
from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.storage.listing import ListedObject


class Bucket:
    """A destination that counts what it is asked."""

    def __init__(self, there: set[str]) -> None:
        self.there = {name: row(name, number) for number, name in enumerate(sorted(there))}
        self.listed = 0
        self.begun: list[str] = []
        self.asked: list[str] = []

    def listing(self, at: str) -> Iterator[ListedObject]:
        assert not self.begun or self.begun[-1] < at
        self.begun.append(at)
        for name in sorted(self.there):
            if name >= at:
                self.listed += 1
                yield self.there[name]

    def ask(self, name: str) -> ListedObject | None:
        self.asked.append(name)
        return self.there.get(name)


def find_all(bucket: Bucket, pattern: str, sources: list[str], back: int, ahead: int) -> list[ListedObject | None]:
    one = NamePattern(pattern)
    destination = Destination(
        bucket.listing,
        bucket.ask,
        head=one.head("raw"),
        tail_begins=one.tail_begins(bucket="raw", ext="jpg"),
        look_back=back,
        look_ahead=ahead,
    )
    found = [destination.find(final(pattern, name), name) for name in sources]
    assert destination.asked == len(bucket.asked)
    assert len(destination._passed) <= max(back, ahead, 1)
    return found


@settings(max_examples=400, deadline=None)
@given(
    sources=st.sets(names, max_size=25),
    others=st.sets(names, max_size=15),
    done=st.randoms(use_true_random=False),
    pattern=st.sampled_from(PATTERNS),
    back=st.integers(1, 6),
    ahead=st.integers(1, 6),
)
def test_the_merge_says_what_a_look_at_each_name_would(
    sources: set[str], others: set[str], done: object, pattern: str, back: int, ahead: int
) -> None:
    """Breaks if a picture that is there is not seen and bought again, or one that is not there is taken for done."""
    finals = {final(pattern, name) for name in sources}
    bucket = Bucket({name for name in sorted(finals) if done.random() < 0.7} | others)  # type: ignore[attr-defined]
    ordered = sorted(sources)
    expected = [bucket.there.get(final(pattern, name)) for name in ordered]
    assert find_all(bucket, pattern, ordered, back, ahead) == expected


@settings(deadline=None)
@given(sources=st.sets(names, min_size=2, max_size=25), pattern=st.sampled_from(PATTERNS))
def test_no_later_source_has_a_final_name_below_the_floor(sources: set[str], pattern: str) -> None:
    """Breaks if the listing is begun again behind a name that is still to be looked for."""
    ordered = sorted(sources)
    for place, name in enumerate(ordered):
        assert floor_of(pattern, name) <= min(final(pattern, later) for later in ordered[place:])


def test_listings_in_step_need_no_look_at_a_single_name() -> None:
    """Breaks if a million done images cost a million requests."""
    sources = [f"a/{number:05}.png" for number in range(5000)]
    bucket = Bucket({final(PATTERNS[0], name) for name in sources[::2]})
    found = find_all(bucket, PATTERNS[0], sources, 20, 10)
    assert [one is not None for one in found] == [True, False] * 2500
    assert (bucket.asked, len(bucket.begun), bucket.listed) == ([], 1, 2500)


def test_a_key_that_begins_thousands_of_others_costs_one_look() -> None:
    """Breaks if one name without an extension makes every name after it a request of its own."""
    sources = sorted(
        ["img", "img-0", "img-1", *(f"img-{number:05}.png" for number in range(3000)), "img.k", "img.k.png"]
    )
    bucket = Bucket({final(PATTERNS[0], name) for name in sources})
    assert all(find_all(bucket, PATTERNS[0], sources, 200, 100))
    assert len(bucket.asked) <= 5
    assert len(bucket.begun) == 1


def test_names_without_an_extension_that_begin_each_other_cost_one_look_each() -> None:
    """Breaks if the listing runs ahead for each of them, and all that comes between is asked for name by name."""
    nested = ["i" + "-" * number for number in range(60)]
    sources = sorted([*nested, *(f"{nested[-1]}{number:05}.png" for number in range(3000))])
    bucket = Bucket({final(PATTERNS[0], name) for name in sources})
    assert all(find_all(bucket, PATTERNS[0], sources, 200, 100))
    assert len(bucket.asked) <= len(nested)


def test_what_was_passed_and_forgotten_is_asked_for() -> None:
    """Breaks if a picture that is listed long before its source's turn is taken for missing, and bought again."""
    sources = sorted(["a.png", *(f"a.k{number:05}.png" for number in range(1000))])
    assert sources[-1] == "a.png"
    bucket = Bucket({final(PATTERNS[0], name) for name in sources})
    assert all(find_all(bucket, PATTERNS[0], sources, 20, 10))
    assert bucket.asked == ["a.jpg"]


def test_a_few_sources_in_a_large_destination_do_not_list_it_all() -> None:
    """Breaks if ten new images a day cost a listing of all that was ever made."""
    there = {f"{number:06}.jpg" for number in range(20_000)}
    sources = [f"{number:06}.png" for number in range(0, 20_000, 2000)]
    bucket = Bucket(there)
    assert all(find_all(bucket, PATTERNS[0], sources, 200, 100))
    assert bucket.asked == []
    assert bucket.listed < 2000


def test_an_empty_destination_and_no_sources() -> None:
    """Breaks if the first run over a new bucket does not begin."""
    assert find_all(Bucket(set()), PATTERNS[0], ["a.png"], 1, 1) == [None]
    assert find_all(Bucket({"a.jpg"}), PATTERNS[0], [], 1, 1) == []
