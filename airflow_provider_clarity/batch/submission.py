"""The one place where presigned URLs and session URIs live: made, put into the request, sent, dropped.

Invariant: what :meth:`Requests.make` returns is neither logged nor stored by anybody; the engine hands it to the client
and forgets it. All that remains is when the endpoint expires.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from airflow_provider_clarity.batch.item import Item
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.runware.wire import UpscaleInputs, UpscaleTask
from airflow_provider_clarity.storage.endpoints import UploadVia, make_endpoint
from airflow_provider_clarity.storage.inputs import InputVia, image_reference, inspect
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A task ready to be sent. It holds presigned URLs, so its ``repr`` shows none of it.

    :param endpoint_expires_at: epoch seconds until when the service can upload; None where it is not to
    :param inline: bytes of the picture where it is in the request itself, as text
    """

    task: UpscaleTask
    endpoint_expires_at: float | None
    inline: int = 0

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
class BucketRequests:
    """Requests that let the service into our buckets, by the ways that were chosen.

    :param store: of the source and the workspace
    :param signer: signs for both, where it can
    :param upload_via: how the picture comes back; with ``worker`` no URL into our buckets leaves, so that a ``gs://``
        source goes inline
    :param input_via: how the service reads a ``gs://`` source
    :param ttl: seconds for which the service keeps the picture, for the recovery of a failed upload
    :param webhook_url: where the service reports the end, from the connection
    """

    store: ObjectStore
    signer: Signer
    upload_via: UploadVia = "auto"
    input_via: InputVia = "auto"
    ttl: int | None = None
    webhook_url: str | None = None
    _seen: set[str] = field(default_factory=set, repr=False)

    def inspect(self, item: Item) -> tuple[Item, tuple[str, ...]]:
        """Read the header of the source."""
        facts = inspect(self.store, item.given, factor=item.parameters.upscale_factor or 2)
        if facts.generation != item.source_generation:
            raise ClarityInputError(
                f"The source {item.source.shown} was replaced while it was read. Nothing was sent and nothing was "
                "paid. A retry takes the new one.",
                retryable=True,
            )
        return replace(item, pixels=facts.pixels), facts.warnings

    def make(self, item: Item, task_uuid: UUID, staging: GsUri) -> Request:
        """Make the endpoint in staging and the way to the source, and put both into the task."""
        if staging.bucket not in self._seen and staging.bucket != item.destination.bucket:
            self.store.stat(staging)  # a bucket that is not there is told before the picture is paid, not after
            self._seen.add(staging.bucket)
        endpoint = make_endpoint(staging, store=self.store, signer=self.signer, via=self.upload_via)
        image = image_reference(
            item.given,
            generation=item.source_generation,
            store=self.store,
            signer=self.signer,
            via="inline" if self.upload_via == "worker" else self.input_via,
        )
        task = UpscaleTask(
            task_uuid=task_uuid,
            parameters=item.parameters,
            inputs=UpscaleInputs(image=image.text),
            upload_endpoint=endpoint.url if endpoint else None,
            webhook_url=self.webhook_url,
            ttl=self.ttl,
        )
        inline = len(image.text) if image.text.startswith("data:") else 0
        return Request(task, endpoint.expires_at.timestamp() if endpoint else None, inline)
