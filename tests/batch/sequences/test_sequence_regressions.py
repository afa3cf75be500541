"""Sequences that once broke a promise, shrunk: each names what was wrong."""

from __future__ import annotations

import pytest
from sequence_checks import breaches
from sequence_process import Fault
from sequence_service import Asked, Fate, Post, Switches
from sequence_story import Pass, Rest, Stop, Story, Strange, Try
from sequence_world import play

ONCE = {
    "a paid picture that never landed, its cost unsaid, was counted as having cost nothing": Story(
        (Try("today"),), images=1, fates=(Fate(upload="never", cost="missing", url="never"),)
    ),
    "an image that failed waited for ever for a purchase that the budget does not allow": Story(
        (Try("today"),),
        images=1,
        cap=2600,
        switches=Switches(bill_failed="stated"),
        fates=(Fate(ends="providerError"),),
    ),
    "an image whose only POST was refused waited for ever for a budget that was spent": Story(
        (Try("today"),), cap=2600, posts=(Post(), Post("refused"), Post("refused"), Post("refused"))
    ),
    "two runs that sent one UUID at the same time both counted its cost": Story(
        (Try("today"), Try("tomorrow")), images=1, posts=(Post("never"),)
    ),
    "a picture that was fetched was dropped where another run had bought one of its own for the name": Story(
        (Try("fresh"), Pass(0.5), Try("today")), images=1, via="worker"
    ),
    "a run that was stopped before it had a plan took itself for complete, and called that a defect": Story(
        (Try("today"), Pass(0.24), Stop("today")), seed=2
    ),
    "a runner that died between a claim in the task record and its intent left a purchase in nobody's sum": Story(
        (Try("today", (Fault("create", 5, "die_after"),)), Rest(), Try("today")),
        images=1,
        fates=(Fate(ends="providerError"),),
    ),
    "what a runner claimed that was taken over before it stored the intent was in nobody's sum, if it failed": Story(
        (Try("today"), Pass(3.03), Try("today")),
        switches=Switches(bill_failed="stated"),
        fates=(Fate(takes=0.2, ends="timeoutProvider"), Fate(), Fate(ends="providerError")),
        looks=(Asked("silent"),),
        seed=2,
    ),
    "what one run was told had failed, and another bought, was in nobody's sum": Story(
        (Try("today"), Strange(0), Try("mapped"), Try("fresh"), Strange(1)),
        images=3,
        switches=Switches(price=4000),
        cap=9000,
        fates=(Fate(ends="timeoutProvider"), Fate(takes=0.2), Fate(ends="timeoutProvider")),
        posts=(Post("mixed"), Post("overloaded"), Post("never")),
        looks=(Asked("silent"),),
        seed=17,
    ),
    "one run's POST of a task failed, another's was taken, and its picture, paid and cut, was in nobody's sum": Story(
        (Try("today"), Try("tomorrow"), Try("today")),
        switches=Switches(url_with_upload=False),
        fates=(Fate(), Fate(upload="cut", cost="missing")),
        posts=(Post("failed"),),
    ),
    "the same of a picture that was never uploaded": Story(
        (Try("tomorrow"), Try("today")),
        images=3,
        switches=Switches(url_with_upload=False, slots=1),
        fates=(Fate(takes=12.0), Fate(), Fate(upload="never", cost="missing")),
        posts=(Post(), Post(), Post("failed")),
    ),
}


@pytest.mark.parametrize("story", ONCE.values(), ids=ONCE)
def test_what_was_mended_stays_mended(story: Story) -> None:
    """Breaks if an old defect comes back."""
    assert breaches(play(story)) == []
