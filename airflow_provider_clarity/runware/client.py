"""The async client of the Runware API. Being written: the shapes of its replies are in ``replies.py``."""

from __future__ import annotations

from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitOutcome, SubmitReply, TaskState

__all__ = ["Account", "PollReply", "SubmitOutcome", "SubmitReply", "TaskState"]
