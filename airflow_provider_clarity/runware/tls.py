"""One TLS context for the process. Building one costs some 40 ms, so it is built once, and not on the event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from contextlib import suppress

import httpx

from airflow_provider_clarity.exceptions import ClarityValidationError

_Source = tuple[str | None, str | None]
_built: dict[_Source, ssl.SSLContext] = {}
_lock = threading.Lock()


async def shared_ssl_context() -> ssl.SSLContext:
    """Return the process's TLS context; the first call builds it in a thread that ends with it.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are honoured.

    :raises ClarityValidationError: the certificates cannot be read
    """
    source: _Source = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    if (context := _built.get(source)) is not None:
        return context
    loop = asyncio.get_running_loop()
    built: asyncio.Future[ssl.SSLContext] = loop.create_future()
    threading.Thread(target=_build, args=(source, loop, built), name="clarity-tls", daemon=True).start()
    return await built


def _build(source: _Source, loop: asyncio.AbstractEventLoop, built: asyncio.Future[ssl.SSLContext]) -> None:
    try:
        with _lock:
            if source not in _built:
                _built[source] = _create(*source)
        outcome: ssl.SSLContext | Exception = _built[source]
    except OSError as error:  # of which ssl.SSLError is one
        outcome = ClarityValidationError(
            f"The CA certificates cannot be read ({error}). Nothing was sent. Look at SSL_CERT_FILE and SSL_CERT_DIR."
        )
    with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
        loop.call_soon_threadsafe(_tell, built, outcome)


def _create(file: str | None, directory: str | None) -> ssl.SSLContext:
    """Make the context; httpx alone would pass over a certificate file that is not there (0.27)."""
    if file or directory:
        return ssl.create_default_context(cafile=file or None, capath=directory or None)
    return httpx.create_ssl_context()


def _tell(built: asyncio.Future[ssl.SSLContext], outcome: ssl.SSLContext | Exception) -> None:
    if built.done():
        return
    if isinstance(outcome, Exception):
        built.set_exception(outcome)
    else:
        built.set_result(outcome)
