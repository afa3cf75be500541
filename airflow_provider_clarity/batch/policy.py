"""What the user asked for, as pure decisions: what an occupied name means, and what a later try of a round may do.

Invariants: nothing that is not ours is replaced unless the user said ``overwrite``; an ended round buys nothing; only
what a person did opens the next one: a clear, which raises ``max_tries``, or a deletion of the DAG run, which comes
back under its old id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_clarity.batch.record import Attempt, RunEnd

IfExists = Literal["skip", "update", "overwrite", "fail"]
OnLost = Literal["fail", "buy_again"]
Verdict = Literal["buy", "done", "stale", "foreign", "error"]


@dataclass(frozen=True, slots=True)
class Occupant:
    """What lies at the final name.

    :param content_key: from its metadata; None where it is not ours, or ours from another source
    :param run_key: whose purchase it was
    """

    content_key: str | None = None
    run_key: str | None = None


def judge_destination(occupant: Occupant | None, *, content_key: str, if_exists: IfExists, run_key: str) -> Verdict:
    """Read the table of ``if_exists`` (docs/design.md) for one image.

    :param occupant: what lies at the final name; None where nothing does
    :return: buy it; done; left as stale; left as foreign; an error before anything is paid
    """
    if occupant is None:
        return "buy"
    if occupant.content_key is None:
        return _FOREIGN[if_exists]
    if occupant.content_key != content_key:
        return _OTHER[if_exists]
    return "done" if occupant.run_key == run_key else _SAME[if_exists]


_FOREIGN: dict[IfExists, Verdict] = {"skip": "foreign", "update": "foreign", "overwrite": "buy", "fail": "error"}
_SAME: dict[IfExists, Verdict] = {"skip": "done", "update": "done", "overwrite": "buy", "fail": "error"}
_OTHER: dict[IfExists, Verdict] = {"skip": "stale", "update": "buy", "overwrite": "buy", "fail": "error"}


@dataclass(frozen=True, slots=True)
class Round:
    """Which round this try belongs to.

    :param number: from 0
    :param repeats: the end to repeat, where the round is over and nobody asked for another
    :param unasked: whether no clear opened it: the DAG run came back under its old id
    """

    number: int
    repeats: RunEnd | None = None
    unasked: bool = False


def round_of(end: RunEnd | None, max_tries: int, run_started: float | None = None) -> Round:
    """Decide whether this try goes on, repeats what is settled, or opens the next round.

    :param end: how the last round of this run key ended, if it did
    :param max_tries: Airflow's ``ti.max_tries`` now; only a clear raises it
    :param run_started: when Airflow began the DAG run. A retry finds the same; another is another run of that id
    """
    if end is None:
        return Round(0)
    same_run = None in (run_started, end.run_started) or run_started == end.run_started
    if max_tries > end.max_tries or not same_run:
        return Round(end.round + 1, unasked=max_tries <= end.max_tries)
    return Round(end.round, end)


def may_buy_again(
    attempt: Attempt,
    *,
    run_key: str,
    round_number: int,
    in_round: int,
    max_attempts: int,
    on_lost: OnLost,
    followed: bool = False,
    asked: bool = False,
    unasked: bool = False,
) -> bool:
    """Decide whether another purchase may follow an attempt that has an outcome, whose picture cannot be had any more.

    What may have been paid for nothing (lost, or never landed) is bought again only when a person asked.

    :param attempt: the last one
    :param in_round: purchases that this round has made or followed
    :param followed: whether this try was there when it ended: then its end is this round's, whoever bought it
    :param asked: whether a person gave it as the row of a dead letter, which asks like a clear
    :param unasked: whether no clear opened this round: it is to what may have been paid like another run
    """
    if in_round >= max_attempts:
        return False
    ours_now = followed or (attempt.run_key, attempt.round) == (run_key, round_number)
    cleared = ((round_number > 0 and not unasked) or asked) and not ours_now
    if attempt.outcome == "lost":
        return on_lost == "buy_again" or cleared
    if attempt.outcome == "failed" and attempt.failure is not None and attempt.failure.kind == "delivery":
        return cleared
    if attempt.outcome == "failed" and ours_now:
        return attempt.failure is not None and attempt.failure.retryable
    return True
