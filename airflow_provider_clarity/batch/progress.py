"""Where the work stands after a step: what is in flight, who may wait for it, and until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from airflow_provider_clarity.batch.tracked import Tracked
from airflow_provider_clarity.batch.waiting import expected_remaining


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the work stands after a step.

    :param in_flight: task UUIDs that were sent and have no outcome
    :param waiting: those of them that only need time, those first that are expected first
    :param look_at: when the next step is due, epoch seconds; None when all is over
    :param useful_at: when something is expected to be done, epoch seconds
    :param sent_at: when the first of those in flight was submitted, epoch seconds
    :param silent_at: when the silence of one of those would be too long, epoch seconds
    :param to_submit: whether a submit may leave before anything is heard of those in flight
    """

    in_flight: tuple[UUID, ...]
    waiting: tuple[UUID, ...]
    look_at: float | None
    useful_at: float
    sent_at: float = 0.0
    silent_at: float = float("inf")
    to_submit: bool = False


def progress_of(waits: Sequence[tuple[Tracked, float]], now: float, *, item_timeout: float) -> Progress:
    """Sum up what waits.

    :param waits: the images that are not over, each with when something can be done for it, epoch seconds
    :param now: epoch seconds
    :param item_timeout: silence after which a task counts as lost, in seconds
    """
    if not waits:
        return Progress((), (), None, now)
    sent = [image for image, _ in waits if image.in_flight]
    known = [image for image in sent if image.only_needs_time]
    known.sort(key=lambda image: image.attempt.last_sent_at or now)
    return Progress(
        in_flight=tuple(image.attempt.task_uuid for image in sent),
        waiting=tuple(image.attempt.task_uuid for image in known),
        look_at=min(until for _, until in waits),
        useful_at=min(_useful_at(image, until, now, item_timeout) for image, until in waits),
        sent_at=min((image.attempt.last_sent_at or now for image in known), default=now),
        to_submit=any(not image.in_flight and until < float("inf") for image, until in waits),
        silent_at=min((_silent_at(image, now, item_timeout) for image in known), default=float("inf")),
    )


def _silent_at(image: Tracked, now: float, item_timeout: float) -> float:
    """Say when to look at an image whatever a trigger sees; one that was seen running may take its time again."""
    at = (image.attempt.last_sent_at or now) + item_timeout
    return at if at > now else now + item_timeout


def _useful_at(image: Tracked, until: float, now: float, item_timeout: float) -> float:
    """Say when an image is of use: one that is worked on when it is done, any other when it can be tried.

    What is sent, but needs more than time, is watched closely; so is what this try took over and did not look up yet,
    which may be done for long; so is a silence that is long enough for *lost*, since this very try has to hear it: who
    left it to a trigger again would begin to listen anew each time, for ever.
    """
    if not image.in_flight:
        return until
    if image.view.response is None and image.view.look_at <= now and not image.unanswered:
        return now
    overdue = image.view.silent_since is not None and now >= (image.attempt.last_sent_at or now) + item_timeout
    if overdue or not image.only_needs_time:
        return now
    return max(until, now + expected_remaining(now - (image.attempt.last_sent_at or now)))
