"""The moments at which a process is killed, each held there by the emulator and proven by its accounts and objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matrix_life import Kill, Phase
from matrix_world import Bench

HELD = 7.0
"""Seconds for which a call is held: a kill takes a fraction of one."""
TASKS, STAGING, TRACES, FINAL = "_clarity/tasks/", "_clarity/staging/", "_clarity/runs/", "print/"


@dataclass(frozen=True)
class Moment:
    """One place to die.

    :param arm: makes the process stay there
    :param come: whether it is there
    :param proof: asserts that it was
    :param bought: whether the service had accepted the task by then
    :param noted: whether the record says so by then
    """

    arm: Callable[[Bench], None]
    come: Callable[[Bench], bool]
    proof: Callable[[Bench], None]
    phase: Phase = "worker"
    bought: bool = True
    noted: bool = True

    def kill(self) -> Kill:
        """Make the plan for one image."""
        return Kill(self.phase, self.come, self.proof)


def held(operation: str, fault: str, at: str | None = None) -> Callable[[Bench], None]:
    """Hold one call."""
    return lambda bench: bench.arm(operation, fault, at=at, value=HELD)


def fired(operation: str, fault: str) -> Callable[[Bench], bool]:
    """Tell whether a call is held."""
    return lambda bench: bench.fired(operation, fault) > 0


def nothing(bench: Bench) -> None:
    """Leave everything as it is."""


def after(first: Callable[[Bench], bool], operation: str, fault: str, at: str) -> Callable[[Bench], bool]:
    """Hold a call as soon as something has happened; tell whether it is held."""

    def come(bench: Bench) -> bool:
        if not any(armed["fault"] == fault and armed["operation"] == operation for armed in bench.armed):
            if first(bench):
                bench.arm(operation, fault, at=at, value=HELD)
            return False
        return bench.fired(operation, fault) > 0

    return come


def unclaimed(bench: Bench) -> None:
    assert not bench.names("_clarity/")
    assert not bench.bought


def claimed(bench: Bench) -> None:
    assert bench.last()["sent_at"] is not None
    assert not bench.bought


def unheard(bench: Bench) -> None:
    """Bought, and the record does not know."""
    assert bench.bought
    assert bench.last()["acknowledged_at"] is None


def heard(bench: Bench) -> None:
    """Bought, and the record knows."""
    assert bench.bought
    assert bench.last()["acknowledged_at"] is not None
    assert bench.last()["outcome"] is None


def uploading(bench: Bench) -> None:
    heard(bench)
    assert bench.settled()
    assert not bench.staged
    assert not bench.uploads()


def staged(bench: Bench) -> None:
    heard(bench)
    assert bench.staged
    assert not bench.delivered


def promoted(bench: Bench) -> None:
    heard(bench)
    assert bench.staged
    assert bench.delivered


def swept(bench: Bench) -> None:
    heard(bench)
    assert not bench.staged
    assert bench.delivered


def written(bench: Bench) -> None:
    assert bench.delivered
    assert bench.last()["outcome"] == "delivered"


def is_uploading(bench: Bench) -> bool:
    return bench.settled() and not bench.uploads()


MOMENTS = {
    "before_the_claim": Moment(
        held("store.insert", "hang_before", TASKS), fired("store.insert", "hang_before"), unclaimed,
        bought=False, noted=False,
    ),
    "before_the_trace": Moment(
        held("store.insert", "hang_before", TRACES), fired("store.insert", "hang_before"), claimed,
        bought=False, noted=False,
    ),
    "before_the_submit": Moment(
        held("submit", "hang_before"), fired("submit", "hang_before"), claimed, bought=False, noted=False
    ),
    "before_the_reply": Moment(held("submit", "hang"), fired("submit", "hang"), unheard, noted=False),
    "after_the_reply": Moment(
        lambda bench: bench.arm("submit", "slow_drip", value=0.15),
        after(lambda bench: bench.bought, "store.insert", "hang_before", TASKS), unheard, noted=False,
    ),
    "acknowledged": Moment(
        lambda bench: bench.arm("submit", "slow_drip", value=0.15),
        after(lambda bench: bench.bought, "store.insert", "hang_after", TASKS), heard,
    ),
    "while_it_uploads": Moment(nothing, is_uploading, uploading),
    "before_promotion": Moment(
        held("store.rewrite", "hang_before", FINAL), fired("store.rewrite", "hang_before"), staged
    ),
    "promoted_unheard": Moment(
        held("store.rewrite", "hang_after", FINAL), fired("store.rewrite", "hang_after"), promoted
    ),
    "before_staging_is_deleted": Moment(
        held("store.delete", "hang_before", STAGING), fired("store.delete", "hang_before"), promoted
    ),
    "after_promotion": Moment(
        held("store.delete", "hang_after", STAGING), fired("store.delete", "hang_after"), swept
    ),
    "all_noted": Moment(
        lambda bench: bench.arm("store.delete", "hang_after", at=STAGING, value=2),
        after(lambda bench: bench.fired("store.delete") > 0, "store.insert", "hang_after", TASKS), written,
    ),
}  # fmt: skip
"""By name, in the order in which they come."""

DEFERRED = Moment(nothing, lambda bench: bench.bought, heard, phase="trigger")
"""The trigger waits."""
