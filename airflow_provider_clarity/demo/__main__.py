"""``clarity-demo``: pictures upscaled by a real Airflow on this machine, with nothing but this command.

Exit codes: 0 all pictures are delivered and checked (and the bill of a backfill agrees), 1 they are not, or it was
interrupted, 2 it could not start.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from airflow_provider_clarity.demo.arguments import parse
from airflow_provider_clarity.demo.failure import COULD_NOT_START, NOT_DELIVERED, DemoError
from airflow_provider_clarity.demo.screen import Screen

_NEEDED = ("airflow", "httpx", "PIL", "cryptography", "starlette", "uvicorn")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit code.

    :param arguments: without the program's name; those of the process where left out
    """
    options = parse(arguments)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        _require()
        # What they need may not be installed.
        from airflow_provider_clarity.demo.backfill.show import show_backfill  # noqa: PLC0415
        from airflow_provider_clarity.demo.show import show  # noqa: PLC0415

        return (show_backfill if options.backfill else show)(options, Screen())
    except DemoError as error:
        sys.stderr.write(f"\nclarity-demo: {error}\n")
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("\nclarity-demo: interrupted. Everything that was started is stopped; nothing was paid.\n")
        return NOT_DELIVERED
    except BrokenPipeError:  # whoever read the output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_DELIVERED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the demo in order; another Ctrl-C meanwhile changes nothing, so that nothing is left behind."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def _require() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(
            f"The demo needs {', '.join(missing)}, which is not installed. Nothing was started. Install "
            "airflow-provider-clarity[demo].",
            COULD_NOT_START,
        )


if __name__ == "__main__":
    sys.exit(main())
