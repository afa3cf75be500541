"""An Airflow connection of type ``google_cloud_platform`` becomes Google credentials.

With the Google provider installed its own machinery reads the connection. Without it the part that most set-ups use is
read here: key file, key dict, anonymous, scopes, project, quota project and impersonation chain. Where IAM is not at
its public address, gcloud's own variable for that, ``CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS``, says where.

Invariants: a connection that a person named is never passed over in silence; key material is in no message. Nothing of
Google or Airflow's provider is imported before it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_clarity.exceptions import ClarityAuthError
from airflow_provider_clarity.redact import redact

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection
    from google.auth.credentials import Credentials
    from google.cloud.storage import Client

log = logging.getLogger(__name__)

DEFAULT_CONNECTION = "google_cloud_default"
_CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
_LEGACY_PREFIX = "extra__google_cloud_platform__"
_CONNECTION_TYPES = frozenset({"google_cloud_platform", "gcpbigquery", "dataprep"})
_KEYS = ("key_path", "keyfile_dict", "is_anonymous")
_PROVIDER_ONLY = ("credential_config_file", "key_secret_name", "idp_issuer_url")
_IAM_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"
_STORAGE_ENDPOINT = "STORAGE_EMULATOR_HOST"
_SAFE = "Nothing was sent and nothing was paid."


@dataclass(frozen=True)
class GoogleAccess:
    """Credentials for Google Cloud, and the project they belong to.

    :param credentials: what ``google.cloud.storage.Client`` takes
    :param project: the connection's project, or the key's; ``None`` where neither says
    :param iam_endpoint: address of the IAM Credentials API, where it is not the public one
    """

    credentials: Credentials = field(repr=False)
    project: str | None = None
    iam_endpoint: str | None = field(default=None, repr=False)


def google_credentials(
    gcp_conn_id: str = DEFAULT_CONNECTION, impersonation_chain: str | Sequence[str] | None = None
) -> GoogleAccess:
    """Turn a ``google_cloud_platform`` connection into credentials.

    The default connection may be absent: then application default credentials are used, and one log line says so.

    :param gcp_conn_id: id of the Airflow connection
    :param impersonation_chain: a service account, or a chain of them (a list, or text with commas) of which the last
        is impersonated; wins over the one in the connection
    :return: the credentials, not refreshed yet
    :raises ClarityAuthError: the connection or what it names is missing or cannot be read
    """
    connection = _connection(gcp_conn_id)
    endpoint = iam_endpoint()
    if connection is not None and importlib.util.find_spec("airflow.providers.google") is not None:
        return replace(_by_google_provider(gcp_conn_id, impersonation_chain), iam_endpoint=endpoint)
    extra = _Extra.of(connection, gcp_conn_id)
    access = _base_access(extra, anonymous=connection is None and _STORAGE_ENDPOINT in os.environ)
    chain = _chain(impersonation_chain) or _chain(extra.get("impersonation_chain"))
    credentials = _impersonate(access.credentials, chain, extra.scopes, endpoint) if chain else access.credentials
    quota_project = extra.get("quota_project_id")
    if quota_project:
        credentials = _with_quota_project(credentials, str(quota_project), extra)
    return GoogleAccess(credentials, extra.get("project") or access.project, endpoint)


def iam_endpoint() -> str | None:
    """Read where the IAM Credentials API is, if not at its public address: a private endpoint, mostly.

    :return: an address without a path; None where the variable is not set
    :raises ClarityAuthError: it is no https address; http is spoken to loopback only, since tokens go there
    """
    given = os.environ.get(_IAM_ENDPOINT, "").strip().rstrip("/")
    if not given:
        return None
    from airflow_provider_clarity.runware.hosts import is_loopback  # noqa: PLC0415  # not before it is needed

    parts = urlsplit(given)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not parts.hostname or not safe or "@" in parts.netloc:
        raise ClarityAuthError(
            f"{_IAM_ENDPOINT} is no https address. {_SAFE} Set it to the address of the IAM Credentials API, such as "
            "https://iamcredentials-xyz.p.googleapis.com/, or remove it."
        )
    return given


def storage_client(
    gcp_conn_id: str = DEFAULT_CONNECTION, impersonation_chain: str | Sequence[str] | None = None
) -> Client:
    """Make a Cloud Storage client from an Airflow connection.

    ``STORAGE_EMULATOR_HOST`` is honoured by the library; the credentials of the connection are used with it, too.

    :param gcp_conn_id: id of the Airflow connection
    :param impersonation_chain: see :func:`google_credentials`
    :return: a client of its own; it is not shared
    :raises ClarityAuthError: the connection or what it names is missing or cannot be read
    """
    return client_of(google_credentials(gcp_conn_id, impersonation_chain))


def client_of(access: GoogleAccess) -> Client:
    """Make a Cloud Storage client of credentials.

    :param access: from :func:`google_credentials`
    :return: a client of its own; it is not shared
    """
    from google.cloud import storage  # noqa: PLC0415  # not before it is needed: half a second of imports

    logging.getLogger("urllib3.connectionpool").addFilter(_not_a_boundary_lookup)
    client: Client = storage.Client(project=access.project, credentials=access.credentials)  # type: ignore[no-untyped-call]
    return client


def _not_a_boundary_lookup(record: logging.LogRecord) -> bool:
    """Keep three lines of warning out of every task log of a closed network.

    The credentials look up where they may be used, in the background and in vain where only Cloud Storage is reachable;
    nothing depends on it.
    """
    return "/allowedLocations" not in record.getMessage()


def _connection(conn_id: str) -> Connection | None:
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        if conn_id != DEFAULT_CONNECTION:
            raise ClarityAuthError(
                f"The Google connection {conn_id!r} does not exist. {_SAFE} Create it (type google_cloud_platform), or "
                f"leave gcp_conn_id at {DEFAULT_CONNECTION!r} to use application default credentials."
            ) from None
        log.info("There is no connection %r: application default credentials are used.", conn_id)
        return None
    if connection.conn_type not in _CONNECTION_TYPES:
        raise ClarityAuthError(
            f"The connection {conn_id!r} has the type {connection.conn_type!r}, not google_cloud_platform. {_SAFE} "
            "Name a Google connection in gcp_conn_id."
        )
    return connection


def _by_google_provider(conn_id: str, impersonation_chain: str | Sequence[str] | None) -> GoogleAccess:
    module = importlib.import_module("airflow.providers.google.common.hooks.base_google")
    try:
        hook = module.GoogleBaseHook(gcp_conn_id=conn_id, impersonation_chain=impersonation_chain)
        credentials, project = hook.get_credentials_and_project_id()
    except Exception as error:  # noqa: BLE001  # AirflowException, ValueError, OSError and google.auth's own
        raise ClarityAuthError(
            f"The Google provider could not read credentials from the connection {conn_id!r}: "
            f"{type(error).__name__}: {redact(error)}. {_SAFE} Correct the connection."
        ) from None
    return GoogleAccess(credentials, project or None)


@dataclass(frozen=True)
class _Extra:
    """The extra of a Google connection, under its new and its legacy field names."""

    conn_id: str
    values: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, connection: Connection | None, conn_id: str) -> _Extra:
        values = {} if connection is None else connection.extra_dejson
        if not isinstance(values, dict) or (connection is not None and connection.extra and not _is_json(connection)):
            raise ClarityAuthError(
                f"The extra of the connection {conn_id!r} is not a JSON object. {_SAFE} Correct the extra."
            )
        extra = cls(conn_id, values)
        foreign = [name for name in _PROVIDER_ONLY if extra.get(name)]
        if foreign:
            raise ClarityAuthError(
                f"The connection {conn_id!r} uses {foreign[0]!r}, which only the Google provider understands. {_SAFE} "
                "Install airflow-provider-clarity[google], or use a key or application default credentials."
            )
        several = [name for name in _KEYS if extra.get(name)]
        if len(several) > 1:
            raise ClarityAuthError(
                f"The connection {conn_id!r} has {' and '.join(several)}: only one can be meant. {_SAFE} Remove the "
                "other."
            )
        return extra

    def get(self, name: str) -> Any:  # noqa: ANN401  # JSON
        value = self.values.get(name)
        return self.values.get(_LEGACY_PREFIX + name) if value in (None, "") else value

    @property
    def scopes(self) -> list[str]:
        given = self.get("scope")
        parts = given if isinstance(given, list) else str(given or "").split(",")
        return [part.strip() for part in parts if part.strip()] or [_CLOUD_PLATFORM]


def _is_json(connection: Connection) -> bool:
    try:
        return isinstance(json.loads(connection.extra or "{}"), dict)
    except ValueError:
        return False


def _base_access(extra: _Extra, *, anonymous: bool) -> GoogleAccess:
    """Read the identity before any impersonation.

    :param anonymous: whether none will do, as Google's own client has it where ``STORAGE_EMULATOR_HOST`` is set
    """
    if extra.get("key_path"):
        return _from_key_file(str(extra.get("key_path")), extra)
    if extra.get("keyfile_dict"):
        return _from_key_dict(extra.get("keyfile_dict"), extra, "keyfile_dict")
    if str(extra.get("is_anonymous") or "").lower() in {"true", "1"}:
        return _nobody()
    try:
        return _application_default(extra)
    except ClarityAuthError:
        if not anonymous:
            raise
        log.info("No Google credentials were found: %s is set, so requests go there without any.", _STORAGE_ENDPOINT)
        return _nobody()


def _nobody() -> GoogleAccess:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

    return GoogleAccess(AnonymousCredentials())  # type: ignore[no-untyped-call]


def _from_key_file(path: str, extra: _Extra) -> GoogleAccess:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the path is text of a connection
            content = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise ClarityAuthError(
            f"The key file {path!r} of the connection {extra.conn_id!r} cannot be read: {reason}. {_SAFE} Put the JSON "
            "key of a service account there on every worker and triggerer, or correct key_path."
        ) from None
    return _from_key_dict(content, extra, f"key file {path!r}")


def _from_key_dict(given: object, extra: _Extra, where: str) -> GoogleAccess:
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        info = json.loads(given) if isinstance(given, str) else given
        if not isinstance(info, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004, TRY301  # one message for every way to be wrong
        if isinstance(info.get("private_key"), str):
            info = {**info, "private_key": info["private_key"].replace("\\n", "\n")}
        read = service_account.Credentials.from_service_account_info
        credentials: Credentials = read(info, scopes=extra.scopes)  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001  # cryptography and google.auth raise many classes for a bad key
        raise ClarityAuthError(
            f"The {where} of the connection {extra.conn_id!r} is not the JSON key of a service account: "
            f"{redact(error)}. {_SAFE} Make a new key and put its JSON there unchanged."
        ) from None  # the cause may quote the key
    return GoogleAccess(credentials, info.get("project_id"))


def _application_default(extra: _Extra) -> GoogleAccess:
    import google.auth  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    try:
        credentials, project = google.auth.default(scopes=extra.scopes)
    except (GoogleAuthError, OSError, ValueError) as error:
        raise ClarityAuthError(
            f"No Google credentials were found: {redact(error)} {_SAFE} Give the connection {extra.conn_id!r} a "
            "key_path or keyfile_dict, run where a service account is attached, or set GOOGLE_APPLICATION_CREDENTIALS."
        ) from None
    return GoogleAccess(credentials, project)


def _chain(given: object) -> list[str]:
    if not given:
        return []
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) for part in parts):
        raise ClarityAuthError(
            f"impersonation_chain is {type(given).__name__}, not a service account or a list of them. {_SAFE} Give "
            "e-mail addresses of service accounts; the last one is impersonated."
        )
    return [part.strip() for part in parts if part.strip()]


def _impersonate(source: Credentials, chain: list[str], scopes: list[str], endpoint: str | None) -> Credentials:
    from google.auth import impersonated_credentials  # noqa: PLC0415

    token = f"{endpoint}/v1/projects/-/serviceAccounts/{chain[-1]}:generateAccessToken" if endpoint else None
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=source,
        target_principal=chain[-1],
        delegates=chain[:-1],
        target_scopes=scopes,
        iam_endpoint_override=token,
    )


def _with_quota_project(credentials: Credentials, project: str, extra: _Extra) -> Credentials:
    from google.auth.credentials import CredentialsWithQuotaProject  # noqa: PLC0415

    if not isinstance(credentials, CredentialsWithQuotaProject):
        raise ClarityAuthError(
            f"The connection {extra.conn_id!r} has quota_project_id, but {type(credentials).__name__} cannot carry "
            f"one. {_SAFE} Remove it from the connection."
        )
    charged: Credentials = credentials.with_quota_project(project)  # type: ignore[no-untyped-call]
    return charged
