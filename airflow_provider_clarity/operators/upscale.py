"""One image through Clarity into a bucket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_clarity.exceptions import ERRORS, ClarityError, ClarityProviderError
from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.links.clarity import OBJECT_KEY, ClarityObjectLink
from airflow_provider_clarity.operators.base import ClarityOperator
from airflow_provider_clarity.operators.checks import about, seconds_of
from airflow_provider_clarity.operators.errors import failing_for_good
from airflow_provider_clarity.operators.lineage import lineage_of
from airflow_provider_clarity.operators.telling import count, counting_failures, label, tell_outlets

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_clarity.batch.drive import Paused
    from airflow_provider_clarity.batch.engine import Run
    from airflow_provider_clarity.batch.item import Item
    from airflow_provider_clarity.batch.record import Failure
    from airflow_provider_clarity.batch.tracked import ItemEnd
    from airflow_provider_clarity.operators.wiring import Wiring


class UpscaleOperator(ClarityOperator):
    """Upscale one image with Clarity, and land it in Cloud Storage. Never pays twice for the same picture.

    A retry, a clear, a crashed worker or another run with the same source, destination and parameters adopts what was
    bought before. Set ``retries`` of at least 1: a try that ended early is taken up where it was.

    .. note:: The service cannot cancel a task. Killing or clearing this one stops it from submitting; what is in flight
       stays paid, and the next try adopts it.

    :param source: ``gs://bucket/object``, an https URL, the UUID of a picture that Runware keeps, or a data URI
        (templated)
    :param destination: ``gs://bucket/object``, or a prefix ending in ``/`` under which the picture is called as its
        source (templated)
    :param upscale_factor: 2 is documented
    :param settings: the model's settings by their names on the model page, such as ``{"strength": 0.3}`` (templated)
    :param output_format: ``JPG``, ``PNG`` or ``WEBP``
    :param output_quality: 20 to 99; 95 where it is left out
    :param ttl: seconds for which the service keeps the picture, at least 60; it is fetched from there if its upload
        fails
    :param if_exists: what an occupied destination means: ``skip`` leaves it; ``update`` replaces it where source or
        parameters changed; ``overwrite`` buys a new picture once a DAG run; ``fail`` is an error before anything is
        paid. What is not ours is replaced by ``overwrite`` only
    :param max_attempts: purchases that a round (until the next clear) may make, after failures the service reported
    :param item_timeout: seconds of silence after which a task counts as lost
    :param upload_via: how the picture gets into the bucket. ``signed_url``: the service uploads to a presigned URL (a
        key, impersonation, or IAM's signBlob). ``resumable_session``: to an upload session, which any credentials can
        open. ``worker``: this task fetches it and no URL into a bucket leaves; a ``gs://`` source goes inline then.
        ``auto``: ``signed_url`` where that works, else ``resumable_session``
    :param input_via: how the service reads a ``gs://`` source: by a presigned GET (``signed_url``), or ``inline`` up to
        10 MiB. ``auto``: ``signed_url`` where that works, else ``inline``
    :param verify: ``strict`` refuses a picture whose size is not exactly the factor times its source's
    :param workspace: ``gs://`` prefix for staging; ``gs://<destination bucket>/_clarity/`` where it is left out
        (templated)
    :param clarity_conn_id: connection of type ``clarity`` (templated)
    :param gcp_conn_id: connection of type ``google_cloud_platform``; default credentials where the default one is
        absent (templated)
    :param impersonation_chain: service account to act as, or the chain to it (templated)
    :param user_project: project that pays for requester-pays buckets
    :param on_lost: whether a lost purchase may be bought again unasked
    :param deferrable: free the worker while waiting
    :param defer_after: wait from which on that pays, in seconds
    :param timeout: seconds, or a timedelta, that this try may take, deferred or not
    :return: ``{"uri", "outcome", "width", "height", "cost_usd", "seconds", "task_uuid"}``. ``outcome`` is
        ``delivered``, ``recovered``, ``done`` (before this run), ``stale`` or ``foreign``; ``cost_usd`` is what this
        DAG run paid, null where the service did not say
    """

    template_fields: Collection[str] = (
        "source",
        "destination",
        "settings",
        "workspace",
        "clarity_conn_id",
        "gcp_conn_id",
        "impersonation_chain",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json"}
    operator_extra_links = (ClarityObjectLink(),)
    ui_color = "#e8f0fe"

    _result: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Buy the picture if it is not bought yet, wait for it, land it."""
        with failing_for_good(), counting_failures(context):
            wiring, source, parameters = self._wire(context)
            item = wiring.item(source, self._destination(), parameters)
            self.log.info("Upscaling %s to %s (if_exists=%s).", source.shown, item.destination, self.if_exists)
            return self._go_on(context, wiring, item, time.time() + seconds_of("timeout", self.timeout, positive=True))

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take up what a trigger waited for. All it needs is in the event and in the bucket."""
        with failing_for_good(), counting_failures(context):
            run, deadline = self._read(event)
            wiring, source, _ = self._wire(context)
            item = wiring.known_item(run, source)
            return self._go_on(context, wiring, item, deadline)

    def get_openlineage_facets_on_start(self) -> Any:  # noqa: ANN401 - OpenLineage need not be installed
        """Say from what to what, as far as it is known before. Called by OpenLineage only."""
        return lineage_of(self._source(), self.destination, self.output_format, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ANN401, ARG002
        """Say what was made from what, and by which task; after a failure, what was to be."""
        return lineage_of(self._source(), self.destination, self.output_format, self._result)

    def _wire(self, context: Context) -> tuple[Wiring, Any, Any]:
        """Check what was written before any connection is opened, then open them."""
        from airflow_provider_clarity.operators.wiring import (  # noqa: PLC0415
            Wiring,
            open_access,
            run_key,
            run_place,
            run_started,
        )
        from airflow_provider_clarity.storage.uris import parse_source  # noqa: PLC0415 - nothing heavy at parse time

        parameters = self._parameters()
        with about("source"):
            source = parse_source(self._source())
        label(context, source.shown)
        self._destination()
        access = open_access(
            ClarityHook(self.clarity_conn_id), self.gcp_conn_id, self.impersonation_chain, self.user_project
        )
        wiring = Wiring(
            access=access,
            key=run_key(context),
            place=run_place(context),
            choices=self._choices(),
            max_tries=int(context["ti"].max_tries or 0),
            started=run_started(context),
        )
        return wiring, source, parameters

    def _source(self) -> str:
        return self.source if isinstance(self.source, str) else ""

    def _destination(self) -> Any:  # noqa: ANN401 - a GsUri; its import is heavy at parse time
        from airflow_provider_clarity.storage.uris import GsUri  # noqa: PLC0415

        with about("destination"):
            return GsUri.parse(self.destination)

    def _go_on(self, context: Context, wiring: Wiring, item: Item, deadline: float) -> dict[str, Any]:
        from airflow_provider_clarity.batch import messages  # noqa: PLC0415
        from airflow_provider_clarity.batch.engine import result_of  # noqa: PLC0415

        # Airflow makes the link whenever a try ends, a deferral too: it leads to where the picture will be.
        context["ti"].xcom_push(key=OBJECT_KEY, value=str(item.destination))
        this = wiring.round_of(item)
        if this.repeats is not None:
            self.log.info("This round is over since an earlier try: %s. Nothing is bought again.", this.repeats.outcome)
            if this.repeats.result is None:
                raise _error(this.repeats.failure, repeated=True)
            if not wiring.is_there(item):
                raise _error(messages.GONE)
            return self._deliver(context, dict(this.repeats.result))
        paused, end = asyncio.run(self._drive(context, wiring, item, wiring.run_of(this), deadline))
        if paused is not None:
            self._defer(wiring, item, paused, deadline)
        if end is None:
            raise ClarityProviderError("The engine came to no end. Nothing is bought twice by a retry; report this.")
        for note in end.notes:
            self.log.warning("%s: %s", end.uri, note)
        result = result_of(end)
        if result is None:
            raise _error(end.failure)
        if end.failure is not None:
            self.log.warning("%s", end.failure.message)
        self.log.info("%s", _sentence(end))
        return self._deliver(context, result)

    async def _drive(
        self, context: Context, wiring: Wiring, item: Item, run: Run, deadline: float
    ) -> tuple[Paused | None, ItemEnd | None]:
        from airflow_provider_clarity.batch.drive import drive  # noqa: PLC0415
        from airflow_provider_clarity.hooks.clarity import make_client  # noqa: PLC0415

        stopper = self._new_stopper()
        client = make_client(wiring.settings)
        try:
            engine = wiring.engine(client, item, run=run, log=self.log)
            image = engine.add(item)
            try:
                paused = await drive(
                    engine,
                    deadline=deadline,
                    defer_after=self._pays_to_defer(),
                    stopper=stopper,
                    log=self.log,
                )
            finally:
                count(context, engine.tally.take())
        finally:
            await client.aclose()
        return paused, image.end

    def _defer(self, wiring: Wiring, item: Item, paused: Paused, deadline: float) -> None:
        self.log.info("In flight: task %s. Freeing the worker until there is news.", paused.task_uuids[0])
        self._wait_for(wiring.record_of(item), paused, deadline, "all")

    def _deliver(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        context["ti"].xcom_push(key=OBJECT_KEY, value=result["uri"])
        tell_outlets(context, self.outlets, result)
        self._result = result
        return result


def _error(failure: Failure | None, *, repeated: bool = False) -> ClarityError:
    """Turn the end of a round into its error. It is final: another try would only repeat it."""
    if failure is None:
        error: ClarityError = ClarityProviderError("The picture could not be had, and nobody said why.")
    else:
        error = ERRORS[failure.kind](failure.message, code=failure.code)
    error.retryable, error.repeated = False, repeated
    return error


def _sentence(end: ItemEnd) -> str:
    size = f", {end.size[0]} x {end.size[1]} px" if end.size else ""
    cost = "cost not stated" if end.cost_microusd is None else f"${end.cost_microusd / 1_000_000:.4f}"
    return f"{end.outcome}: {end.uri}{size}, {cost}, {end.seconds:.1f} s (task {end.task_uuid})."
