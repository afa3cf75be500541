"""How the demo ends when it does not end well."""

from __future__ import annotations

from airflow_provider_clarity.redact import redact

NOT_DELIVERED = 1
COULD_NOT_START = 2

_LAST_LINES = 25


class DemoError(RuntimeError):
    """The demo cannot go on. The message says what happened, what is safe and what to do next.

    :param message: for a person; secrets are taken out of it
    :param code: the exit code
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(redact(message))
        self.code = code


def last_lines(log: str) -> str:
    """Return the end of a log, indented, without secrets.

    :param log: the whole of it
    """
    lines = [line.rstrip() for line in redact(log).splitlines() if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-_LAST_LINES:])
