"""Plays a sequence: runs as the operators drive them, over one service and some buckets, each to its end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final, cast
from uuid import UUID

from sequence_loop import SequenceLoop, greenlets_for_threads
from sequence_process import OWNER, Process, owned
from sequence_service import TIMEOUT, MemoryClient, Order, Service, source_picture
from sequence_store import Buckets, MemoryStore
from sequence_story import (
    Clear,
    Delete,
    Forget,
    Kill,
    Pass,
    Replace,
    Rest,
    RunName,
    Step,
    Stop,
    Story,
    Strange,
    Try,
)

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.engine import Engine, Pace, Run
from airflow_provider_clarity.batch.item import Item, make_item, recorded_item
from airflow_provider_clarity.batch.journal.closing import DEAD_LETTER
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.siblings import sibling_totals
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import RecordLedger, follow_trace, load_record, record_uri
from airflow_provider_clarity.batch.outcomes import parse_tolerated
from airflow_provider_clarity.batch.plan.grammar import parse_batch_source
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.batch.policy import IfExists, Round, round_of
from airflow_provider_clarity.batch.rounds import round_at
from airflow_provider_clarity.batch.running import LOOK_APART, Limits, ledger_root, open_backfill
from airflow_provider_clarity.batch.running import Round as BackfillRound
from airflow_provider_clarity.batch.submission import BucketRequests, Request
from airflow_provider_clarity.batch.window_gate import WindowGate
from airflow_provider_clarity.exceptions import ClarityError, ClarityInputError
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.uris import GsSource, GsUri

EPOCH: Final = 1_800_000_000.0
RAW: Final = GsUri("raw", "in/")
PRINT: Final = GsUri("print", "out/")
RULES: Final = Rules(
    resubmit_window=600.0,
    storage_is_fresh=20.0,
    item_timeout=60.0,
    silence_confirmed=10.0,
    upload_grace=10.0,
    fetch_grace=10.0,
    lease=5.0,
)
PACE: Final = Pace(backoff=lambda times, _jitter: min(20.0, 2.0 ** (times - 1)), look_apart=LOOK_APART)
PARAMETERS: Final = parameters_from_user(output_format="JPG", upscale_factor=2)
_IF_EXISTS: Final[dict[str, IfExists]] = {"fresh": "overwrite", "update": "update"}
_TRIES: Final = 12
"""So often at most a run is tried again when all is well; then it does not come to its end."""


class _Silent:
    def info(self, msg: str, /, *args: Any) -> None:
        pass

    def warning(self, msg: str, /, *args: Any) -> None:
        pass


@dataclass(eq=False)
class RunOf:
    """A run of a task instance.

    :param max_tries: as Airflow has it; a clear raises it
    :param over: whether its round has come to its end
    """

    name: RunName
    max_tries: int = 1
    over: bool = False

    @property
    def key(self) -> str:
        """The run key."""
        return f"dag/{'today' if self.name == 'mapped' else self.name}/task"

    @property
    def place(self) -> str:
        """Run key and map index."""
        return f"{self.key}/{1 if self.name == 'mapped' else -1}"

    @property
    def single(self) -> bool:
        """Whether it is over one image."""
        return self.name.startswith("one")

    @property
    def if_exists(self) -> IfExists:
        """What an occupied name means to it."""
        return _IF_EXISTS.get(self.name, "skip")


@dataclass(frozen=True)
class _Requests(BucketRequests):
    """Orders for the service in memory."""

    via: str = "signed_url"

    def make(self, item: Item, task_uuid: UUID, staging: GsUri) -> Request:
        endpoint: tuple[GsUri, int | None] | None = (staging, None)
        if self.via == "worker":
            endpoint = None
        elif self.via == "resumable_session":
            there = self.store.stat(staging)
            endpoint = (staging, there.generation if there is not None else 0)
        source = item.given
        if not isinstance(source, GsSource):
            raise TypeError(source)
        order = Order(task_uuid, (source.uri, item.source_generation or 0), item.destination, endpoint)
        return Request(cast("Any", order), None if endpoint is None else EPOCH + 7 * 24 * 3600)


@dataclass(eq=False)
class World:
    """Everything there is in a sequence.

    :param processes: all that ever were
    :param defects: errors that none of ours may end with
    :param removed: final names that a person touched
    """

    story: Story
    log: Any = field(default_factory=_Silent)
    runs: dict[RunName, RunOf] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    defects: list[BaseException] = field(default_factory=list)
    unended: list[RunName] = field(default_factory=list)
    buckets: Buckets = field(default_factory=Buckets)
    loop: SequenceLoop = field(init=False)
    service: Service = field(init=False)
    random: Random = field(init=False)

    @property
    def store(self) -> MemoryStore:
        """What lies in the buckets, seen without delay."""
        return MemoryStore(self.buckets)

    def clock(self) -> float:
        """Epoch seconds."""
        return EPOCH + self.loop.now

    async def main(self) -> None:
        """Play it, bring every run to its end, and wait for whoever is still frozen."""
        story = self.story
        self.loop = cast("SequenceLoop", asyncio.get_running_loop())
        self.loop.set_task_factory(owned)
        self.loop.set_exception_handler(lambda _loop, _context: None)  # what the dead leave behind
        self.random = Random(story.seed)  # noqa: S311 - latencies
        self.service = Service(
            self.loop, self.buckets, story.switches, list(story.fates), list(story.posts), list(story.looks)
        )
        for image in range(story.images):
            self._replace(image)
        for step in story.steps:
            await self._do(step)
        await self._rest(400)
        self.service.calm()
        for name in list(self.runs):
            await self._finish(self.runs[name])
        await self._rest()
        await asyncio.sleep(100)  # late uploads

    async def _do(self, step: Step) -> None:  # noqa: C901, PLR0912 - one branch for each kind of step
        match step:
            case Try():
                self.begin(step)
            case Pass(seconds):
                await asyncio.sleep(seconds)
            case Rest():
                await self._rest(400)
            case Kill(name):
                for process in self._at_work(name):
                    process.die()
            case Stop(name):
                for process in self._at_work(name):
                    process.stop()
            case Clear(name):
                if name in self.runs:
                    self.runs[name].max_tries += 1
                    self.runs[name].over = False
            case Replace(image):
                self._replace(image % self.story.images)
            case Delete(image):
                self.buckets.delete(final(image % self.story.images))
            case Strange(image):
                self.buckets.put(final(image % self.story.images), b"somebody's", expected=None)
            case Forget():
                self.service.forget()

    def _replace(self, image: int) -> None:
        self.buckets.put(source(image), source_picture(), expected=None, content_type="image/png")

    def _at_work(self, name: RunName | None = None) -> list[Process]:
        return [one for one in self.processes if name in (None, one.run) and one.life and not one.life.done()]

    async def _rest(self, seconds: float = 1e9) -> None:
        until = self.loop.now + seconds
        while self.loop.now < until and (lives := [one.life for one in self._at_work() if one.life]):
            await asyncio.wait(lives, timeout=until - self.loop.now)

    async def _finish(self, run: RunOf) -> None:
        """Try it until it is over, with all well."""
        for _ in range(_TRIES):
            if run.over:
                return
            process = self.begin(Try(run.name, seconds=3000.0))
            if process is None:
                return
            if process.life is not None:
                await asyncio.wait([process.life])
            await asyncio.sleep(5)
        if not run.over:
            self.unended.append(run.name)

    def begin(self, step: Try) -> Process | None:
        """Begin a try; None where there is nothing to try."""
        if step.run == "dead" and self.dead_letter() is None:
            return None
        run = self.runs.setdefault(step.run, RunOf(step.run))
        process = Process(
            f"p{len(self.processes)}", run.name, run.place, self.loop, self.random, step.faults, step.arrives
        )  # fmt: skip
        self.processes.append(process)
        work = self._single if run.single else self._backfill
        OWNER.set(process)
        process.life = self.loop.create_task(self._live(process, work(process, run, step.seconds)))
        OWNER.set(None)
        return process

    async def _live(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ClarityError as error:
            process.error = error
            if not process.dead and error.kind == "plan":
                self.defects.append(error)
        except BaseException as error:  # noqa: BLE001 - a death, or a defect
            process.error = error
            if not process.dead:
                self.defects.append(error)

    async def _backfill(self, process: Process, run: RunOf, seconds: float) -> None:
        """Do what the operator of a backfill does."""
        store = MemoryStore(self.buckets, process)
        where = str(RAW) if run.name != "dead" else str(self.dead_letter())
        wanted = Wanted(parse_batch_source(where), PRINT, PARAMETERS, "api", run.key, if_exists=run.if_exists)
        workspace = Workspace.for_destination(PRINT)
        base, max_tries = ledger_root(workspace, wanted, run.place), run.max_tries
        number, ended = await asyncio.to_thread(round_at, store, base, max_tries)
        if ended is not None:
            run.over = run.max_tries == max_tries
            return
        process.round_number = number
        root = base.child(f"{number}/")
        before = await asyncio.to_thread(
            lambda: sibling_totals(store, workspace.root, run.place, besides=root).closed()
        )
        opened = await asyncio.to_thread(
            lambda: open_backfill(
                client=cast("Any", MemoryClient(self.service, process)),
                store=store,
                requests=_Requests(store, cast("Any", None), via=self.story.via),
                wanted=wanted,
                workspace=workspace,
                root=root,
                round_=BackfillRound(run.key, run.place, number, max_tries, before),
                rules=RULES,
                limits=Limits(cap=self.story.cap, expected=self.story.expected, max_in_flight=8),
                log=self.log,
                submit_timeout=TIMEOUT,
                clock=self.clock,
                monotonic=self.loop.time,
                pace=PACE,
                runner=lambda: process.name,
            )
        )
        _watch(process, opened.backfill._gate, opened.journal)
        try:
            await self._drive(opened.backfill, process, seconds)
            await opened.backfill.settled()
            await asyncio.to_thread(
                lambda: opened.finish(tolerated=parse_tolerated("100%"), on_budget="stop")
            )  # fmt: skip
        except ClarityError as error:
            if error.kind not in ("fenced", "plan"):
                why = error.kind
                await asyncio.to_thread(lambda: opened.interrupt(why))
            raise
        run.over = run.max_tries == max_tries

    async def _single(self, process: Process, run: RunOf, seconds: float) -> None:
        """Do what the operator of one image does."""
        store = MemoryStore(self.buckets, process)
        image = int(run.name[-1]) % self.story.images
        given, destination, max_tries = GsSource(source(image)), final(image), run.max_tries
        workspace = Workspace.for_destination(destination)
        digest = hashlib.sha256(str(destination).encode()).hexdigest()[:8]
        trace = workspace.root.child(f"runs/{run.place}/{digest}/image.json")

        def begun() -> tuple[Item, Round]:
            found = follow_trace(store, trace)
            item = _new_item(store, given, destination)
            if found is not None:
                last, this = found[1].last, round_of(found[1].runs.get(run.place), max_tries)
                flying = last is not None and last.outcome is None and last.last_sent_at is not None
                if flying or this.repeats is not None:
                    item = recorded_item(found[1], given)
            record, _ = load_record(store, record_uri(item))
            return item, round_of(record.runs.get(run.place) if record else None, max_tries)

        item, this = await asyncio.to_thread(begun)
        if this.repeats is not None:
            run.over = run.max_tries == max_tries
            return
        process.round_number = this.number
        engine = Engine(
            client=cast("Any", MemoryClient(self.service, process)),
            ledger=RecordLedger(store, owner=process.name, clock=self.clock, lease=RULES.lease, trace=trace),
            requests=_Requests(store, cast("Any", None), via=self.story.via),
            landing=Landing(store, workspace, run.key, run.place),
            run=Run(run.key, run.place, this.number, max_tries),
            rules=RULES,
            log=self.log,
            submit_timeout=TIMEOUT,
            pace=replace(PACE, look_apart=0.0),
            clock=self.clock,
            monotonic=self.loop.time,
        )
        engine.add(item)
        await self._drive(engine, process, seconds)
        run.over = run.max_tries == max_tries

    async def _drive(self, engine: Any, process: Process, seconds: float) -> None:
        stopper = Stopper()
        process.stop = stopper.ask
        await drive(
            engine,
            deadline=self.clock() + seconds,
            defer_after=None,
            stopper=stopper,
            log=self.log,
            clock=self.clock,
        )

    def last_error(self, name: RunName) -> str:
        """Say how the last try of a run ended."""
        return repr(next(one.error for one in reversed(self.processes) if one.run == name))

    def dead_letter(self) -> GsUri | None:
        """Where today's last dead letter is."""
        folder = f"{Workspace.for_destination(PRINT).root.name}runs/dag/today/task/-1/"
        found = [uri for uri in self.buckets.objects if uri.name.startswith(folder) and uri.name.endswith(DEAD_LETTER)]
        return max(found, key=lambda uri: uri.name, default=None)


def play(story: Story, log: Any = None) -> World:
    """Play a sequence from its beginning to the end of every run in it."""
    world = World(story) if log is None else World(story, log)
    with greenlets_for_threads(), asyncio.Runner(loop_factory=SequenceLoop) as runner:
        runner.run(world.main())
    return world


def source(image: int) -> GsUri:
    """A source."""
    return RAW.child(f"{image}.png")


def final(image: int) -> GsUri:
    """A final name."""
    return PRINT.child(f"{image}.jpg")


def _flying(journal: Journal) -> set[str]:
    """Name what a run has in flight, or may have paid without knowing for how much, as far as its ledger knows."""
    return {
        str(one.task_uuid)
        for item in journal.state.open.values()
        for one in item.record.attempts
        if one.n in item.ours and one.sent_at is not None and (one.outcome is None or one.cost_microusd is None)
    }


def _watch(process: Process, gate: WindowGate, journal: Journal) -> None:
    """Keep what is reserved and in flight whenever the gate lets something leave: upon that a purchase is decided."""
    asked = gate.room

    def room(in_flight: int, at_service: int, now: float) -> int:
        free = asked(in_flight, at_service, now)
        if free:
            reserve, flying = gate.budget.reserve, _flying(journal)
            process.reserve, process.flying = lambda: reserve, lambda: flying
        return free

    gate.room = room  # type: ignore[method-assign]


def _new_item(store: MemoryStore, given: GsSource, destination: GsUri) -> Item:
    found = store.stat(given.uri)
    if found is None:
        raise ClarityInputError("The source does not exist.")
    return make_item(
        api_host="api",
        source=given,
        source_generation=found.generation,
        destination=destination,
        parameters=PARAMETERS,
    )
