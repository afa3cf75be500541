"""How a run over many images ends for Airflow: green or an error, for good or to be taken up again. Pure.

Invariants: a run in which something is still to be settled is never green and never final; what a retry cannot mend is
not retryable; a run is green only where its failures are tolerated and no image was left out against the user's wish.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

from airflow_provider_clarity.batch import outcome_messages as say
from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.counts import Counts
from airflow_provider_clarity.batch.money import usd
from airflow_provider_clarity.batch.record import Failure
from airflow_provider_clarity.exceptions import ERRORS, ClarityError, ClarityValidationError

OnBudget = Literal["fail", "stop"]
Interrupted = Literal["deadline", "stopped"]

VERSION: Final = 1
LONGEST_RESULT: Final = 2048
"""Bytes of JSON that the operator returns at most: an XCom is a row in Airflow's database."""

_TOLERATED: Final = re.compile(r"(?P<number>[0-9]{1,12}(\.[0-9]{1,6})?) ?(?P<percent>%?)")


@dataclass(frozen=True, slots=True)
class Tolerated:
    """Failures that are no reason to fail: a number of images, or a share of those that there was something to do for.

    :param images: the number; None where a share is meant
    :param percent: the share
    """

    images: int | None = 0
    percent: Fraction = Fraction(0)

    def allows(self, counts: Counts) -> bool:
        """Whether so many failures are tolerated."""
        if self.images is not None:
            return counts.failures <= self.images
        return counts.failures * 100 <= self.percent * counts.due


def parse_tolerated(value: object) -> Tolerated:
    """Read ``tolerated_failures``: a number of images (``0``, ``"3"``) or a share (``"5%"``, ``"0.5%"``).

    :raises ClarityValidationError: it is neither. A fraction is refused, since 0.05 may be meant as 5 % or as no image
    """
    text = value.strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    found = _TOLERATED.fullmatch(text)
    if found and found["percent"] and Fraction(found["number"]) <= 100:  # noqa: PLR2004
        return Tolerated(None, Fraction(found["number"]))
    if found and not found["percent"] and "." not in found["number"]:
        return Tolerated(int(found["number"]))
    raise ClarityValidationError(
        f"tolerated_failures is neither a number of images nor a share: {value!r:.60}. Nothing was sent and nothing "
        'was paid. Write 3 for three images, or "5%" for five in a hundred.'
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the Airflow task ends.

    :param final: whether the round is over, so that a later try repeats this; else the next try goes on
    :param failure: why it fails, and as which error; None where it is green
    :param warnings: what a person should know where it is green
    """

    final: bool
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()


def verdict(
    counts: Counts,
    *,
    tolerated: Tolerated,
    on_budget: OnBudget = "fail",
    halted: Failure | None = None,
    interrupted: Interrupted | None = None,
    budget: Budget | None = None,
    dead_letter: str | None = None,
) -> Verdict:
    """Decide how a run ends.

    :param tolerated: failures that are no reason to fail
    :param on_budget: whether images that the budget left out are one
    :param halted: why it stopped at once: the key was refused, or there is no money
    :param interrupted: the time is over, or somebody stopped it
    :param budget: for the message
    :param dead_letter: where the failed ones are listed, for the message
    :raises ClarityPlanError: the counts do not come out
    """
    counts.checked(whole=halted is None and interrupted is None)
    stopped, unbought = counts.not_submitted.get("stopped", 0), counts.not_submitted.get("budget", 0)
    left = counts.pending + counts.not_submitted.get("deadline", 0) + stopped
    if left and halted is not None:
        return Verdict(final=False, failure=say.halted(counts, halted, left))
    if left:
        return Verdict(
            final=False, failure=say.interrupted(counts, left, asked=interrupted == "stopped" or stopped > 0)
        )
    if not tolerated.allows(counts):
        return Verdict(final=True, failure=say.too_many(counts, dead_letter))
    if unbought and on_budget == "fail":
        return Verdict(final=True, failure=say.over_budget(unbought, budget, dead_letter))
    return Verdict(final=True, warnings=say.warnings(counts, budget, dead_letter))


def error_of(failure: Failure) -> ClarityError:
    """Turn why a run failed into its error, as retryable as the verdict says and not as is usual for its class."""
    error = ERRORS[failure.kind](failure.message, code=failure.code)
    error.retryable = failure.retryable
    return error


def returned(
    counts: Counts,
    *,
    run: str,
    purchases: int,
    spent: int,
    unknown: int,
    seconds: float,
    manifest: str,
    dead_letter: str | None,
) -> dict[str, Any]:
    """Return what the operator returns, 2 KB of JSON at most.

    Where names are so long that it would be more, ``run`` is null (it is the folder of ``manifest``), then what was
    passed over is one number, then ``manifest`` is null (it lies beside the dead letter).

    :param run: URI of the ledger
    :param purchases: what this run bought, as far as the service is known to have accepted it
    :param spent: micro-dollars that are known
    :param unknown: purchases of which nobody knows the cost
    :param seconds: from the first try of the round
    """
    result: dict[str, Any] = {
        "v": VERSION,
        "run": run,
        "planned": counts.planned,
        "delivered": counts.delivered,
        "recovered": counts.recovered,
        "done": counts.done,
        "stale": counts.stale,
        "foreign": counts.foreign,
        "failed": _some(counts.failed),
        "not_submitted": _some(counts.not_submitted),
        "adopted": counts.adopted,
        "passed_over": _some(counts.passed_over),
        "purchases": purchases,
        "cost_usd": usd(spent),
        "cost_unknown": unknown,
        "seconds": round(seconds, 1),
        "manifest": manifest,
        "dead_letter": dead_letter,
    }
    shorter = ({"run": None}, {"passed_over": _in_all(counts.passed_over)}, {"manifest": None})
    for change in shorter:
        if len(json.dumps(result, ensure_ascii=False).encode()) > LONGEST_RESULT:
            result |= change
    return result


def _in_all(counts: Mapping[str, int]) -> dict[str, int]:
    return {"in all": sum(counts.values())} if counts else {}


def _some(counts: Any) -> dict[str, int]:  # noqa: ANN401
    return {name: number for name, number in sorted(counts.items()) if number}
