"""What must hold after every sequence, told from the accounts of the service and what lies in the buckets.

The bill is the service's own; what each ledger claims of it is read from the stored segments here, line by line, and
not by the sums that the ledger keeps: those are compared with it. :func:`breaches` names what does not hold;
:func:`named` names the cases in which it is known that a picture may be billed twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from sequence_service import Purchase, said_by
from sequence_world import PRINT, World

from airflow_provider_clarity.batch.counts import Counts
from airflow_provider_clarity.batch.identity import task_uuid
from airflow_provider_clarity.batch.journal.closing import MANIFEST, read_summary
from airflow_provider_clarity.batch.journal.segments import find_segments, read_segments, read_state
from airflow_provider_clarity.batch.journal.state import RunState
from airflow_provider_clarity.batch.plan.rows import read_rows
from airflow_provider_clarity.batch.record import Attempt, TaskRecord
from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.errors import classify
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.uris import GsUri

WORKSPACE = GsUri(PRINT.bucket, "_clarity/")
LANDED = ("delivered", "recovered", "superseded", "undelivered")


@dataclass(frozen=True)
class Claim:
    """What somebody says that it paid for a task.

    :param place: whose it is
    :param cost: micro-dollars; None where nobody knows
    """

    place: str
    uuid: str
    cost: int | None
    outcome: str | None


def breaches(world: World) -> list[str]:
    """Say what does not hold."""
    said = [f"defect: {error!r}" for error in world.defects]
    said += [f"{name} does not come to its end: {world.last_error(name)}" for name in world.unended]
    ledgers = {root: _Ledger(world, root) for root in _roots(world)}
    records = _records(world)
    said += _billed_twice(world, records)
    for root, ledger in ledgers.items():
        said += [f"{root.name}: {line}" for line in ledger.breaches()]
    claims = [claim for ledger in ledgers.values() for claim in ledger.claims()]
    claims += list(_single_claims(world, records))
    said += _accounts(world, claims)
    said += _budgets(world, claims)
    said += _pictures(world)
    said += _nothing_is_lost(world, records, ledgers.values())
    return said


def named(world: World) -> Counter[str]:
    """Count the known cases in which a picture was billed twice."""
    found: Counter[str] = Counter()
    for first, second in _again(world):
        if first.uuid == second.uuid:
            found[_case(first, second) or "unnamed"] += 1
    return found


def _again(world: World) -> Iterator[tuple[Purchase, Purchase]]:
    """Give each two purchases in a row of one UUID."""
    of: dict[str, list[Purchase]] = {}
    for purchase in world.service.purchases:
        of.setdefault(str(purchase.uuid), []).append(purchase)
    for purchases in of.values():
        yield from pairwise(purchases)


def _once(world: World) -> list[Purchase]:
    """Give the purchases, of each UUID the first."""
    first: dict[UUID, Purchase] = {}
    for purchase in world.service.purchases:
        first.setdefault(purchase.uuid, purchase)
    return list(first.values())


def _case(first: Purchase, second: Purchase) -> str | None:
    """Name why one UUID was taken twice: see docs/design.md, "Where it can still bill twice"."""
    if second.late or first.late:
        return "2: a POST under way longer than its timeout"
    if first.place != second.place:
        return "2: two records of one identity"
    if first.silences and not second.written:
        # Who sent it again could not know what only the other's ledger says.
        return "2: two records of one identity" if second.elsewhere else "1: forgotten within the window"
    return None


def _billed_twice(world: World, records: dict[str, TaskRecord]) -> list[str]:
    said = []
    for first, second in _again(world):
        if world.story.switches.conflict_after_done == "conflict":
            said.append(f"{first.uuid} was taken twice, which such a service does not do")
        elif _case(first, second) is None:
            said.append(f"{first.uuid} was bought twice, in no known case")
    for identity, known in records.items():
        order = {task_uuid(identity, n): n for n in range(1, len(known.attempts) + 1)}
        bought = [one for one in _once(world) if one.uuid in order]
        for first, second in pairwise(bought):
            taken = [one for one in world.service.purchases if one.uuid == first.uuid]
            # To one run, while another's POST of the same UUID was taken.
            reported = {first.uuid, second.uuid} & world.service.failed_at_submit
            if not (reported or any(_may_follow(one, second, identity) for one in taken)):
                said.append(f"attempt {order[second.uuid]} of {identity[:8]} was bought after one that had not failed")
    return said


def _may_follow(first: Purchase, second: Purchase, identity: str) -> bool:
    failed = first.error is not None and classify(first.error).kind != "delivery"
    asked = second.round_number > 0 or second.run == "dead"
    gone = str(first.uuid) in second.landed and second.there != identity
    return failed or asked or gone


class _Ledger:
    """One ledger as its segments tell it."""

    def __init__(self, world: World, root: GsUri) -> None:
        self.world = world
        self.root = root
        self.place = root.name.split("/runs/")[1].rpartition("/")[0].rpartition("/")[0].rpartition("/")[0]
        store = world.store
        found = find_segments(store, root)
        self.state: RunState = read_state(store, root, found)
        self.attempts: dict[str, dict[int, Attempt]] = {}
        self.ours: dict[str, set[int]] = {}
        self.rows: dict[int, str] = {}
        self.uuids_named: set[str] = set()
        self._read(store, found)

    def _read(self, store: object, found: object) -> None:
        at: dict[int, str] = {}
        for segment in read_segments(store, self.root, found):  # type: ignore[arg-type]
            for line in segment.lines:
                match line.kind:
                    case "intent":
                        identity = line.record.identity
                        at[line.position] = identity
                        self.attempts.setdefault(identity, {}).update({one.n: one for one in line.record.attempts})
                        if line.first:
                            self.ours.setdefault(identity, set()).add(len(line.record.attempts))
                    case "news":
                        self.attempts.setdefault(line.identity, {}).update({one.n: one for one in line.attempts})
                    case "end" if line.position not in self.rows:
                        self.rows[line.position] = line.outcome
                        if line.task_uuid is not None and line.outcome == "failed":
                            self.uuids_named.add(line.task_uuid)
                        if line.adopted and line.position in at:
                            known = self.attempts[at[line.position]]
                            known[max(known)] = known[max(known)].model_copy(update={"adopted": True})
                    case _:
                        pass

    def claims(self) -> Iterator[Claim]:
        """Give what this ledger says that it paid."""
        for identity, ours in self.ours.items():
            for n in ours:
                claim = _claim(self.place, self.attempts[identity][n])
                if claim is not None:
                    yield claim

    def breaches(self) -> Iterator[str]:
        """Say what does not hold of it alone."""
        claims = list(self.claims())
        totals = self.state.totals
        known = sum(claim.cost or 0 for claim in claims)
        if known != totals.spent_microusd:
            yield f"its attempts cost {known}, and its totals say {totals.spent_microusd}"
        unknown = sum(claim.cost is None for claim in claims)
        if unknown != totals.unknown:
            yield f"nobody knows the cost of {unknown} attempts, and its totals say {totals.unknown}"
        if totals.in_flight:
            yield "something is in flight for ever"
        summary = read_summary(self.world.store, self.root)
        manifest = self.world.buckets.objects.get(self.root.child(MANIFEST))
        if summary is None or manifest is None:
            yield "no summary"
            return
        try:
            Counts.read(summary.counts, planned=summary.planned, adopted=summary.adopted).checked(whole=True)
        except ClarityError as error:
            yield str(error)
        rows = list(read_rows(manifest.data.splitlines()))
        outcomes = Counter(row.outcome for row in rows)
        counted: Counter[str | None] = Counter()
        for key, number in summary.counts.items():
            counted[key.partition(".")[0]] += number
        if outcomes != counted or len(rows) != summary.planned:
            yield f"the manifest has {outcomes}, the summary {counted} of {summary.planned}"


def _claim(place: str, attempt: Attempt) -> Claim | None:
    if attempt.adopted or (attempt.outcome is None and attempt.sent_at is None):
        return None
    cost = attempt.cost_microusd if attempt.outcome is not None else None
    in_vain = attempt.failure is not None and attempt.failure.kind == "delivery"  # paid, and never landed
    if attempt.outcome == "failed" and not in_vain:
        cost = cost or 0
    return Claim(place, str(attempt.task_uuid), cost, attempt.outcome)


def _roots(world: World) -> list[GsUri]:
    found = {uri.name.partition("segments/")[0] for uri in world.buckets.objects if "/segments/" in uri.name}
    return [GsUri(PRINT.bucket, name) for name in sorted(found)]


def _records(world: World) -> dict[str, TaskRecord]:
    found = [kept for uri, kept in world.buckets.objects.items() if uri.name.startswith("_clarity/tasks/")]
    records = [TaskRecord.model_validate_json(kept.data) for kept in found]
    return {record.identity: record for record in records}


def _single_claims(world: World, records: dict[str, TaskRecord]) -> Iterator[Claim]:
    places = {run.place for run in world.runs.values() if run.single}
    for record in records.values():
        for attempt in record.attempts:
            if attempt.place in places and (claim := _claim(attempt.place, attempt)) is not None:
                yield claim


def _accounts(world: World, claims: list[Claim]) -> list[str]:
    """Compare what was billed with what is claimed, task by task."""
    said = []
    of: dict[str, list[Claim]] = {}
    for claim in claims:
        of.setdefault(claim.uuid, []).append(claim)
    bought: dict[str, list[Purchase]] = {}
    for purchase in world.service.purchases:
        bought.setdefault(str(purchase.uuid), []).append(purchase)
    for uuid in sorted({*of, *bought}):
        billed = sum(one.billed for one in bought.get(uuid, []))
        known = [claim.cost for claim in of.get(uuid, []) if claim.cost is not None]
        unknown = [claim for claim in of.get(uuid, []) if claim.cost is None]
        unsaid = any(one.error is not None for one in bought.get(uuid, [])) and (
            world.story.switches.bill_failed == "unstated"
        )
        twice = len(bought.get(uuid, [])) > 1
        right = sum(known) <= billed if unknown or unsaid else sum(known) == billed
        if right:
            continue
        if twice and sum(known) in {one.billed for one in bought[uuid]}:
            continue  # the service bills one UUID twice, and says once what it cost
        said.append(f"{uuid}: {billed} was billed, and {of.get(uuid, [])} is claimed")
    return said


def _budgets(world: World, claims: list[Claim]) -> list[str]:
    """See that no budget was exceeded by more than what nobody could foresee."""
    if world.story.cap is None:
        return []
    said = []
    price = {str(one.uuid): one.price for one in world.service.purchases}
    billed = {str(one.uuid): one.billed for one in world.service.purchases}
    unsaid = {
        str(one.uuid)
        for one in world.service.purchases
        if one.error is not None and world.story.switches.bill_failed == "unstated"
    }
    for run in world.runs.values():
        if run.single:
            continue
        theirs = {claim.uuid for claim in claims if claim.place != run.place and claim.cost}
        ours = {claim.uuid for claim in claims if claim.place == run.place} - unsaid - theirs
        spent = sum(billed.get(uuid, 0) for uuid in ours)
        reserves = world.service.reserves.get(run.place, {})
        unknown = {claim.uuid for claim in claims if claim.place == run.place and claim.cost is None}
        flying = {uuid: reserves.get(uuid, 0) for uuid in unknown} | world.service.last_flying.get(run.place, {})
        over = sum(max(0, price.get(uuid, 0) - reserve) for uuid, reserve in flying.items())
        if spent > world.story.cap + over:
            said.append(f"{run.place} spent {spent} of {world.story.cap}, {over} over which could not be foreseen")
    return said


def _pictures(world: World) -> list[str]:
    """See that every picture that ever had a final name is the one that its metadata tells of, and whole."""
    said = []
    for uri, kept in world.buckets.put_ever:
        if not uri.name.startswith(PRINT.name) or (proven := Provenance.from_metadata(kept.metadata)) is None:
            continue
        told = said_by(kept.data)
        right = (
            told is not None
            and told["uuid"] == str(proven.task_uuid)
            and told["source"] == f"{proven.source}#{proven.source_generation}"
            and kept.data.endswith(b"\xff\xd9")
            and proven.pixels == (16, 12)
        )
        if not right:
            said.append(f"{uri} was a wrong picture: {told}, {proven}")
    for before, after in pairwise(_finals(world)):
        old, new = Provenance.from_metadata(before[1].metadata), Provenance.from_metadata(after[1].metadata)
        strange = before[0] == after[0] and old is None and before[1].generation not in world.buckets.deleted
        if strange and new is not None and "fresh" not in new.run_key:
            said.append(f"{after[0]}: somebody else's object was replaced")
        if before[0] != after[0] or old is None or new is None:
            continue
        if (old.source_generation or 0) > (new.source_generation or 0):
            said.append(f"{after[0]}: an older source replaced a newer one")
    return said


def _finals(world: World) -> list:  # type: ignore[type-arg]
    found = [(uri, kept) for uri, kept in world.buckets.put_ever if uri.name.startswith(PRINT.name)]
    return sorted(found, key=lambda one: (one[0].name, one[1].generation))


def _nothing_is_lost(world: World, records: dict[str, TaskRecord], ledgers: object) -> list[str]:
    """See that every paid picture landed, is kept, or is named."""
    landed = {
        str(proven.task_uuid)
        for uri, kept in world.buckets.put_ever
        if not uri.name.startswith("_clarity/staging/")
        and (proven := Provenance.from_metadata(kept.metadata)) is not None
    }
    named_ = {uuid for ledger in ledgers for uuid in ledger.uuids_named}  # type: ignore[attr-defined]
    for record in records.values():
        for one in record.attempts:
            ended_badly = one.failure is not None and one.failure.kind in ("lost", "delivery")
            # One of two purchases of an image: the picture of the other has the name.
            other = one.outcome == "delivered" and len(record.attempts) > 1
            if one.outcome == "superseded" or ended_badly or other:
                named_.add(str(one.task_uuid))
    twice = {str(second.uuid) for _, second in _again(world)}  # counted by `named`
    # A service that says that a task failed, and then takes another run's POST of it: the next attempt has the name.
    twice |= {str(uuid) for uuid in world.service.failed_at_submit}
    return [
        f"the picture of {one.uuid} was paid, is nowhere, and nobody says so"
        for one in world.service.purchases
        if str(one.uuid) not in twice and one.error in (None, "uploadFailed") and str(one.uuid) not in landed | named_
    ]
