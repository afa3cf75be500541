"""Credentials of the environment, as Google's own tools find them; no Airflow."""

from __future__ import annotations

import os
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.redact import redact

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
_ENDPOINT = "STORAGE_EMULATOR_HOST"


def client() -> Any:  # noqa: ANN401 - the library is untyped
    """Make a client with application default credentials.

    :raises ClarityAuthError: there are none
    """
    try:
        credentials, project = google.auth.default(scopes=_SCOPES)
    except (GoogleAuthError, OSError, ValueError) as error:
        if _ENDPOINT not in os.environ:
            raise ClarityAuthError(
                f"No Google credentials were found: {redact(error)} Nothing was read. Run `gcloud auth "
                "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
            ) from None
        nobody: Any = AnonymousCredentials
        credentials, project = nobody(), None
    made: Any = storage.Client
    return made(project=project or "none", credentials=credentials)
