"""The Runware API without Airflow: wire models, error table, client, one task from submit to result, poll hub."""

from __future__ import annotations

from airflow_provider_clarity.runware.client import BASE_URL, ClarityClient
from airflow_provider_clarity.runware.errors import ErrorClass, TaskError, classify, to_exception
from airflow_provider_clarity.runware.hub import PollHub, WaitResult
from airflow_provider_clarity.runware.images import IMAGE_HOSTS
from airflow_provider_clarity.runware.pace import backoff, next_look, retry_after
from airflow_provider_clarity.runware.parameters import parameters_from_user, warnings_for
from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitOutcome, SubmitReply, TaskState
from airflow_provider_clarity.runware.run import UpscaleResult, run_task
from airflow_provider_clarity.runware.tls import shared_ssl_context
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
    "BASE_URL",
    "IMAGE_HOSTS",
    "MODEL",
    "Account",
    "AccountTask",
    "ClarityClient",
    "ErrorClass",
    "GetResponseTask",
    "GetTaskDetailsTask",
    "PollHub",
    "PollReply",
    "ResultItem",
    "SubmitOutcome",
    "SubmitReply",
    "TaskError",
    "TaskState",
    "UpscaleInputs",
    "UpscaleParameters",
    "UpscaleResult",
    "UpscaleSettings",
    "UpscaleTask",
    "WaitResult",
    "backoff",
    "classify",
    "next_look",
    "parameters_from_user",
    "retry_after",
    "run_task",
    "shared_ssl_context",
    "to_exception",
    "warnings_for",
]
