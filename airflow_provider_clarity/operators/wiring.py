"""From connections to an engine: the one place where hook, credentials, store and engine meet.

Invariant: nothing is read at parse time and nothing is kept between tries; what a resumed task needs comes from the
record in the bucket.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.engine import Engine, Log, Run
from airflow_provider_clarity.batch.identity import content_key
from airflow_provider_clarity.batch.item import Item, make_item, recorded_item
from airflow_provider_clarity.batch.landing import Landing
from airflow_provider_clarity.batch.ledger import RecordLedger, follow_trace, load_record, record_uri
from airflow_provider_clarity.batch.policy import IfExists, Round, round_of
from airflow_provider_clarity.batch.record import TaskRecord
from airflow_provider_clarity.batch.submission import BucketRequests
from airflow_provider_clarity.exceptions import ClarityInputError, ClarityLostError
from airflow_provider_clarity.hooks.clarity import ClarityHook, ClaritySettings
from airflow_provider_clarity.hooks.google import client_of, google_credentials
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.delivery import Verify, Workspace
from airflow_provider_clarity.storage.endpoints import UploadVia
from airflow_provider_clarity.storage.inputs import InputVia
from airflow_provider_clarity.storage.pool import widen
from airflow_provider_clarity.storage.provenance import Provenance
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsSource, GsUri, Source, final_name

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_PATIENCE = 30.0
"""Seconds for one call with all its repeats: a stop waits for the call under way, and the engine repeats too."""


def run_key(context: Context) -> str:
    """Name whose purchase it is: DAG id, run id and task id, each percent-encoded. Never the try number."""
    ti = context["ti"]
    return "/".join(quote(str(part), safe="") for part in (ti.dag_id, ti.run_id, ti.task_id))


def run_place(context: Context) -> str:
    """Name the task instance: the run key and the map index."""
    return f"{run_key(context)}/{getattr(context['ti'], 'map_index', -1)}"


def run_started(context: Context) -> float | None:
    """Say when Airflow began the DAG run, epoch seconds: the same for all tries, another for a later run of that id."""
    run = context.get("dag_run")
    return run.start_date.timestamp() if run is not None and run.start_date is not None else None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose for one image, checked.

    :param max_attempts: purchases that a round may make
    """

    if_exists: IfExists
    verify: Verify
    upload_via: UploadVia
    input_via: InputVia
    ttl: int | None
    workspace: str | None
    rules: Rules


@dataclass(frozen=True, slots=True)
class Access:
    """What the connections give.

    :param settings: of the ``clarity`` connection
    :param store: of the buckets
    :param signer: makes presigned URLs, where it can
    """

    settings: ClaritySettings
    store: ObjectStore
    signer: Signer

    def requests(self, choices: Choices) -> BucketRequests:
        """Make the one that makes requests, by the ways that were chosen."""
        return BucketRequests(
            self.store,
            self.signer,
            upload_via=choices.upload_via,
            input_via=choices.input_via,
            ttl=choices.ttl,
            webhook_url=self.settings.webhook_url,
        )


def open_access(
    hook: ClarityHook, gcp_conn_id: str, impersonation_chain: str | Sequence[str] | None, user_project: str | None
) -> Access:
    """Read both connections. Raises :class:`ClarityAuthError` naming what is missing."""
    settings = hook.get_settings()
    access = google_credentials(gcp_conn_id, impersonation_chain)
    client = client_of(access)
    widen(client)
    store = ObjectStore(client, user_project=user_project, patience=_PATIENCE)
    signer = Signer(client, access.credentials, user_project=user_project, iam_endpoint=access.iam_endpoint)
    return Access(settings, store, signer)


class Wiring:
    """Everything one try at one image needs, made from the connections.

    :param key: the run key
    :param place: the run key and the map index
    :param max_tries: Airflow's ``ti.max_tries`` now; only a clear raises it
    :param started: when Airflow began the DAG run, epoch seconds; None where it is not known
    """

    def __init__(
        self,
        *,
        access: Access,
        key: str,
        place: str,
        choices: Choices,
        max_tries: int = 0,
        started: float | None = None,
    ) -> None:
        self.settings = access.settings
        self.store = access.store
        self.key = key
        self._access = access
        self._choices = choices
        self.place = place
        self._max_tries = max_tries
        self._started = started
        self._owner = uuid.uuid4().hex

    def item(self, source: Source, destination: GsUri, parameters: UpscaleParameters) -> Item:
        """Say which image this try is about: the one that an earlier try of the run began, or a new one.

        What an earlier try sent is seen to its end, even if its source was replaced or deleted since; so is a round
        that is over.
        """
        found = follow_trace(self.store, self._trace(source, destination, parameters))
        if found is not None:
            record, last = found[1], found[1].last
            flying = last is not None and last.outcome is None and last.last_sent_at is not None
            if flying or self._round(record).repeats is not None:
                return recorded_item(record, source)
        return self.new_item(source, destination, parameters)

    def new_item(self, source: Source, destination: GsUri, parameters: UpscaleParameters) -> Item:
        """Give an image its identity; a ``gs://`` source is looked up for its generation."""
        ext = (parameters.output_format or "JPG").lower()
        generation = None
        if isinstance(source, GsSource):
            found = self.store.stat(source.uri)
            if found is None:
                raise ClarityInputError(
                    f"The source {source.shown} does not exist. Nothing was sent and nothing was paid. Correct its "
                    "name, or wait for what writes it."
                )
            generation = found.generation
        return make_item(
            api_host=urlsplit(self.settings.base_url).hostname or "",
            source=source,
            source_generation=generation,
            destination=final_name(destination, source, ext),
            parameters=parameters,
            salt=self.key if self._choices.if_exists == "overwrite" else "",
        )

    def known_item(self, record_uri_: str, source: Source) -> Item:
        """Rebuild an image from its record: who it is does not depend on the source as it is now."""
        record, _ = load_record(self.store, GsUri.parse(record_uri_))
        if record is None:
            raise ClarityLostError(
                f"The task record {record_uri_} is gone. What is in flight stays paid, and is adopted where its "
                "picture reached the bucket. Do not delete _clarity/tasks/ while tasks run; then clear the task."
            )
        return recorded_item(record, source)

    def round_of(self, item: Item) -> Round:
        """Read which round this try belongs to, and whether it is over."""
        return self._round(load_record(self.store, record_uri(item))[0])

    def run_of(self, this: Round) -> Run:
        """Say whose work a round is."""
        return Run(self.key, self.place, this.number, self._max_tries, self._started, this.unasked)

    def _round(self, record: TaskRecord | None) -> Round:
        end = record.runs.get(self.place) if record is not None else None
        return round_of(end, self._max_tries, self._started)

    def is_there(self, item: Item) -> bool:
        """Whether the final name still carries what was bought for it."""
        found = self.store.stat(item.destination)
        proven = Provenance.from_metadata(found.metadata) if found is not None else None
        return proven is not None and proven.identity == item.identity

    def record_of(self, item: Item) -> str:
        """Where the task record of an image lies."""
        return str(record_uri(item))

    def engine(self, client: ClarityClient, item: Item, *, run: Run, log: Log) -> Engine:
        """Make the engine for one image."""
        choices = self._choices
        return Engine(
            client=client,
            ledger=RecordLedger(
                self.store,
                owner=self._owner,
                clock=time.time,
                lease=choices.rules.lease,
                trace=self._trace(item.given, item.destination, item.parameters),
            ),
            requests=self._access.requests(choices),
            landing=Landing(
                self.store,
                Workspace.for_destination(item.destination, choices.workspace),
                run.key,
                run.place,
                if_exists=choices.if_exists,
                verify=choices.verify,
                allowed_image_hosts=self.settings.allowed_image_hosts,
            ),
            run=run,
            rules=choices.rules,
            log=log,
            submit_timeout=self.settings.timeout,
            clock=time.time,
        )

    def _trace(self, source: Source, destination: GsUri, parameters: UpscaleParameters) -> GsUri:
        """Say where this task instance writes down which image it is on.

        A map index may mean another image after a clear, so what was rendered is part of the name.
        """
        ext = (parameters.output_format or "JPG").lower()
        rendered = content_key(
            api_host="",
            source=source.canonical,
            source_generation=None,
            destination=str(final_name(destination, source, ext)),
            parameters=parameters.canonical(),
        )
        root = Workspace.for_destination(destination).root
        return root.child(f"runs/{self.place}/{rendered[:8]}/image.json")
