"""Keeps our requests out of the logs of ``httpx`` and ``httpcore``, which write whole URLs and headers there.

Only records that are written while one of our requests runs are dropped: the levels of those loggers, and the requests
of anybody else in the process, stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_OURS: Final[ContextVar[bool]] = ContextVar("clarity_request", default=False)
_LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class _DropOurs(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the record's text does not decide
        return not _OURS.get()


_FILTER: Final = _DropOurs()


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what ``httpx`` and ``httpcore`` log while the block runs, in this context only."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # adding it twice changes nothing
    token = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(token)
