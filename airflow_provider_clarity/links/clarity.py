"""The links from a task instance into the Cloud console: to its picture, or its folder, manifest and dead letter.

The operator pushes the ``gs://`` URI of what is linked under the link's key, such as :data:`OBJECT_KEY`. Airflow 2.11
asks ``get_link`` in the webserver. Airflow 3 asks it in the worker when the task ends and stores the answer under the
link's own XCom key, which the UI takes for the address as it is: so the URI and the address have two keys.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)

OBJECT_KEY = "clarity_object"
MANIFEST_KEY = "clarity_manifest"
DEAD_LETTER_KEY = "clarity_dead_letter"
_CONSOLE = "https://console.cloud.google.com/storage/browser"


class _ConsoleLink(BaseOperatorLink):
    """Leads to what an XCom names, in the Cloud console."""

    object_key: str
    label: str

    @property
    def name(self) -> str:
        """The label of the button."""
        return self.label

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002  # Airflow's signature
        """Return the address of the delivered object; empty as long as there is none.

        :param operator: the operator of the task instance
        :param ti_key: the task instance
        """
        task_instance: Any = ti_key  # Airflow 3 types it read-only in one place and writable in the other
        try:
            return console_url(XCom.get_value(ti_key=task_instance, key=self.object_key))
        except Exception as error:  # noqa: BLE001  # a link that is missing must fail neither a task nor a page
            log.debug("The link to the delivered object could not be made: %s", type(error).__name__)
            return ""


class ClarityObjectLink(_ConsoleLink):
    """Leads to the delivered picture in the Cloud console."""

    object_key = OBJECT_KEY
    label = "Delivered image"


class ClarityBucketLink(_ConsoleLink):
    """Leads to the folder of the delivered pictures in the Cloud console."""

    object_key = OBJECT_KEY
    label = "Delivered images"


class ClarityManifestLink(_ConsoleLink):
    """Leads to the manifest of a run over many images: a row for each."""

    object_key = MANIFEST_KEY
    label = "Manifest"


class ClarityDeadLetterLink(_ConsoleLink):
    """Leads to the dead letter: the images that failed, were lost or were not submitted."""

    object_key = DEAD_LETTER_KEY
    label = "Dead letter"


def console_url(gs_uri: object) -> str:
    """Turn the URI of an object or a folder into its page in the Cloud console.

    :param gs_uri: such as ``gs://bucket/path/object.jpg`` or ``gs://bucket/path/``
    :return: the page; empty, when it is not such a URI
    """
    if not isinstance(gs_uri, str) or not gs_uri.startswith("gs://"):
        return ""
    bucket, _, name = gs_uri.removeprefix("gs://").partition("/")
    if bucket and (not name or name.endswith("/")):
        return f"{_CONSOLE}/{quote(bucket, safe='')}/{quote(name, safe='/')}"
    return f"{_CONSOLE}/_details/{quote(bucket, safe='')}/{quote(name, safe='/')}" if bucket and name else ""
