"""Lets an engine work through a plan: takes rows as there is room, writes down how each ended.

Invariants: what was begun is taken up before anything new; an image is taken from the plan only when it may soon be
sent, so what lies in memory does not grow with the plan; how an image ended is in the journal before it is forgotten;
a row ends once.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from airflow_provider_clarity.batch.brake import IN_A_ROW, Brake
from airflow_provider_clarity.batch.budget import Budget
from airflow_provider_clarity.batch.endings import refused, unbought
from airflow_provider_clarity.batch.engine import Engine
from airflow_provider_clarity.batch.feeding import Feeder
from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.journal_ledger import JournalLedger
from airflow_provider_clarity.batch.journal.lines import Learned
from airflow_provider_clarity.batch.ledger import Clock
from airflow_provider_clarity.batch.money import usd
from airflow_provider_clarity.batch.plan.model import PlanRow
from airflow_provider_clarity.batch.progress import Progress
from airflow_provider_clarity.batch.taking import Taking
from airflow_provider_clarity.batch.tally import Tally
from airflow_provider_clarity.batch.tracked import Tracked
from airflow_provider_clarity.batch.window_gate import WindowGate
from airflow_provider_clarity.exceptions import ClarityDeliveryError, ClarityError, ClarityInputError
from airflow_provider_clarity.storage.pool import AT_ONCE

WINDOW = "window"
"""Under which name the journal keeps what was learned of the service's capacity."""
BRAKE = "brake"
"""Under which name it keeps how many paid pictures in a row did not land."""

_PATIENCE = 0.05
"""Seconds for which the engine's work waits for a part that is being planned."""

_BRAKED: Final = (
    f"{IN_A_ROW} pictures in a row were made and paid for, and none of them landed: they do not arrive and cannot "
    "be fetched, or are refused, or get no final name. So nothing more was bought. What was paid is in the ledger with "
    "its task UUIDs, and is not bought again by itself. See the lines above for the reason, try python -m "
    "airflow_provider_clarity.check --buy-one, and clear the task when that is mended: it goes on from here."
)


class Backfill:
    """Drives many images to their ends.

    :param engine: made with ``ledger`` and ``gate``, over many
    :param journal: opened
    :param feeder: gives the rows
    :param taking: makes images of them
    :param gate: how many purchases may leave
    :param ahead: how many images more than there is room for are looked at in advance

    ``gave_up`` says whether images were left out since the budget allows no more.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        ledger: JournalLedger,
        feeder: Feeder,
        taking: Taking,
        gate: WindowGate,
        ahead: int = 32,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._ledger = ledger
        self._feeder = feeder
        self._taking = taking
        self._gate = gate
        self._ahead = ahead
        self._clock = clock
        self._monotonic = monotonic
        self._taken: dict[int, tuple[Tracked, PlanRow]] = {}
        self._retaken: set[int] = set()
        self._unplanned: ClarityError | None = None
        self._giving_up = False
        self.gave_up = False
        self._stopped = False
        self._resumed = False

    @property
    def tally(self) -> Tally:
        """What was counted for the metrics."""
        return self._engine.tally

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in the background."""
        return self._engine.idle

    @property
    def budget(self) -> Budget:
        """The account as it is now."""
        return self._gate.budget

    @property
    def spent_out(self) -> bool:
        """Whether the budget lets nothing more leave, and nothing that is in flight can change that."""
        return self._gate.budget.over and not any(image.in_flight for image, _ in self._taken.values())

    def stop(self) -> None:
        """Submit nothing more, and take nothing more on. Only sets flags."""
        self._stopped = True
        self._engine.stop()

    def line(self) -> str:
        """Say in a few words where it stands."""
        counts, totals = self._journal.state.counts, self._journal.state.totals
        failed = sum(number for key, number in counts.items() if key.startswith("failed."))
        cap = self._gate.budget.cap
        return (
            f"{sum(counts.values()) - failed} done, {failed} failed, {totals.in_flight} in flight, "
            f"${usd(totals.spent_microusd):.4f} {'' if cap is None else f'of ${usd(cap):.2f} '}spent"
        )

    async def settled(self) -> None:
        """Wait for what is under way, and write down what came of it and what was learned.

        :raises ClarityError: the first error that came of it
        """
        try:
            await self._engine.settled()
        finally:
            await self._collect()
            self._learn()
            await asyncio.to_thread(self._journal.append)

    async def step(self) -> Progress:
        """Do all that can be done now, and say when there will be more to do.

        :raises ClarityError: the surroundings do not let it go on; whatever is in flight then stays recorded
        """
        if not self._resumed:
            await self._resume()
        await self._feed()
        try:
            progress = await self._engine.step()
        finally:
            await self._collect()
        if self._journal.due(self._monotonic()):
            await asyncio.to_thread(self._journal.append)
        if (self._giving_up or self.spent_out) and not self._stopped and self._engine.idle:
            await self._give_up()
            progress = await self._engine.step()
        if self._braked:
            self._gate.brake = Brake()  # a clear begins anew; a try that ends before this goes on from here
            raise ClarityDeliveryError(_BRAKED, retryable=False)
        return self._with_what_is_left(progress)

    @property
    def _braked(self) -> bool:
        """Whether something is left to buy that may not be, and all that is paid has come to its end."""
        left = bool(self._engine.images) or not self._feeder.empty
        in_flight = any(image.in_flight for image in self._engine.images)
        nothing_moves = not in_flight and self._engine.idle and not self._giving_up
        return self._gate.brake.pulled and left and nothing_moves

    async def _resume(self) -> None:
        """Take up what was begun, by whichever runner, with threads enough for what waits for Cloud Storage.

        Python's own number goes by the processors, and is six on a worker with two.
        """
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE, "clarity"))
        records = {item.position: item.record for item in self._journal.state.open.values()}
        for row, item in await asyncio.to_thread(self._taking.known, records):
            self._take(row, item)
        self._resumed = True

    async def _feed(self) -> None:
        """Take rows on, as many as may soon be sent.

        Where no try can plan on (the manifest was replaced, two sources have one final name), what was taken on is seen
        to its end before that is told: every later try would be told the same before it came to what is paid.
        """
        if self._stopped or self._giving_up or self._unplanned is not None:
            return
        in_flight, at_service, unsent = self._counts()
        wanted = self._gate.wanted(in_flight, at_service) + self._ahead - unsent
        try:
            await self._take_on(await self._feeder.take(max(0, wanted), _PATIENCE))
        except ClarityError as error:
            if error.retryable:
                raise
            self._unplanned = error

    async def _take_on(self, rows: list[PlanRow]) -> None:
        """Make images of rows; a row that cannot become one is over at once."""
        if not rows:
            return
        for row, item in zip(rows, await asyncio.to_thread(self._taking.items, rows), strict=True):
            if isinstance(item, ClarityInputError):
                self._journal.buffer(refused(row, item))
            else:
                self._take(row, item)

    def _take(self, row: PlanRow, item: Item) -> None:
        self._ledger.take(item, row.position)
        self._taken[row.position] = self._engine.add(item, asked=row.asked), row

    async def _collect(self) -> None:
        """Write down how images ended, and let go of them."""
        self._engine.take_ended()
        ended = [(image, row) for image, row in self._taken.values() if image.end is not None]
        if not ended:
            return
        for image, row in ended:
            del self._taken[row.position]
            self._brake(image)
            if not await self._retake(image, row):
                await asyncio.to_thread(self._ledger.settle, image, dict(row.extra))
        self._learn()

    def _brake(self, image: Tracked) -> None:
        """Count what was paid and did not land."""
        if image.end is not None:
            whose = (image.view.run_key, image.view.round_number)
            self._gate.brake = self._gate.brake.after(image.end.outcome, image.end.failure, image.view.attempt, whose)

    def _learn(self) -> None:
        """Note what is known of the service's capacity, and of the way back."""
        self._journal.buffer(Learned(name=WINDOW, value=self._gate.window.to_json()))
        if (self._gate.brake.in_vain or None) != self._journal.state.learned.get(BRAKE):
            self._journal.buffer(Learned(name=BRAKE, value=self._gate.brake.in_vain or None))

    async def _retake(self, image: Tracked, row: PlanRow) -> bool:
        """Go on with the source as it is now, once, where it was replaced before anything of it was sent."""
        failure = image.end.failure if image.end is not None else None
        if failure is None or failure.kind != "input" or image.view.attempt is not None:
            return False
        now = await asyncio.to_thread(self._taking.replaced, row) if row.position not in self._retaken else None
        if now is None:
            return False
        self._retaken.add(row.position)
        await self._take_on([now])
        return True

    async def _give_up(self) -> None:
        """Let go of all that waits for a purchase: the budget lets nothing more leave.

        The plan is made to its end, a part at each step, so that a stop and the end of the time are heard in between.
        """
        self._giving_up = True
        for image, row in list(self._taken.values()):
            attempt = image.view.attempt
            unbought_ = attempt is None or attempt.outcome is None
            if image.end is not None or not (attempt is None or self._engine.waits_for_purchase(image)):
                continue
            if not unbought_:
                self._engine.give_up(image)  # it failed before, and that is how it ends
                continue
            if attempt is not None:
                self._journal.buffer(unbought(row))
            self._engine.drop(image)
            del self._taken[row.position]
        await self._collect()
        if self._unplanned is None:
            await self._feeder.pass_over()
            self.gave_up = self._feeder.empty

    def _counts(self) -> tuple[int, int, int]:
        """Count the images in flight, those that the service is at work on, and those that were not sent."""
        images = self._engine.images
        in_flight = sum(image.in_flight for image in images)
        return in_flight, sum(image.at_service for image in images), len(images) - in_flight

    def _with_what_is_left(self, progress: Progress) -> Progress:
        """Say what the engine did not know: that there are rows, or images, which it had not seen."""
        now = self._clock()
        if progress.look_at is None and self._engine.images:
            progress = Progress((), (), now, now, to_submit=True)
        if self._unplanned is not None and progress.look_at is None:
            raise self._unplanned
        if self._gate.brake.pulled and not self._giving_up:  # the end of what is in flight is near, and then the try's
            if progress.look_at is None and not self._feeder.empty:
                progress = Progress((), (), now, now)
            return replace(progress, to_submit=True)
        if self._feeder.empty or self._unplanned is not None:
            return progress
        if self._stopped:  # before the plan was read to its end: that is not the end of the run
            return Progress((), (), now, now) if progress.look_at is None else progress
        in_flight, at_service, unsent = self._counts()
        opens = self._gate.opens_at(in_flight, at_service, now)
        more = now if unsent < self._ahead + self._gate.wanted(in_flight, at_service) else opens
        if progress.look_at is None:
            return Progress((), (), more, more, to_submit=True)
        return replace(progress, look_at=min(progress.look_at, more), to_submit=progress.to_submit or more <= now)
