"""One round of a backfill from its parts: the ledger is opened, the plan is read or made, the engine is filled.

Invariant: what decides which round and which ledger it is, is what was rendered and the task instance; never the try.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.backfill import BRAKE, WINDOW, Backfill
from airflow_provider_clarity.batch.brake import Brake
from airflow_provider_clarity.batch.budget import EXPECTED, Budget
from airflow_provider_clarity.batch.engine import Engine, Pace, Run
from airflow_provider_clarity.batch.feeding import Feeder
from airflow_provider_clarity.batch.journal.journal import Journal
from airflow_provider_clarity.batch.journal.journal_ledger import JournalLedger
from airflow_provider_clarity.batch.journal.lines import Learned
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.journal.totals import Totals
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import Clock
from airflow_provider_clarity.batch.plan.grammar import GlobSource, ListSource, ManifestSource, PrefixSource
from airflow_provider_clarity.batch.plan.model import PlanPart
from airflow_provider_clarity.batch.plan.stored import StoredPlan
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.batch.rounds import BEGAN, OpenRound
from airflow_provider_clarity.batch.submission import Requests
from airflow_provider_clarity.batch.taking import Taking
from airflow_provider_clarity.batch.window import Window
from airflow_provider_clarity.batch.window_gate import WindowGate
from airflow_provider_clarity.batch.work import Log
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.pace import next_look
from airflow_provider_clarity.storage.delivery import Verify, Workspace
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

LOOK_AHEAD = 1.25
"""Seconds: what is due within them goes along where there is room, which costs no request."""
_SHORTEST_LOOK = 0.25
_SLICE = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be bought, and how fast.

    :param max_in_flight: ceiling of the window
    :param cap: micro-dollars, over all rounds and ledgers of the task instance; None for no limit
    :param expected: micro-dollars that an image is expected to cost at most
    :param ahead: images that are looked at before there is room for them
    :param beat: seconds between two look-ups and two POSTs, instead of what is learned
    """

    max_in_flight: int = 32
    cap: int | None = None
    expected: int = EXPECTED
    ahead: int = 32
    beat: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """Which round of which task instance it is.

    :param key: the run key
    :param place: the run key and the map index
    :param number: from 0; a clear of an ended round opens the next
    :param max_tries: Airflow's ``ti.max_tries``
    :param run_started: when Airflow began the DAG run, epoch seconds
    :param unasked: no clear opened it, but a DAG run that came back under its old id
    :param spent_before: what other ledgers of the task instance have bought
    """

    key: str
    place: str
    number: int = 0
    max_tries: int = 0
    spent_before: Totals = field(default_factory=Totals)
    run_started: float | None = None
    unasked: bool = False


def ledger_root(workspace: Workspace, wanted: Wanted, place: str) -> GsUri:
    """Return the folder of a task instance's ledgers over these images; each round has a folder in it.

    A map index may mean another source after a clear, so what was rendered is part of the name; what only says how much
    or by which way is not, so that a changed budget goes on where the last one ended.
    """
    return workspace.root.child(f"runs/{place}/{fingerprint(wanted)}/")


def fingerprint(wanted: Wanted) -> str:
    """Digest which images are meant: eight hexadecimal digits."""
    source = wanted.source
    match source:
        case PrefixSource(base, start, end):
            named: list[object] = ["prefix", str(base), start, end]
        case GlobSource(base, pattern, start, end):
            named = ["glob", base.bucket, pattern, start, end]
        case ListSource(uris, first, last):
            named = ["list", [hashlib.sha256(uri.encode()).hexdigest() for uri in uris], first, last]
        case ManifestSource(uri, first, last, _):
            named = ["manifest", str(uri), first, last]
    of = [named, str(wanted.destination), wanted.pattern.text, wanted.if_exists, wanted.parameters.canonical()]
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:8]


def open_backfill(  # noqa: PLR0913 - the wiring of all rooms
    *,
    client: ClarityClient,
    store: ObjectStore,
    requests: Requests,
    wanted: Wanted,
    workspace: Workspace,
    root: GsUri,
    round_: Round,
    rules: Rules,
    limits: Limits,
    log: Log,
    submit_timeout: float,
    verify: Verify = "lenient",
    allowed_image_hosts: tuple[str, ...] = (),
    clock: Clock = time.time,
    monotonic: Clock = time.monotonic,
    pace: Pace | None = None,
    runner: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> OpenRound:
    """Take the ledger of a round over, or begin it, and put a backfill together. Blocks.

    :param store: of sources, destinations and workspace
    :param root: the folder of the round's ledger. Where it is of other images than are wanted, since what a deferred
        task renders to has changed, what was begun is seen to its end, and then that is an error
    :return: the round, with its ledger taken over
    :raises ClarityLostError: the ledger cannot be read
    :raises ClarityFencedError: others take it over as fast as we do
    """
    journal = Journal(store, root, runner(), clock=clock, monotonic=monotonic, lease=rules.lease)
    state = journal.open()
    ledger = JournalLedger(journal, store, clock=clock, whose=(round_.place, round_.number))
    plan, named = StoredPlan(store, root.child("plan/"), wanted), ledger_root(workspace, wanted, round_.place)

    account: tuple[RunState, Budget] | None = None

    def budget() -> Budget:
        nonlocal account
        known = journal.state
        if account is None or account[0] is not known:  # it is asked for far more often than it changes
            totals = known.totals + round_.spent_before
            account = (
                known,
                Budget(
                    limits.cap,
                    limits.expected,
                    spent=totals.spent_microusd,
                    dearest=totals.dearest_microusd,
                    priced=totals.priced,
                    unknown=totals.unknown,
                ),
            )
        return account[1]

    window = Window.from_json(state.learned.get(WINDOW), ceiling=limits.max_in_flight, now=clock())
    gate = WindowGate(window, budget, fixed_beat=limits.beat, brake=Brake.from_json(state.learned.get(BRAKE)))
    engine = Engine(
        client=client,
        ledger=ledger,
        requests=requests,
        landing=Landing(
            store,
            workspace,
            round_.key,
            round_.place,
            if_exists=wanted.if_exists,
            verify=verify,
            allowed_image_hosts=allowed_image_hosts,
        ),
        run=Run(round_.key, round_.place, round_.number, round_.max_tries, unasked=round_.unasked, many=True),
        rules=rules,
        log=log,
        submit_timeout=submit_timeout,
        pace=pace or Pace(partial(next_look, shortest=_SHORTEST_LOOK), look_ahead=LOOK_AHEAD),
        clock=clock,
        monotonic=monotonic,
        gate=gate,
        slice_=_SLICE,
    )
    backfill = Backfill(
        engine=engine,
        journal=journal,
        ledger=ledger,
        feeder=Feeder(journal, plan.parts() if root.name.startswith(named.name) else _none_of(root)),
        taking=Taking(plan, store, wanted.api_host, round_.key if wanted.if_exists == "overwrite" else ""),
        gate=gate,
        ahead=limits.ahead,
        clock=clock,
        monotonic=monotonic,
    )
    if BEGAN not in state.learned:
        journal.buffer(Learned(name=BEGAN, value=clock()))
    return OpenRound(backfill, journal, plan, store, round_.max_tries, clock, round_.run_started)


def _none_of(root: GsUri) -> Iterator[PlanPart]:
    """Give no part of a plan that is half of one thing and half of another."""
    yield from ()
    raise ClarityInputError(
        "What this task is to upscale, where to or how has changed since it was deferred, and its ledger "
        f"{root} is of what it was before. What was in flight is delivered or recorded, and nothing else was sent. "
        "Clear the task to begin with what it is now."
    )
