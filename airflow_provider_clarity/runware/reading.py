"""From an envelope to what became of each task. Pure; holds the rules on which "never pay twice" stands.

A task is *named* by its UUID, in ``data`` or in ``errors``. What a reply does not name is unknown (submit) or no news
(look-up), whatever the HTTP status. A task that is named in ``data`` was accepted, even where an error names it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityError, ClarityProviderError
from airflow_provider_clarity.runware.envelope import Envelope, Item, as_uuid, read
from airflow_provider_clarity.runware.errors import TaskError, task_error, to_exception
from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.wire import ResultItem

THROTTLING: Final = frozenset({429, 503, 504})
_TURNED_AWAY: Final = frozenset({429, 503})
_OVERLOADED: Final = frozenset({503, 504})
_SAYS_LITTLE: Final = frozenset({"serverError", "unmapped", "unknownTask"})
_TRANSIENT: Final = frozenset({"rateLimit", "serverError", "unmapped"})
_SUCCESS: Final = range(200, 300)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_SERVER_FAULT: Final = 500
_RANK: Final = {"silent": 0, "processing": 1, "failed": 2, "success": 3}


def read_submit(
    status: int, envelope: Envelope, asked: Sequence[UUID], retry_after: float | None = None
) -> SubmitReply:
    """Say what became of each submitted task.

    :param status: the HTTP status
    :param envelope: the reply, see :func:`airflow_provider_clarity.runware.envelope.parse`
    :param asked: the tasks that were sent
    :param retry_after: seconds the service asked to wait
    """
    items = _items_by_task(envelope.items)
    stop = _stop(status, envelope) or _no_money(envelope)
    key_refused = _key_refused(status, envelope)
    anonymous = next((error for error in envelope.errors if error.task_uuid is None), None)
    outcomes = []
    for uuid in asked:
        named = [error for error in envelope.errors if error.task_uuid == uuid]
        if item := items.get(uuid):
            outcomes.append(SubmitOutcome(uuid, "accepted", result=item if item.succeeded else None))
        elif named:
            outcomes.append(_named_outcome(status, uuid, named))
        else:
            outcomes.append(SubmitOutcome(uuid, "refused" if key_refused else "unknown", error=anonymous))
    throttled = status in THROTTLING or any(error.family == "rateLimit" for error in envelope.errors)
    return SubmitReply(tuple(outcomes), throttled, retry_after, stop, status in _OVERLOADED)


def read_poll(status: int, envelope: Envelope, asked: Sequence[UUID], retry_after: float | None = None) -> PollReply:
    """Say what a ``getResponse`` told of each task. See :func:`read_submit` for the parameters.

    A task that the reply does not name is ``silent`` when the reply answered the whole array, else it is missing.
    """
    states: dict[UUID, TaskState] = {}
    wanted = frozenset(asked)
    for item in envelope.items:
        result = ResultItem.model_validate(item)
        if (uuid := result.task_uuid) is not None and uuid in wanted:
            _keep_better(states, TaskState(uuid, "success" if result.succeeded else "processing", result=result))
    not_looked_up = set()
    for error in envelope.errors:
        if (uuid := error.task_uuid) is not None and uuid in wanted:
            if told := _state_of_error(status, uuid, error):
                _keep_better(states, told)
            else:
                not_looked_up.add(uuid)
    if _answered(status, envelope):
        states |= {uuid: TaskState(uuid, "silent") for uuid in asked if uuid not in states.keys() | not_looked_up}
    throttled = status in THROTTLING or any(
        error.family == "rateLimit" and error.task_uuid is None for error in envelope.errors
    )
    return PollReply(states, throttled, retry_after, _stop(status, envelope))


def read_details(status: int, envelope: Envelope, asked: Sequence[UUID], retry_after: float | None = None) -> PollReply:
    """Say what a ``getTaskDetails`` told of each task: its recorded response is read as a look-up's answer.

    The archive keeps the *last* response of a task. Where that is the rejection of a second send (a conflict, a
    throttle, a refused key, no credit) it says nothing about the task, which is then ``silent``.
    """
    items: list[Item] = []
    errors: list[TaskError] = list(envelope.errors)
    for outer in envelope.items:
        if (uuid := as_uuid(outer.get("taskUUID"))) is None:
            continue
        recorded = read(outer.get("response"))
        only_one = len(recorded.items) + len(recorded.errors) == 1
        items += [
            {**item, "taskUUID": str(uuid)}
            for item in recorded.items
            if as_uuid(item.get("taskUUID")) == uuid or (only_one and "taskUUID" not in item)
        ]
        errors += [
            _renamed(error, uuid)
            for error in recorded.errors
            if error.scope == "task" and (error.task_uuid == uuid or (only_one and error.task_uuid is None))
        ]
    found = read_poll(status, Envelope(tuple(items), tuple(errors), envelope.readable), asked, retry_after)
    return replace(found, stop=_stop(status, envelope))  # what was recorded is history


def lost(asked: Iterable[UUID]) -> SubmitReply:
    """Return the reply of a submit of which nothing came back: every outcome is unknown.

    :param asked: the tasks that were sent
    """
    return SubmitReply(tuple(SubmitOutcome(uuid, "unknown") for uuid in asked))


def _named_outcome(status: int, uuid: UUID, named: Sequence[TaskError]) -> SubmitOutcome:
    """Say what the errors that name a task make of it; they are not about an acknowledged one."""
    for error in named:
        if error.family == "conflict":
            return SubmitOutcome(uuid, "conflict", error=error)
    error = named[0]
    if error.scope == "account" or error.family == "rateLimit":
        return SubmitOutcome(uuid, "refused", error=error)
    if error.family == "serverError" and status in _TURNED_AWAY:
        return SubmitOutcome(uuid, "refused", error=error)
    if error.family in _SAYS_LITTLE and status >= _SERVER_FAULT:
        return SubmitOutcome(uuid, "unknown", error=error)
    return SubmitOutcome(uuid, "failed", error=error)


def _state_of_error(status: int, uuid: UUID, error: TaskError) -> TaskState | None:
    """Say what an error that names a task makes of its state; none when it is about the look-up, not the task."""
    if error.family in ("conflict", "unknownTask"):
        return TaskState(uuid, "silent")
    if error.family == "auth":
        return None
    if error.family in _TRANSIENT and (status in THROTTLING or status >= _SERVER_FAULT):
        return None
    return TaskState(uuid, "failed", error=error)


def _answered(status: int, envelope: Envelope) -> bool:
    """Whether the reply speaks for the whole array, so that a task it does not name is one it does not know."""
    return envelope.readable and status in _SUCCESS and all(error.task_uuid is not None for error in envelope.errors)


def _key_refused(status: int, envelope: Envelope) -> bool:
    """Whether the whole request was turned away at the door, so that certainly nothing of it was accepted."""
    if status == _UNAUTHORIZED:
        return bool(envelope.errors)
    return status == _FORBIDDEN and any(error.family == "auth" for error in envelope.errors)


def _stop(status: int, envelope: Envelope) -> ClarityError | None:
    for error in envelope.errors:
        if error.family == "auth":
            return to_exception(error)
    if status == _UNAUTHORIZED and envelope.errors:
        said = envelope.errors[0]
        return to_exception(task_error("unauthorized", f"{said.code} {said.message}".strip()))
    return None


def _no_money(envelope: Envelope) -> ClarityError | None:
    return next((to_exception(error) for error in envelope.errors if error.family == "quota"), None)


def _items_by_task(items: Iterable[Item]) -> dict[UUID, ResultItem]:
    """Sort items by task; of duplicates, the one that carries the result counts."""
    found: dict[UUID, ResultItem] = {}
    for item in items:
        result = ResultItem.model_validate(item)
        if result.task_uuid is not None and (result.succeeded or result.task_uuid not in found):
            found[result.task_uuid] = result
    return found


def _keep_better(states: dict[UUID, TaskState], state: TaskState) -> None:
    """Keep what is more certain: a picture that exists over an error, an error over progress."""
    known = states.get(state.task_uuid)
    if known is None or _RANK[state.status] > _RANK[known.status]:
        states[state.task_uuid] = state


def _renamed(error: TaskError, uuid: UUID) -> TaskError:
    return TaskError(error.code, error.message, error.kind, error.retryable, error.scope, error.parameter, uuid)


def read_account(status: int, envelope: Envelope) -> Account:
    """Read the account out of a reply. The balance comes as a number, or as an object with amount and currency.

    :param status: the HTTP status
    :param envelope: the reply
    :raises ClarityAuthError: the key was refused, or has no permission for the account
    :raises ClarityProviderError: any other error, or a reply that nobody can read
    """
    if stop := _stop(status, envelope):
        raise ClarityAuthError(
            f"{stop.message} A valid key may lack the permission to read the account.", code=stop.code
        ) from stop
    if envelope.errors:
        raise to_exception(envelope.errors[0])
    if status not in _SUCCESS or not envelope.items:
        raise ClarityProviderError(f"Runware answered {status} without an account. Nothing was paid. Try again later.")
    item = envelope.items[0]
    name, balance = item.get("organizationName"), item.get("balance")
    details = balance if isinstance(balance, dict) else {"amount": balance}
    currency = details.get("currency")
    return Account(
        organization=name if isinstance(name, str) else None,
        balance=_amount(details.get("amount")),
        free_balance=_amount(details.get("freeBalance")),
        currency=currency if isinstance(currency, str) and currency else "USD",
    )


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
