"""The public face."""

from __future__ import annotations

from airflow_provider_clarity import runware


def test_the_public_face_is_this() -> None:
    """The rooms above code against these names: one that goes, or comes, is a decision."""
    assert sorted(runware.__all__) == [
        "Account",
        "AccountTask",
        "BASE_URL",
        "ClarityClient",
        "ErrorClass",
        "GetResponseTask",
        "GetTaskDetailsTask",
        "IMAGE_HOSTS",
        "MODEL",
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
    assert all(hasattr(runware, name) for name in runware.__all__)
