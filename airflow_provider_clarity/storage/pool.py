"""How many connections to Cloud Storage a client keeps open: as many as there are threads that ask at once.

The library keeps ten; each request beyond them would open one of its own, with its TLS handshake, and leave a line of
warning when it closes it.
"""

from __future__ import annotations

from typing import Any, Final

from google.cloud import storage
from requests.adapters import HTTPAdapter

AT_ONCE: Final = 16
"""Requests of a backfill that are under way together: at 40 ms each and ten an image, 40 images a second."""


def widen(client: storage.Client) -> None:
    """Let a client keep as many connections as a backfill uses.

    :param client: no request of it is under way
    """
    session: Any = client._http  # noqa: SLF001 - the library has no other way to it, and names this one in its answers
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=AT_ONCE))
