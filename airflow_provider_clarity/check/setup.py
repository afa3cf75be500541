"""What the checks work with: made from the connections when it is first asked for, exactly as an operator makes it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cached_property

from google.auth.credentials import Credentials

from airflow_provider_clarity.check.options import Options
from airflow_provider_clarity.hooks.clarity import ClarityHook, ClaritySettings
from airflow_provider_clarity.hooks.google import GoogleAccess, client_of, google_credentials
from airflow_provider_clarity.redact import redact
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

_PATIENCE = 30.0
"""Seconds for one call to Cloud Storage with all its repeats."""


@dataclass
class Setup:
    """The connections, opened, and what was written through them.

    :param options: the command line
    :param touched: where something may lie by now, and at which generation as far as we know; the clean-up's list
    """

    options: Options
    name: str = field(default_factory=lambda: f"check-{uuid.uuid4().hex[:12]}")
    touched: dict[GsUri, StoredObject | None] = field(default_factory=dict)

    @cached_property
    def hook(self) -> ClarityHook:
        """Of the ``clarity`` connection."""
        return ClarityHook(self.options.clarity_conn_id)

    @cached_property
    def settings(self) -> ClaritySettings:
        """What the ``clarity`` connection says."""
        return self.hook.get_settings()

    @cached_property
    def access(self) -> GoogleAccess:
        """What the Google connection says."""
        return google_credentials(self.options.gcp_conn_id, self.options.impersonation_chain)

    @property
    def credentials(self) -> Credentials:
        """Of the identity that acts in the end."""
        return self.access.credentials

    @property
    def account(self) -> str:
        """The e-mail address of that identity, or words for not having one."""
        email = str(getattr(self.credentials, "service_account_email", None) or "")
        return email if "@" in email else "an identity without a service account"

    @cached_property
    def store(self) -> ObjectStore:
        """Of the buckets."""
        self._client = client_of(self.access)
        return ObjectStore(self._client, user_project=self.options.user_project, patience=_PATIENCE)

    @cached_property
    def signer(self) -> Signer:
        """Makes presigned URLs, where it can."""
        return Signer(
            client_of(self.access),
            self.credentials,
            user_project=self.options.user_project,
            iam_endpoint=self.access.iam_endpoint,
        )

    @property
    def folder(self) -> GsUri:
        """All that is written lies under it, but for the copy where the destination is a prefix."""
        return GsUri(self.options.bucket.bucket, f"_clarity/{self.name}/")

    @property
    def copy(self) -> GsUri:
        """Where the rewrite goes: under the destination, as a picture would."""
        prefix = self.options.bucket
        return prefix.child(f"_clarity-{self.name}") if prefix.name else self.folder.child("copy")

    def touch(self, name: str) -> GsUri:
        """Give the object of that name, and remember that something may lie there from now on.

        :param name: within the folder
        """
        uri = self.folder.child(name)
        self.touched.setdefault(uri, None)
        return uri

    def clean(self, text: str) -> str:
        """Take what is secret out of a text.

        :param text: for a person or a file
        """
        shown = redact(text)
        known: ClaritySettings | None = self.__dict__.get("settings")
        for secret in (known.api_key, known.webhook_url) if known else ():
            shown = shown.replace(secret, "***") if secret else shown
        return " ".join(shown.split())
