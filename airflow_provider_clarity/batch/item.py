"""One image: its source, its final name, what is bought, and who it is."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_clarity.batch import identity, messages
from airflow_provider_clarity.batch.record import TaskRecord
from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.runware.wire import UpscaleParameters
from airflow_provider_clarity.storage.sources import RecordedSource
from airflow_provider_clarity.storage.uris import GsUri, Source


@dataclass(frozen=True, slots=True)
class Item:
    """One image on its way.

    :param source: where the picture comes from
    :param source_generation: generation of a ``gs://`` source, else None
    :param destination: the final object
    :param parameters: what is bought
    :param content_key: digest of all of these, see :mod:`~airflow_provider_clarity.batch.identity`
    :param identity: digest of content key and salt
    :param sendable: whether ``source`` is what the identity was made of; else it must not be sent under it
    :param pixels: width and height of the source, EXIF orientation applied; None where nobody looked yet, or can
    """

    source: Source | RecordedSource
    source_generation: int | None
    destination: GsUri
    parameters: UpscaleParameters
    content_key: str
    identity: str
    pixels: tuple[int, int] | None = None
    sendable: bool = True

    @property
    def given(self) -> Source:
        """The source as it was given. ClarityInputError where only its recorded form is left."""
        if isinstance(self.source, RecordedSource):
            raise ClarityInputError(messages.SOURCE_CHANGED)
        return self.source

    @property
    def extension(self) -> str:
        """Extension of the output, without the dot."""
        return (self.parameters.output_format or "JPG").lower()


def make_item(
    *,
    api_host: str,
    source: Source,
    source_generation: int | None,
    destination: GsUri,
    parameters: UpscaleParameters,
    salt: str = "",
) -> Item:
    """Give an image its identity.

    :param salt: see :func:`~airflow_provider_clarity.batch.identity.identity`
    """
    key = identity.content_key(
        api_host=api_host,
        source=source.canonical,
        source_generation=source_generation,
        destination=str(destination),
        parameters=parameters.canonical(),
    )
    return Item(source, source_generation, destination, parameters, key, identity.identity(key, salt))


def recorded_item(record: TaskRecord, source: Source | RecordedSource) -> Item:
    """Rebuild an image from its record: who it is does not depend on the source as it is now.

    :param source: as it is known now; nothing is sent of it where it is not what was recorded
    """
    return Item(
        source=source,
        source_generation=record.source_generation,
        destination=GsUri.parse(record.destination),
        parameters=UpscaleParameters.model_validate(dict(record.parameters)),
        content_key=record.content_key,
        identity=record.identity,
        pixels=record.pixels,
        sendable=source.recorded == record.source and not isinstance(source, RecordedSource),
    )
