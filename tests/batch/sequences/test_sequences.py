"""The whole backfill engine over sequences of all that can happen, in virtual time; see docs/design.md, "Sequences".

``CLARITY_SEQUENCES`` says how many; ``.ci/run sequences`` plays 10,000 and says what they came to.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings
from sequence_checks import breaches, named
from sequence_stories import stories
from sequence_story import Story
from sequence_world import play

WANTED = os.environ.get("CLARITY_SEQUENCES")
EACH = 200
PARTS = max(1, int(WANTED or 400) // EACH)


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """What is counted; told at the end where a number of sequences was asked for."""
    counted: Counter[str] = Counter()
    began = time.process_time()
    yield counted
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if WANTED and capture is not None:
        counted["s of CPU"] = round(time.process_time() - began)
        with capture.global_and_fixture_disabled():
            print("", *(f"{number:8} {name}" for name, number in sorted(counted.items())), sep="\n")  # noqa: T201


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_paid_twice_or_lost_whatever_happens(part: int, figures: Counter[str]) -> None:
    """Breaks if any order of crashes, faults, zombies, clears and forgetting costs a picture or buys one twice."""

    @seed(part)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(stories())
    def hold(story: Story) -> None:
        world = play(story)
        figures.update(
            {f"billed twice, case {case}": number for case, number in named(world).items()},
            sequences=1,
            processes=len(world.processes),
            purchases=len(world.service.purchases),
        )
        assert breaches(world) == []

    hold()
