"""What the demo keeps of its caller's environment: nothing that could lead its parts elsewhere.

A proxy for loopback, somebody's Google credentials, a ``.netrc`` or an ``AIRFLOW_HOME`` must neither disturb the demo
nor be touched by it. Everything it speaks to is on loopback, so no proxy and no certificate is ever needed.
"""

from __future__ import annotations

import site
from collections.abc import Mapping
from pathlib import Path

_PREFIXES = ("AIRFLOW", "_AIRFLOW", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCE_METADATA_", "OTEL_", "SQLALCHEMY_")
_NAMES = frozenset(
    (
        "STORAGE_EMULATOR_HOST",
        "NO_GCE_CHECK",
        "NETRC",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "PYTHONWARNINGS",
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
    )
)
_LONGEST = 70
"""A Unix socket's path has at most 104 characters; Airflow 2.11 makes one with 32 more than the temporary folder's."""


def undisturbed(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment for the demo and all it starts.

    :param environ: the caller's
    :param home: a temporary folder, which becomes the home, and where temporary files go if its path is short enough
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_PREFIXES) and name not in _NAMES and not name.lower().endswith("_proxy")
    }
    user_site = {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}  # it is found by way of HOME
    temporary = {"TMPDIR": str(home)} if len(str(home)) <= _LONGEST else {}
    return {**user_site, **kept, **temporary, "HOME": str(home), "NO_PROXY": "*", "no_proxy": "*"}
