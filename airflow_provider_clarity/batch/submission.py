"""The one place where presigned URLs live: made, put into the request, sent, dropped.

Invariant: what :meth:`Requests.make` returns is neither logged nor stored by anybody; the engine hands it to the client
and forgets it. All that remains is when the endpoint expires.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol
from uuid import UUID

from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.runware.wire import UpscaleInputs, UpscaleTask
from airflow_provider_clarity.storage.endpoints import make_endpoint
from airflow_provider_clarity.storage.inputs import SourceFacts, image_reference, inspect
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsSource, GsUri

InputVia = Literal["auto", "signed_url", "inline"]


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A task ready to be sent. It holds presigned URLs, so its ``repr`` shows none of it."""

    task: UpscaleTask
    endpoint_expires_at: float | None

    def __repr__(self) -> str:
        return f"<Request of task {self.task.task_uuid}>"


class Requests(Protocol):
    """How a request is made for the engine. Blocks; called in a thread."""

    def inspect(self, item: Item) -> tuple[Item, tuple[str, ...]]:
        """Look at the source before it is paid for: the item with its pixels, and warnings. ClarityInputError."""
        ...

    def make(self, item: Item, task_uuid: UUID, staging: GsUri) -> Request:
        """Build the task with fresh URLs."""
        ...


@dataclass(frozen=True, slots=True)
class SignedRequests:
    """Requests whose upload endpoint is a presigned PUT.

    :param store: of the source and the workspace
    :param signer: signs both
    :param input_via: how the service reads a ``gs://`` source
    :param ttl: seconds for which the service keeps the picture, for the recovery of a failed upload
    :param webhook_url: where the service reports the end, from the connection
    """

    store: ObjectStore
    signer: Signer
    input_via: InputVia = "auto"
    ttl: int | None = None
    webhook_url: str | None = None

    def inspect(self, item: Item) -> tuple[Item, tuple[str, ...]]:
        """Read the header of the source."""
        facts = inspect(self.store, item.source, factor=item.parameters.upscale_factor or 2)
        if facts.generation != item.source_generation:
            raise ClarityInputError(
                f"The source {item.source.shown} was replaced while it was read. Nothing was sent and nothing was "
                "paid. A retry takes the new one.",
                retryable=True,
            )
        return replace(item, pixels=facts.pixels), facts.warnings

    def make(self, item: Item, task_uuid: UUID, staging: GsUri) -> Request:
        """Sign the PUT into staging and the GET of the source, and put both into the task."""
        endpoint = make_endpoint(self.signer, staging)
        uri = item.source.uri if isinstance(item.source, GsSource) else None
        facts = SourceFacts(item.source, uri=uri, generation=item.source_generation)
        image = image_reference(facts, store=self.store, signer=self.signer, via=self.input_via)
        task = UpscaleTask(
            task_uuid=task_uuid,
            parameters=item.parameters,
            inputs=UpscaleInputs(image=image.text),
            upload_endpoint=endpoint.url,
            webhook_url=self.webhook_url,
            ttl=self.ttl,
        )
        return Request(task, endpoint.expires_at.timestamp())
