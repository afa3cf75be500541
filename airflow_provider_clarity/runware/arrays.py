"""Cuts tasks into arrays that fit one POST. Pure.

The service documents no limit of tasks or bytes (https://runware.ai/docs/platform/introduction: "as many tasks as you
need in a single request"); these are ours: enough to make polling cheap, little enough that one lost reply is a small
loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_TASKS: Final = 100
MAX_BYTES: Final = 4_000_000
ALONE_ABOVE: Final = 64_000
"""Bytes above which a task carries its picture inline, and goes alone."""


def encode(task: Mapping[str, Any]) -> bytes:
    """Return the JSON of one task, as compact as it gets.

    :param task: the JSON object of the task
    :raises ValueError: a number that JSON cannot say
    """
    return json.dumps(task, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def join(encoded: Sequence[bytes]) -> bytes:
    """Return the body of a POST: an array, even of one task.

    :param encoded: the tasks
    """
    return b"[" + b",".join(encoded) + b"]"


def cut(
    sizes: Sequence[int], *, max_tasks: int = MAX_TASKS, max_bytes: int = MAX_BYTES, alone_above: int = ALONE_ABOVE
) -> list[range]:
    """Cut tasks into arrays, keeping their order within each; together they hold every task once.

    :param sizes: the bytes of each encoded task
    :param max_tasks: the most tasks of an array
    :param max_bytes: the most bytes of an array's body; one larger task still goes, alone
    :param alone_above: a task of more bytes goes alone
    :return: ranges of positions, in order
    """
    arrays: list[range] = []
    start, body = 0, 2
    for position, size in enumerate(sizes):
        full = position - start >= max_tasks or body + size + 1 > max_bytes
        follows_large = position > start and sizes[position - 1] > alone_above
        if position > start and (full or size > alone_above or follows_large):
            arrays.append(range(start, position))
            start, body = position, 2
        body += size + 1
    if sizes:
        arrays.append(range(start, len(sizes)))
    return arrays
