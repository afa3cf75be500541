"""What the logs of Airflow's tasks prove and tell. They are files, named alike on Airflow 2.11 and 3."""

from __future__ import annotations

import json
from pathlib import Path

_FIRED = "TriggerEvent"
_FOLDS = ("::group::", "::endgroup::")


def fired_triggers(logs: Path, run_id: str, task_id: str) -> set[int]:
    """Find the mapped tasks for which a trigger in the triggerer has fired: each was really deferred.

    :param logs: the folder of all task logs
    :param run_id: the run
    :param task_id: the mapped task
    :return: map indexes
    """
    return {
        _map_index(path)
        for path in logs.glob(f"*/run_id={run_id}/task_id={task_id}/map_index=*/*.log.trigger.*")
        if _FIRED in path.read_text(encoding="utf-8", errors="replace")
    }


def task_log(logs: Path, run_id: str, task_id: str, map_index: int | None = None) -> str:
    """Return what the last try of a task logged, a message a line.

    :param logs: the folder of all task logs
    :param run_id: the run
    :param task_id: the task
    :param map_index: its map index; none where it is not mapped
    """
    mapped = "" if map_index is None else f"map_index={map_index}/"
    tries = sorted(logs.glob(f"*/run_id={run_id}/task_id={task_id}/{mapped}attempt=*.log"), key=_attempt)
    if not tries:
        return "it has no log"
    messages = map(_message, tries[-1].read_text(encoding="utf-8", errors="replace").splitlines())
    return "\n".join(message for message in messages if not message.startswith(_FOLDS))


def _map_index(path: Path) -> int:
    return int(path.parent.name.removeprefix("map_index="))


def _attempt(path: Path) -> int:
    return int(path.stem.removeprefix("attempt="))


def _message(line: str) -> str:
    """Return the message of a line: Airflow 3 logs JSON, 2.11 text."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    errors = [f"{one.get('exc_type')}: {one.get('exc_value')}" for one in entry.get("error_detail") or ()]
    return " ".join([str(entry.get("event", "")), *errors])
