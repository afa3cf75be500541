"""What a person is told: what happened, what is safe, what to do next. Pure."""

from __future__ import annotations

from airflow_provider_clarity.batch.record import Attempt, Failure


def unreadable(uri: str, why: str) -> str:
    """Say that a task record cannot be read."""
    return (
        f"The task record {uri} cannot be read: {why}. Nothing was sent, since it cannot be told what was bought. "
        "Upgrade this package where a newer one wrote the record; else restore the object, or delete it once you have "
        "looked up the task in the Runware dashboard."
    )


def unreadable_trace(uri: str) -> str:
    """Say that the note of which image a run is on cannot be read."""
    return (
        f"{uri}, where this run wrote down which task record it is on, cannot be read: it is damaged, or a newer "
        "version of this package wrote it. Nothing was sent, since an earlier try may have something in flight. "
        "Upgrade this package, or delete the object: a retry then begins from the source as it is now, and adopts what "
        "was bought for it."
    )


def refused_picture(attempt: Attempt, why: str) -> Failure:
    """Say that a paid picture is there and was refused."""
    return Failure(
        kind="delivery",
        message=f"The picture of task {attempt.task_uuid} was paid, and refused: {why}. It is not bought again unasked."
        f" It lies at {attempt.staging}. Copy it from there, or clear the task to buy it again; where only its size is "
        'odd, verify="lenient" delivers it.',
    )


SOURCE_CHANGED = (
    "The source is another than the one that was bought: the parameter, or what its template renders to, has changed. "
    "Nothing more was sent. What is in flight stays paid. Clear the task to begin with the new source."
)
"""A resumed task renders to another source."""

UNNAMED = Failure(kind="provider", message="The service reported a failure without saying which.", retryable=True)
"""A failure that the service gave no reason for."""

GONE = Failure(
    kind="delivery",
    message="The delivered picture is gone, and the service does not have it any more. Nothing was bought again in "
    "this round. Clear the task to buy it again.",
)
"""The output was deleted and cannot be fetched."""

NEVER_LANDED = Failure(
    kind="delivery",
    message="The task succeeded and was paid, but its picture neither reached the upload endpoint nor can be fetched. "
    "It is not bought again in this round. See whether the service may write to the bucket, then clear the task.",
)
"""Paid, and nowhere to be had."""


NOT_UPLOADED = (
    "the service reported success, but its upload never reached staging, so the picture was fetched from its address. "
    "If that goes on: whoever signs the upload may lack storage.objects.create and storage.objects.delete on the "
    "workspace's bucket, the endpoint may have expired in a long queue, or a service perimeter keeps uploads out; "
    'upload_via="worker" asks for none'
)
"""A note on a picture that was recovered: what is wrong with the uploads, most likely."""


def lost(attempt: Attempt) -> Failure:
    """Say that nobody can tell whether a purchase was made, or where its result is."""
    known = "was accepted" if attempt.acknowledged_at is not None else "was perhaps never sent"
    return Failure(
        kind="lost",
        message=f"Task {attempt.task_uuid} {known}, and the service says nothing of it any more: it cannot be told "
        "whether it was paid. It was not bought again. Look for the UUID in the Runware dashboard; then clear the "
        'task, or set on_lost="buy_again", to buy it once more.',
    )


def stale(uri: str) -> Failure:
    """Say that the final object is ours, but not what was asked for now."""
    return Failure(
        kind="delivery",
        message=f"{uri} was made from another generation of its source, or with other parameters. It was left as it is "
        'and nothing was paid. Set if_exists="update" to replace it.',
    )


def foreign(uri: str) -> Failure:
    """Say that the final object is not ours."""
    return Failure(
        kind="delivery",
        message=f"{uri} is not ours, or was made from another source. It was left as it is and nothing was paid. "
        'Choose another destination, or set if_exists="overwrite" to replace it.',
    )


def exists(uri: str) -> Failure:
    """Say that the final object is there, which the user wanted to be an error."""
    return Failure(
        kind="plan",
        message=f'{uri} exists, and if_exists="fail". Nothing was paid. Choose another destination or if_exists.',
    )


def taken(uri: str, reason: str, kept: str) -> Failure:
    """Say that the final name was taken while the picture was made."""
    return Failure(
        kind="delivery",
        message=f"{uri} is taken: {reason}. Nothing was overwritten, and the paid picture is kept at {kept}. Copy it "
        'from there, or set if_exists="overwrite" and clear the task.',
    )
