"""A hundred shards of a hundred pictures, mapped, in a real Airflow: all deferred at once, polled by one.

    bash .ci/run bench airflow_shards

``UpscalePlanOperator`` cuts ten thousand pictures into shards, ``UpscaleBatchOperator`` is mapped over them, all of
them active (Airflow counts those that are deferred), with four workers. The service holds everything back until each
shard has filled its first window and is deferred. For a while all of them wait, and the POSTs of their triggers are
counted: they share one poller, so that is an array for each hundred tasks in flight and no more; a poller for each
trigger would send at least a POST each in ten seconds. Then the service goes on. Afterwards the audit over all shards,
and another run: its plan is empty. Prints a table in Markdown; ends with 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_backfills import SHARDS, Look, airflow_over, wrong_with_another, wrong_with_shards
from backfill_runs import BUCKET, fill
from emulator_process import EmulatorProcess

from airflow_provider_clarity.runware.hub import TICK

SLOTS = 2000
ARRAY = 100
LOOK_EVERY = 10.0
"""Seconds between two looks of a poller at an old task, at most (runware/pace.py)."""


@dataclass
class Held:
    """What is seen while the service holds everything back; it goes on when that was long enough.

    :param shards: that are to be deferred at once
    :param seconds: of their common wait that are to be seen
    :param waited: seconds of it that were seen
    :param polls: POSTs of look-ups in them
    :param in_flight: most tasks in flight then
    """

    emulator: EmulatorProcess
    shards: int
    seconds: float
    waited: float = 0.0
    polls: int = 0
    in_flight: int = 0
    over: bool = False
    _last: tuple[float, int] | None = None
    _told: float = 0.0

    def __call__(self, look: Look) -> None:
        """Count the polls between two looks at which all shards are deferred."""
        if look.at >= self._told + 15.0:
            self._told = look.at
            states = ", ".join(f"{number} {state}" for state, number in look.states().items())
            sys.stderr.write(f"{states}; all waited for {self.waited:.0f} s\n")
        if self.over:
            return
        deferred = look.states()["deferred"]
        if deferred < self.shards:
            self._last = None
            return
        accounts = self.emulator.accounts()
        if self._last is not None:
            self.waited += look.at - self._last[0]
            self.polls += accounts["poll_posts"] - self._last[1]
        flying = sum(purchase["status"] == "processing" for purchase in accounts["purchases"].values())
        self.in_flight = max(self.in_flight, flying)
        self._last = look.at, accounts["poll_posts"]
        if self.waited >= self.seconds:
            self.emulator.switches({"slots": SLOTS})
            self.over = True

    @property
    def rate(self) -> float:
        """POSTs a second."""
        return self.polls / self.waited if self.waited else 0.0

    @property
    def shared(self) -> float:
        """The most of it that one poller sends: every sweep the arrays that the tasks in flight fill."""
        return -(-self.in_flight // ARRAY) / TICK

    @property
    def apart(self) -> float:
        """The least of it that a poller for each trigger would send."""
        return self.shards / LOOK_EVERY


def main() -> int:
    """Run it; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--images", type=int, default=100, help="of a shard")
    parser.add_argument("--service-time", type=float, default=45.0)
    parser.add_argument("--window", type=int, default=32, help="max_in_flight of a shard")
    parser.add_argument("--defer-after", type=float, default=5.0, help="seconds")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds for which all wait")
    parser.add_argument("--active", type=int, help="max_active_tis_per_dagrun (default: all shards)")
    options = parser.parse_args()
    active = min(options.active or options.shards, options.shards)
    number = options.shards * options.images
    choices = {"max_in_flight": options.window, "defer_after": options.defer_after, "item_timeout": 3600}
    arguments = ["--service-time", str(options.service_time), "--slots", "1", "--render", "cached"]
    with EmulatorProcess(*arguments, buckets=[BUCKET]) as emulator:
        fill(emulator, number)
        held = Held(emulator, active, options.hold)
        with airflow_over(emulator, choices, images_per_shard=options.images, active=active) as backfills:
            ran = backfills.run(SHARDS, seconds=6 * 3600, at_each_look=held)
            wrong = wrong_with_shards(backfills, ran, options.shards, number)
            if ran.state != "success":
                print("\n".join(wrong))  # noqa: T201
                return 1
            before = emulator.accounts()
            again = backfills.run(SHARDS, seconds=3600)
            after = emulator.accounts()
            wrong += wrong_with_another(before, after, again.results, 0)
            if (again.state, again.results) != ("success", []):
                wrong.append(f"the second run ended with {again.state} and {len(again.results)} results")
    print(  # noqa: T201
        "| shards | images | tasks in flight while all wait | seconds of it | polling POSTs a second "
        "| one poller sends at most | one each would send at least | seconds | deferrals | tries "
        "| memory of a worker, MB | cost, $ | bill, $ | second run: submits, seconds | load |\n"
        + "| -- " * 15 + "|\n"
        f"| {options.shards} | {number:,} | {held.in_flight:,} | {held.waited:.0f} | {held.rate:.2f} "
        f"| {held.shared:.2f} | {held.apart:.2f} | {ran.seconds:,.0f} | {ran.deferrals} | {ran.tries} "
        f"| {ran.memory:.0f} | {round(sum(one['cost_usd'] for one in ran.results), 6)} | {before['billed_usd']} "
        f"| {after['submits'] - before['submits']}, {again.seconds:.0f} | {os.getloadavg()[0]:.1f} |\n"
    )  # fmt: skip
    if not 0 < held.rate <= held.shared:
        wrong.append(f"{held.rate:.2f} polling POSTs a second are more than the {held.shared:.2f} of one poller")
    if held.waited < options.hold:
        wrong.append(f"{active} shards were deferred at once for {held.waited:.0f} s only")
    print("\n".join(wrong[:50]) or "All limits are held.")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
