"""What a person is told of a ledger: what happened, what is safe, what to do next. Pure."""

from __future__ import annotations


def unreadable(where: str, why: str) -> str:
    """Say that a part of the ledger cannot be read."""
    return (
        f"{where}, a part of this run's ledger, cannot be read: {why}. Nothing was sent, since it cannot be told what "
        "was bought. Upgrade this package where a newer one wrote it; else restore the object, or delete the ledger's "
        "folder: the next run then asks the service for what was begun, under the same UUIDs."
    )


def fenced(root: str) -> str:
    """Say that another runner has taken over."""
    return (
        f"Another try has taken over the ledger {root}. This one submits and promotes nothing more; whatever it had in "
        "flight is recorded there and seen to its end by the other. Nothing need be done."
    )


def not_open(root: str) -> str:
    """Say that a runner asks for what it does not hold."""
    return (
        f"This try does not hold the ledger {root}. Nothing was written, and nothing may be sent. Open it first, once."
    )


def released(root: str) -> str:
    """Say that this runner has given the ledger back."""
    return (
        f"This try has released the ledger {root} and writes nothing more into it. Whatever is in flight is recorded "
        "there. The next try goes on from it."
    )


def crowded(root: str, times: int) -> str:
    """Say that others took over as fast as we did."""
    return (
        f"The ledger {root} was taken over by others {times} times while this try wanted it. Nothing was sent by this "
        "try. Let one of them finish; a retry goes on from where it is."
    )


def gone(root: str) -> str:
    """Say that somebody deleted the ledger under us."""
    return (
        f"Segments of the ledger {root} were deleted while this try worked with it. Nothing more was sent. What is in "
        "flight stays paid; a retry asks the service for it. Do not delete a ledger while its run goes on."
    )


def uneven(rows: int, planned: int, counts: dict[str, int], known: dict[str, int], open_: int) -> str:
    """Say that the rows of the result are not what the plan and the ledger say."""
    return (
        f"The result of this run does not come out: {rows} row(s) of {planned} planned, {_told(counts)}, where the "
        f"ledger has {_told(known)} and {open_} image(s) open. No summary was written, what is paid is recorded, what "
        "is delivered is safe. Were parts of the ledger deleted? Else it is a defect of this package: please report it."
    )


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing"
