"""Which check comes when, and what is skipped. Knows nothing of what is checked.

Invariants: each check has exactly one result; a check whose precondition did not hold is not run, and says which one;
whatever a check raises is a failure of that check and ends nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from airflow_provider_clarity.exceptions import ClarityError

Status = Literal["ok", "FAIL", "skip"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check.

    :param name: of the check
    :param status: ``skip`` where it was not needed or could not be tried
    :param text: what was tested; on a failure what happened, what is safe, what to change
    """

    name: str
    status: Status
    text: str


class NotNeededError(Exception):
    """Raised by a check that has nothing to do; its text says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to test.

    :param name: one or two words
    :param run: tests it, and gives a sentence on what was tested
    :param needs: checks that must have been ``ok``
    :param only_without_failure: not run once any check has failed, since it costs money
    """

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()
    only_without_failure: bool = False


def run_checks(checks: Iterable[Check]) -> Iterator[Result]:
    """Run the checks in their order, and give each result as soon as it is there.

    :param checks: each after those that it needs
    """
    statuses: dict[str, Status] = {}
    for check in checks:
        reason = _why_not(check, statuses)
        result = _attempt(check) if reason is None else Result(check.name, "skip", reason)
        statuses[check.name] = result.status
        yield result


def _why_not(check: Check, statuses: dict[str, Status]) -> str | None:
    missing = next((name for name in check.needs if statuses.get(name) != "ok"), None)
    if missing is not None:
        return (
            f"not tried: it needs {missing!r}, which {'failed' if statuses.get(missing) == 'FAIL' else 'was skipped'}."
        )
    failed = next((name for name, status in statuses.items() if status == "FAIL"), None)
    if check.only_without_failure and failed is not None:
        return f"not tried, so nothing was paid: {failed!r} failed, and a picture might be lost. Mend that first."
    return None


def _attempt(check: Check) -> Result:
    try:
        return Result(check.name, "ok", check.run())
    except NotNeededError as reason:
        return Result(check.name, "skip", str(reason))
    except ClarityError as error:
        return Result(check.name, "FAIL", error.message)
    except Exception as error:  # noqa: BLE001  # one broken check must not hide the others
        return Result(check.name, "FAIL", f"{type(error).__name__}: {error}")
