"""Where we keep what has no final name yet. Pure.

Invariant: the task record of an identity is at one place for ever, whatever ``workspace=`` a DAG names today; else a
changed parameter would hide a purchase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_clarity.storage.uris import GsUri

_DEFAULT: Final = "_clarity/"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of staging, undelivered pictures and runs.

    :param root: a prefix; a ``/`` is added where it is missing
    :param bucket: the destination's bucket, which keeps the task records; without it, the root's
    """

    root: GsUri
    bucket: str = ""

    def __post_init__(self) -> None:
        if not self.root.is_prefix:
            object.__setattr__(self, "root", GsUri(self.root.bucket, f"{self.root.name}/"))
        if not self.bucket:
            object.__setattr__(self, "bucket", self.root.bucket)

    @classmethod
    def for_destination(cls, destination: GsUri, workspace: str | None = None) -> Workspace:
        """Give the workspace that belongs to a destination.

        :param destination: the final object, or the prefix it will be under
        :param workspace: the user's choice, ``gs://...``; without it, ``gs://<destination's bucket>/_clarity/``
        :raises ClarityInputError: if `workspace` is no ``gs://`` URI
        """
        root = GsUri.parse(workspace) if workspace else GsUri(destination.bucket, _DEFAULT)
        return cls(root, destination.bucket)

    def staging(self, identity: str, attempt: int, ext: str) -> GsUri:
        """Where the service uploads to.

        :param attempt: from 1
        :param ext: the output's extension, without a dot
        """
        return self.root.child(f"staging/{identity}-{attempt}.{ext}")

    def undelivered(self, identity: str, attempt: int, ext: str) -> GsUri:
        """Where a paid picture is kept whose final name is taken."""
        return self.root.child(f"undelivered/{identity}-{attempt}.{ext}")

    def task_record(self, identity: str) -> GsUri:
        """Where the purchases of an identity are recorded: in the destination bucket's default workspace, always."""
        return GsUri(self.bucket, f"{_DEFAULT}tasks/{identity}.json")
