"""Identities are the same everywhere and for ever, and differ where the picture differs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.batch.identity import ContentKeys, content_key, identity, task_uuid

BASE: dict[str, Any] = {
    "api_host": "api.runware.ai",
    "source": "gs://raw/cat.png",
    "source_generation": 1700000000000001,
    "destination": "gs://print/cat.jpg",
    "parameters": {"model": "runware:500@1", "upscaleFactor": 2, "outputFormat": "JPG"},
}
KEY = "f6192493a71eab7153a8b0255127285f9df48e6a63e5cdae5524d3ed38ff8d80"
GOLDEN: dict[str, Any] = {
    "content_key": "f6192493a71eab7153a8b0255127285f9df48e6a63e5cdae5524d3ed38ff8d80",
    "identity": "5de0227af43abb7cccdc1cc99ae966b49b4ad5f593a89e3687b64073443d0eee",
    "salted": "624d1cbf0f4d3d018685b5899802e3039d859249a72ec0aa93d8e81a5429f718",
    "task_uuids": [
        "cf7b9726-b6de-4bbd-8959-5dc4314b19cb",
        "8c6792bc-d660-4600-ad61-9655528cf61d",
    ],
}


def test_golden_vectors_never_change() -> None:
    """A change of these makes every finished image look unbought, and buys all of them again."""
    key = content_key(**BASE)
    assert key == GOLDEN["content_key"]
    assert identity(key) == GOLDEN["identity"]
    assert identity(key, "dag/run/task") == GOLDEN["salted"]
    assert [str(task_uuid(identity(key), n)) for n in (1, 2)] == GOLDEN["task_uuids"]


TEXTS = st.text(max_size=20)


@given(TEXTS, TEXTS, TEXTS, st.none() | st.integers(), st.dictionaries(TEXTS, TEXTS | st.floats(0, 9), max_size=3))
def test_the_fast_digest_of_a_backfill_is_the_digest(
    host: str, source: str, destination: str, generation: int | None, parameters: dict[str, Any]
) -> None:
    """Breaks if a backfill takes what one image's run bought for something else, and buys it again."""
    expected = content_key(
        api_host=host, source=source, source_generation=generation, destination=destination, parameters=parameters
    )
    assert ContentKeys(host, parameters).of(source, generation, destination) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"api_host": "127.0.0.1"},
        {"source": "gs://raw/dog.png"},
        {"source_generation": 1700000000000002},
        {"source_generation": None},
        {"destination": "gs://print/cat2.jpg"},
        {"parameters": {"model": "runware:500@1", "upscaleFactor": 2, "outputFormat": "PNG"}},
        {"parameters": {"model": "runware:500@1", "upscaleFactor": 2}},
        {"parameters": {**BASE["parameters"], "settings": {"strength": 0.3}}},
    ],
)
def test_another_picture_is_another_purchase(change: dict[str, Any]) -> None:
    """Else a changed source or parameter would be taken for done."""
    assert content_key(**BASE | change) != content_key(**BASE)


def test_the_order_and_case_of_what_does_not_matter_does_not_matter() -> None:
    """Else a reordered dict, or a host in capitals, would buy the picture again."""
    turned = dict(reversed(BASE["parameters"].items()))
    assert content_key(**BASE | {"parameters": turned, "api_host": "API.Runware.AI"}) == content_key(**BASE)


@given(st.text(), st.text())
def test_identities_are_equal_only_for_equal_key_and_salt(one: str, other: str) -> None:
    """Else two runs that want pictures of their own would share one, or two that share would pay twice."""
    assert (identity(KEY, one) == identity(KEY, other)) == (one == other)


@given(st.text(), st.integers(1, 1000), st.integers(1, 1000))
def test_task_uuids_are_version_four_and_differ_by_attempt(of: str, one: int, other: int) -> None:
    """Else the service would refuse the UUID, or take the second attempt for the first."""
    assert task_uuid(of, one).version == 4
    assert (task_uuid(of, one) == task_uuid(of, other)) == (one == other)


def test_attempts_are_counted_from_one() -> None:
    """Attempt 0 would be a purchase that no record knows."""
    with pytest.raises(ValueError, match="counted from 1"):
        task_uuid(KEY, 0)
