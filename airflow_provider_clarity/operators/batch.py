"""Many images through Clarity into a bucket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_clarity.exceptions import (
    ClarityError,
    ClarityFencedError,
    ClarityInputError,
)
from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.links.clarity import (
    DEAD_LETTER_KEY,
    MANIFEST_KEY,
    OBJECT_KEY,
    ClarityBucketLink,
    ClarityDeadLetterLink,
    ClarityManifestLink,
)
from airflow_provider_clarity.operators.base import ClarityOperator
from airflow_provider_clarity.operators.checks import about, check_choice, check_count, seconds_of
from airflow_provider_clarity.operators.errors import failing_for_good
from airflow_provider_clarity.operators.lineage import lineage_between
from airflow_provider_clarity.operators.telling import count, label, tell_outlets_of_many
from airflow_provider_clarity.triggers.upscale import MOST

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_clarity.batch.drive import Paused
    from airflow_provider_clarity.batch.rounds import Ended
    from airflow_provider_clarity.operators.batch_wiring import BatchWiring
    from airflow_provider_clarity.storage.uris import GsUri

OnBudget = Literal["fail", "stop"]
OnEmpty = Literal["skip", "succeed", "fail"]


class UpscaleBatchOperator(ClarityOperator):
    """Upscale all images under a prefix, of a glob, a list or a manifest. Never pays twice for the same picture.

    One Airflow task takes any number of images: it keeps as many at the service as the service takes, learns how many
    that are, and remembers in the bucket what it began. A retry, a clear, a crashed worker or another run adopts what
    was bought; a second run over the same images submits nothing. Set ``retries`` of at least 1.

    Its other parameters are those of :class:`~airflow_provider_clarity.operators.upscale.UpscaleOperator`.

    :param source: a prefix that ends in ``/`` (recursive), a glob (``gs://raw/day/*.png``), a manifest
        (``gs://raw/day.jsonl``, a row an image; a dead letter is one), or a list of URIs (templated)
    :param destination: a prefix that ends in ``/`` (templated)
    :param shard: of ``UpscalePlanOperator``: ``.expand(shard=plan.output)`` (templated)
    :param name_pattern: what pictures are called under the destination, from ``{bucket} {path} {stem} {ext}
        {generation}`` (templated)
    :param max_in_flight: purchases that are with the service at once, at most
    :param max_cost_usd: what this task may spend, over all its tries and clears; of a mapped task each map index
        (templated)
    :param on_budget: whether the task fails where the budget leaves images out, or ends green with a warning
    :param tolerated_failures: images that may fail, as a number or a share such as ``"5%"``
    :param on_empty: whether a source without images skips the task, succeeds, or fails
    :param allow_upscaled_sources: take pictures that this package made as sources, too
    :param defer_after: wait from which on it pays to free the worker, in seconds. While the window turns over faster,
        the task stays: feeding it is work
    :param timeout: seconds, or a timedelta, that this try may take, deferred or not; what is left is a retry's
    :return: ``{"v", "run", "planned", "delivered", "recovered", "done", "stale", "foreign", "failed": {kind: n},
        "not_submitted": {why: n}, "adopted", "passed_over": {reason: n}, "purchases", "cost_usd", "cost_unknown",
        "seconds", "manifest", "dead_letter"}``
    """

    template_fields: Collection[str] = (
        "source",
        "destination",
        "settings",
        "workspace",
        "clarity_conn_id",
        "gcp_conn_id",
        "impersonation_chain",
        "shard",
        "max_cost_usd",
        "name_pattern",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json", "shard": "json"}
    operator_extra_links = (ClarityManifestLink(), ClarityDeadLetterLink(), ClarityBucketLink())
    ui_color = "#e8f0fe"
    _result: dict[str, Any] | None = None

    def __init__(  # noqa: PLR0913 - the surface
        self,
        *,
        shard: dict[str, Any] | None = None,
        name_pattern: str = "{path}{stem}.{ext}",
        max_in_flight: int = 32,
        max_cost_usd: float | str | None = None,
        on_budget: OnBudget = "fail",
        tolerated_failures: int | str = 0,
        on_empty: OnEmpty = "skip",
        allow_upscaled_sources: bool = False,
        defer_after: float = 30,
        timeout: float | timedelta = timedelta(hours=6),
        **kwargs: Any,  # noqa: ANN401 - those of one image, and BaseOperator's
    ) -> None:
        super().__init__(defer_after=defer_after, timeout=timeout, **kwargs)
        self.shard = shard
        self.name_pattern = name_pattern
        self.max_in_flight = max_in_flight
        self.max_cost_usd = max_cost_usd
        self.on_budget: OnBudget = on_budget
        self.tolerated_failures = tolerated_failures
        self.on_empty: OnEmpty = on_empty
        self.allow_upscaled_sources = allow_upscaled_sources

    def execute(self, context: Context) -> dict[str, Any]:
        """Buy what is not bought yet, wait for it, land it."""
        with failing_for_good():
            wiring = self._wire(context)
            root, summary = wiring.root()
            if summary is not None:
                self.log.info("This round is over since an earlier try. Nothing is bought again. Its ledger: %s", root)
                return self._end(context, summary.result, summary.failure, ())
            self.log.info("Upscaling %s to %s (if_exists=%s).", self._shown(), self.destination, self.if_exists)
            return self._go_on(context, wiring, root, time.time() + seconds_of("timeout", self.timeout, positive=True))

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take up what a trigger waited for. All it needs is in the event and in the bucket."""
        from airflow_provider_clarity.storage.uris import GsUri  # noqa: PLC0415

        with failing_for_good():
            run, deadline = self._read(event)
            return self._go_on(context, self._wire(context), GsUri.parse(run), deadline)

    def get_openlineage_facets_on_start(self) -> Any:  # noqa: ANN401 - OpenLineage need not be installed
        """Say from which prefix to which. Called by OpenLineage only."""
        return lineage_between(self.source, self.destination)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ANN401, ARG002
        """Say the same: ten thousand datasets would help nobody."""
        return lineage_between(self.source, self.destination)

    def _wire(self, context: Context) -> BatchWiring:
        """Check what was written before any connection is opened, then open them."""
        from airflow_provider_clarity.batch.outcomes import parse_tolerated  # noqa: PLC0415 - not at parse time
        from airflow_provider_clarity.operators.batch_wiring import BatchWiring, Many, odd_about  # noqa: PLC0415
        from airflow_provider_clarity.operators.wiring import (  # noqa: PLC0415
            open_access,
            run_key,
            run_place,
            run_started,
        )

        parameters = self._parameters()
        check_count("max_in_flight", self.max_in_flight, at_least=1)
        check_choice("on_budget", self.on_budget, get_args(OnBudget))
        check_choice("on_empty", self.on_empty, get_args(OnEmpty))
        parse_tolerated(self.tolerated_failures)
        many = Many(
            self.source,
            self.destination,
            self.name_pattern,
            self.shard,
            self.max_in_flight,
            self.max_cost_usd,
            self.allow_upscaled_sources,
        )
        with about("source"):
            if (odd := odd_about(many)) is not None:
                self.log.warning("%s", odd)
        label(context, self._shown())
        access = open_access(
            ClarityHook(self.clarity_conn_id), self.gcp_conn_id, self.impersonation_chain, self.user_project
        )
        return BatchWiring(
            access=access,
            many=many,
            parameters=parameters,
            choices=self._choices(),
            key=run_key(context),
            place=run_place(context),
            max_tries=int(context["ti"].max_tries or 0),
            run_started=run_started(context),
        )

    def _shown(self) -> str:
        """Name the source for a person, with the shard, without a secret."""
        named = self.source if isinstance(self.source, str) else f"{len(self.source)} sources"
        if not self.shard or (self.shard.get("start") is None and self.shard.get("end") is None):
            return named
        return f"{named} [{self.shard.get('start') or ''} .. {self.shard.get('end') or ''}]"

    def _go_on(self, context: Context, wiring: BatchWiring, root: GsUri, deadline: float) -> dict[str, Any]:
        context["ti"].xcom_push(key=OBJECT_KEY, value=self.destination)
        paused, ended = asyncio.run(self._drive(context, wiring, root, deadline))
        if paused is not None:
            enough = max(1, min(len(paused.task_uuids), MOST) // 2)
            self._wait_for(str(root), paused, deadline, {"settled": enough})
        if ended is None:
            raise ClarityFencedError("The backfill came to no end. Nothing is bought twice by a retry; report this.")
        return self._end(context, ended.result, ended.failure, ended.warnings)

    async def _drive(
        self, context: Context, wiring: BatchWiring, root: GsUri, deadline: float
    ) -> tuple[Paused | None, Ended | None]:
        from airflow_provider_clarity.batch.drive import drive  # noqa: PLC0415
        from airflow_provider_clarity.batch.outcomes import parse_tolerated  # noqa: PLC0415
        from airflow_provider_clarity.hooks.clarity import make_client  # noqa: PLC0415

        stopper = self._new_stopper()
        client = make_client(wiring.settings)
        try:
            this = await asyncio.to_thread(wiring.open, client, root, self.log)
            try:
                paused = await drive(
                    this.backfill,
                    deadline=deadline,
                    defer_after=self._pays_to_defer(),
                    stopper=stopper,
                    log=self.log,
                )
                await this.backfill.settled()
            except ClarityFencedError:
                raise
            except ClarityError as error:
                await asyncio.to_thread(this.interrupt, "stopped" if stopper.asked else error.kind)
                raise
            finally:
                count(context, this.backfill.tally.take())
            if paused is not None:
                await asyncio.to_thread(this.pause)
                self.log.info("%s. Freeing the worker until there is news.", this.backfill.line())
                return paused, None
            self.log.info("%s. All is over; writing the manifest.", this.backfill.line())
            tolerated = parse_tolerated(self.tolerated_failures)
            return None, await asyncio.to_thread(this.finish, tolerated=tolerated, on_budget=self.on_budget)
        finally:
            await client.aclose()

    def _end(self, context: Context, result: dict[str, Any], failure: Any, warnings: Collection[str]) -> dict[str, Any]:  # noqa: ANN401
        """Tell Airflow how the round ended."""
        from airflow_provider_clarity.batch.outcomes import error_of  # noqa: PLC0415

        context["ti"].xcom_push(key=MANIFEST_KEY, value=result["manifest"])
        if result["dead_letter"]:
            context["ti"].xcom_push(key=DEAD_LETTER_KEY, value=result["dead_letter"])
        if failure is not None:
            raise error_of(failure)
        for warning in warnings:
            self.log.warning("%s", warning)
        self.log.info(
            "%d planned: %d delivered, %d recovered, %d done. $%.4f. %s",
            result["planned"],
            result["delivered"],
            result["recovered"],
            result["done"],
            result["cost_usd"],
            result["manifest"],
        )
        if not result["planned"]:
            self._nothing()
        tell_outlets_of_many(context, self.outlets, self.destination, result)
        self._result = result
        return result

    def _nothing(self) -> None:
        """Act on a source without images, as the user chose."""
        what = f"There is no image to upscale in {self._shown()}."
        if self.on_empty == "skip":
            raise AirflowSkipException(what)
        if self.on_empty == "fail":
            raise ClarityInputError(f'{what} Nothing was paid. Correct the source, or use on_empty="skip".')
        self.log.warning("%s", what)
