"""The Runware API without Airflow: wire models, error table, client, poll hub."""

from __future__ import annotations

from airflow_provider_clarity.runware.errors import ErrorClass, TaskError, classify, to_exception
from airflow_provider_clarity.runware.parameters import parameters_from_user, warnings_for
from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.wire import (
    MODEL,
    AccountTask,
    GetResponseTask,
    GetTaskDetailsTask,
    ResultItem,
    UpscaleInputs,
    UpscaleParameters,
    UpscaleSettings,
    UpscaleTask,
)

__all__ = [
    "MODEL",
    "Account",
    "AccountTask",
    "ErrorClass",
    "GetResponseTask",
    "GetTaskDetailsTask",
    "PollReply",
    "ResultItem",
    "SubmitOutcome",
    "SubmitReply",
    "TaskError",
    "TaskState",
    "UpscaleInputs",
    "UpscaleParameters",
    "UpscaleSettings",
    "UpscaleTask",
    "classify",
    "parameters_from_user",
    "to_exception",
    "warnings_for",
]
