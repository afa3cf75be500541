"""What a reply means for each task that was asked about. Pure: reads an envelope, returns values.

The rule behind all of it: only what *names* a task says something about that task. Whatever is named nowhere is
unknown (a submit) or no news (a look-up), at any HTTP status. See docs/design.md, "runware/".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from airflow_provider_clarity.exceptions import ClarityError
from airflow_provider_clarity.runware.errors import TaskError
from airflow_provider_clarity.runware.wire import ResultItem

SubmitStatus = Literal["accepted", "conflict", "refused", "failed", "unknown"]
StateStatus = Literal["processing", "success", "failed", "silent"]


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """What became of one submitted task.

    :param task_uuid: the task
    :param status: ``accepted``: named in ``data``. ``conflict``: accepted before. ``refused``: certainly not accepted,
        may be sent again under the same UUID. ``failed``: the service reported an error for it. ``unknown``: all else
    :param error: the reported error; with ``unknown``, what the reply said without naming the task, as a hint
    :param result: the result, where the reply already carries it (``delivery_method="sync"``)
    """

    task_uuid: UUID
    status: SubmitStatus
    error: TaskError | None = None
    result: ResultItem | None = None


@dataclass(frozen=True, slots=True)
class SubmitReply:
    """What became of a submit.

    :param outcomes: one for each task that was given, in its order
    :param throttled: the service asked to slow down
    :param retry_after: seconds it asked to wait, where it did
    :param stop: why nothing more must be submitted (key refused, no money)
    :param overloaded: it said so by 503 or 504: not that its queue is full, but that it cannot cope
    """

    outcomes: tuple[SubmitOutcome, ...]
    throttled: bool = False
    retry_after: float | None = None
    stop: ClarityError | None = None
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class TaskState:
    """What the service says of one task.

    :param task_uuid: the task
    :param status: ``processing``, ``success``, ``failed``, or ``silent``: asked, answered, and nothing known of it
    :param result: the item, when there is one
    :param error: the reported error, when ``failed``
    """

    task_uuid: UUID
    status: StateStatus
    result: ResultItem | None = None
    error: TaskError | None = None


@dataclass(frozen=True, slots=True)
class PollReply:
    """What a look-up brought.

    :param states: by task; a task that is missing here was not answered: no news
    :param throttled: the service asked to slow down
    :param retry_after: seconds it asked to wait, where it did
    :param stop: why looking up is refused (the key)
    """

    states: Mapping[UUID, TaskState] = field(default_factory=dict)
    throttled: bool = False
    retry_after: float | None = None
    stop: ClarityError | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The Runware account behind a key.

    :param organization: its name
    :param balance: what is left, in ``currency``; none, when the service does not say
    :param free_balance: the given part of it, where told
    :param currency: ``USD`` unless the service says otherwise
    """

    organization: str | None = None
    balance: float | None = None
    free_balance: float | None = None
    currency: str = "USD"
