"""From connections to a round of a backfill.

Invariant: nothing is kept between tries; which ledger a resumed task goes on with is in the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_clarity.batch.engine import Log
from airflow_provider_clarity.batch.journal.closing import Summary
from airflow_provider_clarity.batch.journal.siblings import sibling_totals
from airflow_provider_clarity.batch.money import micro_up, parse_max_cost, tighter
from airflow_provider_clarity.batch.plan.grammar import (
    parse_batch_destination,
    parse_batch_source,
    warning_for,
    within,
)
from airflow_provider_clarity.batch.plan.naming import NamePattern
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.batch.rounds import OpenRound, is_unasked, round_at
from airflow_provider_clarity.batch.running import Limits, Round, ledger_root, open_backfill
from airflow_provider_clarity.operators.checks import about
from airflow_provider_clarity.operators.wiring import Access, Choices
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.uris import GsUri


@dataclass(frozen=True, slots=True)
class Many:
    """What the user asks for, as it is written.

    :param shard: of the plan operator
    """

    source: str | Sequence[str]
    destination: str
    name_pattern: str
    shard: Mapping[str, Any] | None = None
    max_in_flight: int = 32
    max_cost_usd: float | str | None = None
    allow_upscaled_sources: bool = False


class BatchWiring:
    """Everything one try at many images needs.

    :param access: from the connections
    :param many: what the user asks for
    :param parameters: what is bought
    :param key: the run key
    :param place: the run key and the map index
    :param max_tries: Airflow's ``ti.max_tries``
    :param run_started: when Airflow began the DAG run, epoch seconds
    """

    def __init__(
        self,
        *,
        access: Access,
        many: Many,
        parameters: UpscaleParameters,
        choices: Choices,
        key: str,
        place: str,
        max_tries: int,
        run_started: float | None = None,
    ) -> None:
        self.settings = access.settings
        self._access = access
        self._choices = choices
        self._key = key
        self._place = place
        self._max_tries = max_tries
        self._run_started = run_started
        self.wanted = wanted_of(many, parameters, choices, access, key)
        self.workspace = Workspace.for_destination(self.wanted.destination, choices.workspace)
        shard = many.shard or {}
        self.limits = Limits(
            max_in_flight=many.max_in_flight,
            cap=tighter(
                parse_max_cost(many.max_cost_usd),
                parse_max_cost(shard.get("max_cost_usd"), name="the shard's max_cost_usd"),
            ),
            expected=micro_up(access.settings.expected_cost_usd),
        )

    def root(self) -> tuple[GsUri, Summary | None]:
        """Find the ledger of this try, and how its round ended where that is only repeated. Blocks."""
        root = ledger_root(self.workspace, self.wanted, self._place)
        number, summary = round_at(self._access.store, root, self._max_tries, self._run_started)
        return root.child(f"{number}/"), summary

    def open(self, client: ClarityClient, root: GsUri, log: Log) -> OpenRound:
        """Take the ledger over and put the round together. Blocks.

        :param root: from :meth:`root`, or from the event
        """
        before = sibling_totals(self._access.store, self.workspace.root, self._place, besides=root).closed()
        number = int(root.name.rstrip("/").rpartition("/")[2])
        unasked = is_unasked(self._access.store, root, self._max_tries)
        return open_backfill(
            client=client,
            store=self._access.store,
            requests=self._access.requests(self._choices),
            wanted=self.wanted,
            workspace=self.workspace,
            root=root,
            round_=Round(self._key, self._place, number, self._max_tries, before, self._run_started, unasked),
            rules=self._choices.rules,
            limits=self.limits,
            log=log,
            submit_timeout=self._access.settings.timeout,
            verify=self._choices.verify,
            allowed_image_hosts=self._access.settings.allowed_image_hosts,
        )


def wanted_of(
    many: Many, parameters: UpscaleParameters, choices: Choices, access: Access, key: str
) -> Wanted:  # fmt: skip
    """Read what the user asks for.

    :raises ClarityInputError: naming the parameter
    """
    with about("source"):
        source = parse_batch_source(many.source if isinstance(many.source, str) else list(many.source))
        if many.shard is not None:
            source = within(source, many.shard)
    with about("destination"):
        destination = parse_batch_destination(many.destination)
    roots = {
        Workspace.for_destination(destination, choices.workspace).root,
        Workspace.for_destination(destination).root,
    }
    return Wanted(
        source=source,
        destination=destination,
        parameters=parameters,
        api_host=urlsplit(access.settings.base_url).hostname or "",
        run_key=key,
        if_exists=choices.if_exists,
        pattern=NamePattern(many.name_pattern),
        workspaces=tuple(sorted(roots, key=str)),
        allow_upscaled_sources=many.allow_upscaled_sources,
    )


def odd_about(many: Many) -> str | None:
    """Say what is allowed but odd about a source."""
    return warning_for(parse_batch_source(many.source if isinstance(many.source, str) else list(many.source)))
