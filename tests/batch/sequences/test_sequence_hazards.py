"""Sequences that lead straight to where a purchase could be made twice: rare among those that chance makes."""

from __future__ import annotations

import pytest
from sequence_checks import breaches, named
from sequence_process import Fault
from sequence_service import Asked, Fate, Post, Switches
from sequence_story import Clear, Forget, Pass, Replace, Rest, Story, Strange, Try
from sequence_world import play

FORGETS_UUIDS = Switches("accept")
QUICK = (Fate(takes=0.2),)
HAZARDS = {
    "a POST arrives while its sender is dead and its successor waits": Story(
        (Try("today", (Fault("submit", 0, "die_after"),)), Pass(1.0), Try("today")),
        images=1, switches=FORGETS_UUIDS, via="worker", fates=QUICK, posts=(Post("late", 8.0),),
    ),
    "the service forgets what it has acknowledged": Story(
        (Try("today", (Fault("response", 3, "die_before"),)), Pass(20.0), Forget(), Try("today")),
        images=1, switches=FORGETS_UUIDS, via="worker", fates=(Fate(takes=12.0),),
    ),
    "the same of one image": Story(
        (Try("one0", (Fault("response", 0, "die_before"),)), Pass(5.0), Forget(), Try("one0")),
        images=1, switches=FORGETS_UUIDS, via="worker", fates=QUICK,
    ),
    "storage fails a try that has a POST under way, and the next begins before it arrives": Story(
        (Try("today", (Fault("create", 6, "fail_before"),)), Pass(5.0), Try("today")),
        images=6, switches=FORGETS_UUIDS, via="worker", fates=QUICK * 9, posts=(Post(), Post("late", 8.0)),
    ),
    "a zombie wakes over a claim that has aged": Story(
        (Try("today", (Fault("submit", 0, "freeze_before", 100.0),)), Pass(1.0), Try("today")),
        images=1, switches=FORGETS_UUIDS, fates=QUICK,
    ),
    "a zombie wakes before its claim is answered": Story(
        (Try("one0", (Fault("create", 0, "freeze_after", 100.0),)), Pass(1.0), Try("today")),
        images=1, switches=FORGETS_UUIDS, fates=QUICK,
    ),
    "a stranger takes the name while the picture is made": Story(
        (Try("today"), Pass(2.0), Strange(0)), images=1
    ),
    "a stranger takes the name while the picture is promoted": Story(
        (Try("today", (Fault("rewrite", 0, "freeze_before", 10.0),)), Pass(6.0), Strange(0)), images=1
    ),
    "a newer source is upscaled while the picture of an older one is promoted": Story(
        (Try("update", (Fault("rewrite", 0, "freeze_before", 60.0),)), Pass(6.0), Replace(0), Try("one0")), images=1
    ),
    "one that was lost is not bought by tomorrow's run": Story(
        (Try("today"), Pass(1.0), Rest(), Try("tomorrow")),
        images=1, fates=(Fate(upload="never"),), looks=(Asked("silent"),) * 40,
    ),
    "one that never landed is not bought by tomorrow's run": Story(
        (Try("today"), Rest(), Try("tomorrow")), images=1, fates=(Fate(upload="never", url="never"),)
    ),
    "one that never landed is bought when a person asks, and only then": Story(
        (Try("today"), Rest(), Clear("today"), Try("today")), images=1, fates=(Fate(upload="never", url="never"),)
    ),
    "a clear does not begin a new budget": Story(
        (Try("today"), Rest(), Clear("today"), Try("today")),
        images=1, cap=2000, switches=Switches(bill_failed="stated"), fates=(Fate(ends="providerError"),) * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", HAZARDS.values(), ids=HAZARDS)
def test_a_hazard_ends_well(story: Story) -> None:
    """Breaks if one of these is paid twice, in no case that is known."""
    world = play(story)
    assert breaches(world) == []
    assert not named(world)
