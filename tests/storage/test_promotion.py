"""Whether a verified picture may take its final name."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.storage.delivery import (
    AlreadyDone,
    IfExists,
    Promote,
    Superseded,
    Undeliverable,
    decide_promotion,
)
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.store import StoredObject
from airflow_provider_clarity.storage.uris import GsUri

MINE = Provenance("key", "identity", None, "gs://raw/cat.png", source_generation=5, run_key="run")
RULES: tuple[IfExists, ...] = get_args(IfExists)


def there(theirs: Provenance | None) -> StoredObject:
    metadata = theirs.to_metadata() if theirs else {"made-by": "hand"}
    return StoredObject(GsUri("print", "cat.jpg"), generation=77, size=1, metadata=metadata)


OTHER = replace(MINE, identity="other", content_key="other")


@pytest.mark.parametrize("rule", RULES)
def test_a_free_name_is_taken_only_while_it_is_free(rule: IfExists) -> None:
    """Breaks if two runners can both believe they were first."""
    assert decide_promotion(None, MINE, rule) == Promote(0)


@pytest.mark.parametrize("rule", RULES)
def test_the_same_identity_is_done(rule: IfExists) -> None:
    """Breaks if our own lost first sending looks like a stranger's object."""
    assert decide_promotion(there(replace(MINE, source_generation=4)), MINE, rule) == AlreadyDone()


@pytest.mark.parametrize("rule", RULES)
def test_a_newer_source_wins_and_an_older_gives_way(rule: IfExists) -> None:
    """Breaks if a slow run puts yesterday's picture over today's."""
    assert decide_promotion(there(replace(OTHER, source_generation=6)), MINE, rule) == Superseded()
    assert decide_promotion(there(replace(OTHER, source_generation=4)), MINE, rule) == Promote(77)


@pytest.mark.parametrize("before", [5, None])
def test_other_parameters_replace_only_where_the_user_said_so(before: int | None) -> None:
    """Breaks if ``skip`` destroys a picture made with other settings, or ``update`` keeps it."""
    theirs = there(replace(OTHER, source_generation=before))
    assert decide_promotion(theirs, MINE, "overwrite") == Promote(77)
    assert decide_promotion(theirs, MINE, "update") == Promote(77)
    assert isinstance(decide_promotion(theirs, MINE, "skip"), Undeliverable)
    assert isinstance(decide_promotion(theirs, MINE, "fail"), Undeliverable)


@pytest.mark.parametrize("theirs", [None, replace(OTHER, source="gs://raw/dog.png", source_generation=4)])
def test_what_is_not_ours_is_replaced_only_by_overwrite_and_only_as_it_was_seen(theirs: Provenance | None) -> None:
    """Breaks if an object that somebody wrote while the service worked is destroyed."""
    for rule in ("skip", "update", "fail"):
        for seen in (None, 0, 77):
            assert isinstance(decide_promotion(there(theirs), MINE, rule, seen=seen), Undeliverable)
    assert decide_promotion(there(theirs), MINE, "overwrite") == Promote(77)
    assert decide_promotion(there(theirs), MINE, "overwrite", seen=77) == Promote(77)
    assert isinstance(decide_promotion(there(theirs), MINE, "overwrite", seen=0), Undeliverable)
    assert isinstance(decide_promotion(there(theirs), MINE, "overwrite", seen=76), Undeliverable)


def test_another_source_with_the_same_identity_is_not_ours() -> None:
    """Breaks if copied metadata makes a stranger's picture pass as done."""
    assert isinstance(decide_promotion(there(replace(MINE, source="gs://raw/dog.png")), MINE, "skip"), Undeliverable)


def test_the_reason_names_what_is_there() -> None:
    """Breaks if a person cannot tell from the log why a paid picture was not delivered."""
    decision = decide_promotion(there(replace(OTHER, source="gs://raw/dog.png")), MINE, "skip")
    assert isinstance(decision, Undeliverable)
    assert "gs://print/cat.jpg" in decision.reason
    assert "gs://raw/dog.png" in decision.reason


@given(
    st.none()
    | st.builds(
        Provenance,
        st.sampled_from(["key", "other"]),
        st.sampled_from(["identity", "other"]),
        st.none(),
        st.sampled_from(["gs://raw/cat.png", "gs://raw/dog.png"]),
        st.none() | st.integers(1, 9),
    ),
    st.none() | st.integers(1, 9),
    st.sampled_from(RULES),
    st.none() | st.sampled_from([0, 76, 77]),
)
def test_whatever_is_there_is_replaced_as_it_was_read_or_not_at_all(
    theirs: Provenance | None, generation: int | None, rule: IfExists, seen: int | None
) -> None:
    """Breaks if any case replaces a newer picture, one of a stranger unasked, or a generation nobody looked at."""
    decision = decide_promotion(there(theirs), replace(MINE, source_generation=generation), rule, seen=seen)
    ours = theirs is not None and theirs.source == MINE.source
    if isinstance(decision, Promote):
        assert decision.if_generation_match == 77
        assert ours or rule == "overwrite"
        if ours and theirs is not None:
            assert theirs.identity != MINE.identity
            assert not (generation and theirs.source_generation and theirs.source_generation > generation)
    elif isinstance(decision, AlreadyDone | Superseded):
        assert ours
