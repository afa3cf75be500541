"""Every error this package raises, as one tree.

    ClarityError
      ClarityInputError          the source cannot be read, or is not an image Clarity takes
      ClarityValidationError     a parameter is outside what the model page allows
      ClarityAuthError           the key, or a Google credential, was refused or is missing
      ClarityQuotaError          the account has no money left
      ClaritySafetyError         the service refused the content
      ClarityRateLimitError      the service asked us to slow down
      ClarityTimeoutError        the service gave up on a task
      ClarityProviderError       the service failed
      ClarityDeliveryError       the picture was paid for, but could not be landed where it belongs
      ClarityLostError           it cannot be told whether a purchase was made, or where its result is
      ClarityBudgetError         the next purchase would exceed what was allowed
      ClarityDeadlineError       the time allowed for this try is over
      ClarityFencedError         another runner has taken over
      ClarityPlanError           the plan contradicts itself (two sources, one final name)

A message has up to three sentences: what happened, what is safe, what to do next. No message holds a key, a presigned
URL or a session URI. This module imports neither Airflow nor anything else of the package.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal[
    "validation",
    "input",
    "safety",
    "quota",
    "auth",
    "rate",
    "provider",
    "timeout",
    "delivery",
    "lost",
    "budget",
    "deadline",
    "fenced",
    "plan",
]


class ClarityError(Exception):
    """The root: catch it to catch everything this package raises.

    :param message: what happened, what is safe, what to do next
    :param code: the service's own error code, where it gave one
    :param retryable: whether another try of the Airflow task can mend it; without it, what is usual for the class
    """

    kind: ClassVar[Kind] = "provider"
    usually_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.repeated = False  # set where it only tells again how an earlier try ended
        self.retryable = self.usually_retryable if retryable is None else retryable


class ClarityInputError(ClarityError):
    """The source cannot be read, or is not an image that Clarity takes. Raised before paying, where possible."""

    kind = "input"


class ClarityValidationError(ClarityError):
    """A parameter is outside what the model page allows, or the service refused it. Nothing was paid."""

    kind = "validation"


class ClarityAuthError(ClarityError):
    """The Runware key or a Google credential is missing, was refused, or lacks a role. Nothing was paid."""

    kind = "auth"


class ClarityQuotaError(ClarityError):
    """The account has no money left. What is in flight stays paid and is adopted by the next try."""

    kind = "quota"


class ClaritySafetyError(ClarityError):
    """The service refused the content. Sending it again would be refused again."""

    kind = "safety"


class ClarityRateLimitError(ClarityError):
    """The service asked us to slow down, and did so until the time allowed was over.

    :param retry_after: seconds the service asked us to wait, where it did
    """

    kind = "rate"
    usually_retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class ClarityTimeoutError(ClarityError):
    """The service gave up on a task after accepting it."""

    kind = "timeout"
    usually_retryable = True


class ClarityProviderError(ClarityError):
    """The service failed on a task, or answered something nobody can read."""

    kind = "provider"
    usually_retryable = True


class ClarityDeliveryError(ClarityError):
    """The picture was paid for, but could not be landed where it belongs. The message says where it is kept."""

    kind = "delivery"


class ClarityLostError(ClarityError):
    """It cannot be told whether a purchase was made, or where its result is. It is never bought again unasked."""

    kind = "lost"


class ClarityBudgetError(ClarityError):
    """The next purchase would exceed what was allowed. Nothing more was submitted."""

    kind = "budget"


class ClarityDeadlineError(ClarityError):
    """The time allowed for this try is over. What is in flight stays paid and is adopted by the next try."""

    kind = "deadline"
    usually_retryable = True


class ClarityFencedError(ClarityError):
    """Another runner has taken over this work. This one submits and promotes nothing more."""

    kind = "fenced"
    usually_retryable = True


class ClarityPlanError(ClarityError):
    """The plan contradicts itself. Nothing of it was paid."""

    kind = "plan"


ERRORS: dict[Kind, type[ClarityError]] = {
    cls.kind: cls
    for cls in (
        ClarityInputError,
        ClarityValidationError,
        ClarityAuthError,
        ClarityQuotaError,
        ClaritySafetyError,
        ClarityRateLimitError,
        ClarityTimeoutError,
        ClarityProviderError,
        ClarityDeliveryError,
        ClarityLostError,
        ClarityBudgetError,
        ClarityDeadlineError,
        ClarityFencedError,
        ClarityPlanError,
    )
}
"""The class of each kind."""
