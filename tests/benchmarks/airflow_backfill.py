"""Ten thousand pictures through one task of a real Airflow: how full it keeps the service, and how often it defers.

    bash .ci/run bench airflow_backfill

Two variants, each over an emulator and in an Airflow of its own. Where tasks are quick (3 s, 50 slots, a window of 64)
the worker stays, since feeding is work; where they are slow (60 s, 400 slots, a window of 400) it is freed while
nothing but waiting is left. In both: the audit of purchases, pictures and summary; the memory of the task's process
beside that of a task that does nothing; then another run over the same pictures. Prints a table in Markdown; ends with
1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_backfills import BACKFILL, EMPTY, Look, SlotsUsed, airflow_over, wrong_with, wrong_with_another
from backfill_runs import BUCKET, fill
from emulator_process import EmulatorProcess

MEMORY = 150.0
WARM_UP = 30.0


@dataclass(frozen=True)
class Variant:
    """A service, and what is promised over it.

    :param defer_after: of the operator, seconds
    :param used: least share of the slots, from the warm-up to the last submit
    :param deferrals: least and most
    """

    name: str
    service_time: float
    slots: int
    window: int
    defer_after: float
    used: float
    deferrals: tuple[int, int]


def main() -> int:
    """Run it; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=["stays", "defers", "both"], default="both")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--service-time", type=float, help="seconds (default: 3 where it stays, 60 where it defers)")
    parser.add_argument("--slots", type=int, help="default: 50 and 400")
    parser.add_argument("--window", type=int, help="max_in_flight (default: 64 and 400)")
    parser.add_argument("--defer-after", type=float, default=30.0, help="seconds")
    parser.add_argument("--warm-up", type=float, default=WARM_UP, help="seconds whose slots do not count")
    parser.add_argument("--least-used", type=float, default=0.9, help="of the slots, where it stays")
    parser.add_argument("--least-deferrals", type=int, default=20, help="where it defers")
    parser.add_argument("--most-deferrals", type=int, default=150)
    options = parser.parse_args()
    variants = [
        Variant(
            name, options.service_time or time, options.slots or slots, options.window or window, options.defer_after,
            used, deferrals,
        )
        for name, time, slots, window, used, deferrals in (
            ("stays", 3.0, 50, 64, options.least_used, (0, 0)),
            ("defers", 60.0, 400, 400, 0.0, (options.least_deferrals, options.most_deferrals)),
        )
        if options.variant in (name, "both")
    ]  # fmt: skip
    print(  # noqa: T201
        "| images | the worker | task, s | slots | window | seconds | images a second | slots used | deferrals | tries "
        "| memory, MB | of an empty task, MB | cost, $ | bill, $ | second run: submits, seconds | load |\n"
        + "| -- " * 16 + "|",
        flush=True,
    )  # fmt: skip
    wrong = [odd for variant in variants for odd in measured(variant, options.images, options.warm_up)]
    print("\n" + ("\n".join(wrong[:50]) or "All limits are held."), flush=True)  # noqa: T201
    return 1 if wrong else 0


def measured(variant: Variant, number: int, warm_up: float) -> list[str]:
    """Print the row of a variant; whatever is wrong, in words."""
    arguments = ["--service-time", str(variant.service_time), "--slots", str(variant.slots), "--render", "cached"]
    choices = {"max_in_flight": variant.window, "defer_after": variant.defer_after}
    with EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator:
        fill(emulator, number)
        with airflow_over(emulator, choices) as backfills:
            empty = backfills.run(EMPTY, seconds=300)
            slots = SlotsUsed(emulator, variant.slots, number, warm_up)
            ran = backfills.run(BACKFILL, seconds=6 * 3600, at_each_look=lambda look: seen(variant, look, slots))
            wrong = wrong_with(backfills, ran, number)
            if ran.state != "success":
                return [f"{variant.name}: {odd}" for odd in wrong]
            before = emulator.accounts()
            again = backfills.run(BACKFILL, seconds=3600)
            after = emulator.accounts()
            wrong += wrong_with_another(before, after, again.results, number)
    used, (least, most) = slots.share(), variant.deferrals
    result = ran.result
    print(  # noqa: T201
        f"| {number:,} | {variant.name} | {variant.service_time:g} | {variant.slots} | {variant.window} "
        f"| {ran.seconds:,.0f} | {number / ran.seconds:.1f} | {used:.1%} | {ran.deferrals} | {ran.tries} "
        f"| {ran.memory:.0f} | {empty.memory:.0f} | {result['cost_usd']} | {before['billed_usd']} "
        f"| {after['submits'] - before['submits']}, {again.seconds:.0f} | {os.getloadavg()[0]:.1f} |",
        flush=True,
    )
    if used < variant.used:
        wrong.append(f"only {used:.1%} of the slots were used")
    if not least <= ran.deferrals <= most:
        wrong.append(f"{ran.deferrals} deferrals are not between {least} and {most}")
    if not 0 < empty.memory <= ran.memory <= empty.memory + MEMORY:
        wrong.append(f"{ran.memory:.0f} MB are more than {MEMORY:.0f} above the {empty.memory:.0f} of an empty task")
    return [f"{variant.name}: {odd}" for odd in wrong]


def seen(variant: Variant, look: Look, slots: SlotsUsed) -> None:
    """Note how full the service is, and say where it stands."""
    if slots(look):
        states = ", ".join(str(state) for state in look.states())
        sys.stderr.write(f"{variant.name}: {slots.submits} submitted, {states}\n")


if __name__ == "__main__":
    sys.exit(main())
