"""The order of checks, and what depends on what; and the picture that is upscaled."""

from __future__ import annotations

import io

from PIL import Image

from airflow_provider_clarity.check.picture import make_png, read_picture
from airflow_provider_clarity.check.runner import Check, NotNeededError, run_checks
from airflow_provider_clarity.exceptions import ClarityAuthError


def good() -> str:
    return "good"


def bad() -> str:
    raise ClarityAuthError("Grant a role.")


def broken() -> str:
    raise ZeroDivisionError("by zero")


def needless() -> str:
    raise NotNeededError("nobody asked")


def statuses(*checks: Check) -> dict[str, str]:
    return {result.name: result.status for result in run_checks(checks)}


def test_a_check_whose_precondition_failed_is_skipped_with_the_reason() -> None:
    """And so is what needs it in turn; what needs neither is tried."""
    found = list(
        run_checks(
            [Check("a", bad), Check("b", good, needs=("a",)), Check("c", good, needs=("b",)), Check("d", good)],
        )
    )
    assert [one.status for one in found] == ["FAIL", "skip", "skip", "ok"]
    assert found[0].text == "Grant a role."
    assert "'a', which failed" in found[1].text
    assert "'b', which was skipped" in found[2].text


def test_a_broken_check_ends_no_other() -> None:
    """A mistake in one check must not hide what the others find."""
    assert statuses(Check("a", broken), Check("b", good)) == {"a": "FAIL", "b": "ok"}


def test_what_costs_money_is_not_done_after_any_failure() -> None:
    """Also if it does not need what failed; a skipped check is no failure."""
    paid = Check("paid", good, only_without_failure=True)
    assert statuses(Check("a", bad), paid)["paid"] == "skip"
    assert statuses(Check("a", needless), paid)["paid"] == "ok"


def test_the_picture_made_here_is_one() -> None:
    """Another program reads it, and our own header reader agrees."""
    with Image.open(io.BytesIO(make_png())) as picture:
        picture.load()
        assert picture.size == read_picture(None).header.pixels == (256, 192)
