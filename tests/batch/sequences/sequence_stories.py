"""Sequences as hypothesis makes them; what comes first in each choice is what a shrunk one is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from sequence_process import Fault
from sequence_service import Asked, Fate, Post, Switches
from sequence_story import Clear, Delete, Forget, Kill, Pass, Replace, Rest, Stop, Story, Strange, Try

BACKFILLS = ("today", "today", "tomorrow", "mapped", "fresh", "update", "dead")
RUNS = st.sampled_from(("today", "today", "today", "tomorrow", "one0", "one1", "mapped", "fresh", "update", "dead"))
IMAGES = st.integers(0, 2)
LONG = st.sampled_from((0.5, 2.0, 4.0, 20.0, 70.0, 300.0))

FAULTS = st.builds(
    Fault,
    st.sampled_from(("write", "create", "submit", "any", "rewrite", "delete", "response", "details", "look", "fetch")),
    st.integers(0, 12) | st.integers(0, 60),
    st.sampled_from(
        ("die_before", "die_after", "freeze_before", "freeze_after", "repeat", "fail_after", "fail_before")
    ),
    st.sampled_from((30.0, 6.0, 12.0, 100.0, 700.0)),
)
TRIES = st.builds(
    Try,
    RUNS,
    st.lists(FAULTS, max_size=2).map(tuple),
    st.sampled_from((300.0, 5.0, 30.0)),
    st.booleans(),
)
STEPS = st.one_of(
    TRIES,
    TRIES,
    st.builds(Pass, LONG),
    st.builds(Pass, st.floats(0.05, 8.0).map(lambda seconds: round(seconds, 2))),
    st.just(Rest()),
    st.builds(Clear, RUNS),
    st.builds(Kill, RUNS),
    st.builds(Replace, IMAGES),
    st.builds(Delete, IMAGES),
    st.just(Forget()),
    st.builds(Stop, RUNS),
    st.builds(Strange, IMAGES),
    st.just(Pass(3600.0)),
)
FATES = st.builds(
    Fate,
    st.sampled_from((3.0, 0.2, 12.0, 80.0)),
    st.sampled_from(("success", "success", "success", "providerError", "timeoutProvider", "contentPolicyViolation")),
    st.sampled_from(("ok", "ok", "late", "never", "cut", "small", "refused")),
    st.sampled_from((5.0, 0.5, 15.0, 50.0)),
    st.sampled_from(("stated", "stated", "missing", "archive")),
    st.sampled_from(("ok", "ok", "later", "never")),
)
POSTS = st.builds(
    Post,
    st.sampled_from(("ok", "lost", "never", "late", "mixed", "throttled", "refused", "overloaded", "key", "failed")),
    st.sampled_from((2.0, 8.0, 30.0)),
)
LOOKS = st.builds(Asked, st.sampled_from(("ok", "none", "silent", "processing")))
SWITCHES = st.builds(
    Switches,
    st.sampled_from(("conflict", "conflict", "accept", 20.0)),
    st.sampled_from((None, None, 5.0, 60.0, 0.0)),
    st.sampled_from((None, None, 60.0)),
    st.booleans(),
    st.sampled_from(("no", "stated", "unstated")),
    st.sampled_from((None, None, 1)),
    st.sampled_from((1300, 1300, 4000)),
)


@st.composite
def stories(draw: Any) -> Story:
    """A sequence."""
    steps = draw(st.lists(STEPS, min_size=1, max_size=9))
    story = Story(
        steps=(draw(TRIES), *steps),
        images=draw(st.integers(1, 3)),
        switches=draw(SWITCHES),
        cap=draw(st.none() | st.sampled_from((100_000, 4000, 2600, 9000))),
        via=draw(st.sampled_from(("signed_url", "resumable_session", "worker"))),
        fates=tuple(draw(st.lists(FATES, max_size=5))),
        posts=tuple(draw(st.lists(POSTS, max_size=5))),
        looks=tuple(draw(st.lists(LOOKS, max_size=8))),
        seed=draw(st.integers(0, 20)),
    )
    return replace(story, steps=tuple(story.steps))
