"""What an error code of the service means: the table, as data, and the exceptions made of it.

The table is that of the official SDKs (classes, raw codes, patterns) with these decisions of ours:

- ``timeoutProvider``, the one documented code that the SDKs do not know, is a timeout.
- ``failedToTransferImage`` is about the *input* image. Sending it again would fail again.
- ``uploadFailed``, ``mediaStorageFileCouldNotBeMoved`` and all that is about an upload or a webhook are *delivery*: the
  picture was made and paid for, so they never lead to a new purchase.
- ``conflictTaskUUID`` is no failure at all: the service accepted this UUID before (family ``conflict``).
- ``taskNotFound`` and its like, on a look-up, say that the service does not know the task: no news (family
  ``unknownTask``).
- A code that nobody knows is the provider's failure, and retryable.

Codes are compared without capitals, hyphens and underscores: the service is "actively standardizing" them
(https://runware.ai/docs/platform/errors) and has hundreds. Exact codes win over patterns; the first pattern wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from airflow_provider_clarity.exceptions import ERRORS, ClarityError, ClarityRateLimitError, Kind

Scope = Literal["task", "array", "account"]
Family = Literal[
    "validation",
    "conflict",
    "auth",
    "quota",
    "rateLimit",
    "safety",
    "timeout",
    "unknownTask",
    "input",
    "delivery",
    "provider",
    "serverError",
    "unmapped",
]


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """What a code means for us.

    :param kind: the kind of error a person sees, see :mod:`airflow_provider_clarity.exceptions`
    :param retryable: whether a new purchase, or for a refused submit another send, can mend it
    :param scope: whom it concerns: the task, everything that was sent with it, or all of the account
    :param family: the row of the table
    """

    kind: Kind
    retryable: bool
    scope: Scope
    family: Family


@dataclass(frozen=True, slots=True)
class TaskError:
    """An error that the service reported, readable and without secrets.

    :param code: the service's code as it came; empty when it gave none
    :param message: the service's words, redacted
    :param kind: see :class:`ErrorClass`
    :param retryable: see :class:`ErrorClass`
    :param scope: see :class:`ErrorClass`
    :param parameter: the request fields it names
    :param task_uuid: the task it names; none, when it names none
    :param cost: USD that the failed task costs all the same, where the service says so
    """

    code: str
    message: str
    kind: Kind
    retryable: bool
    scope: Scope
    parameter: tuple[str, ...] = ()
    task_uuid: UUID | None = None
    cost: float | None = None

    @property
    def family(self) -> Family:
        """The row of the table that the code falls in."""
        return classify(self.code).family


FAMILIES: dict[Family, ErrorClass] = {
    "validation": ErrorClass("validation", retryable=False, scope="task", family="validation"),
    "conflict": ErrorClass("validation", retryable=False, scope="task", family="conflict"),
    "auth": ErrorClass("auth", retryable=False, scope="account", family="auth"),
    "quota": ErrorClass("quota", retryable=False, scope="account", family="quota"),
    "rateLimit": ErrorClass("rate", retryable=True, scope="array", family="rateLimit"),
    "safety": ErrorClass("safety", retryable=False, scope="task", family="safety"),
    "timeout": ErrorClass("timeout", retryable=True, scope="task", family="timeout"),
    "unknownTask": ErrorClass("lost", retryable=False, scope="task", family="unknownTask"),
    "input": ErrorClass("input", retryable=False, scope="task", family="input"),
    "delivery": ErrorClass("delivery", retryable=False, scope="task", family="delivery"),
    "provider": ErrorClass("provider", retryable=True, scope="task", family="provider"),
    "serverError": ErrorClass("provider", retryable=True, scope="array", family="serverError"),
    "unmapped": ErrorClass("provider", retryable=True, scope="task", family="unmapped"),
}
"""What each row of the table means."""

CODES: dict[Family, str] = {
    "conflict": "conflictTaskUUID duplicateTaskUUID",
    "unknownTask": "taskNotFound taskExpired taskFailedOrNotFound",
    "validation": """
        unknownParameter incompatibleParameters validationFailed mismatchProviderSettingsProvider
        unknownProviderSettingsProvider transparentModelMismatch modelOwnershipValidationError modelAlreadyExists
        modelNotFound providerNotFound unknownModel""",
    "auth": """
        invalidApiKey missingApiKey unauthorized forbidden permissionDenied insufficientPermissions
        authenticationFailed authFailed authTimeout invalidAuthentication invalidCredentials missingAuthentication
        tokenExpired tokenInvalid tokenMissing tokenRevoked accountSuspended accountDisabled organizationSuspended
        organizationDisabled workspaceSuspended workspaceDisabled""",
    "quota": """
        insufficientCredits providerInsufficientCredits thirdPartyInsufficientCredits
        videoInferenceInsufficientCredits quotaExceeded paymentRequired""",
    "rateLimit": """
        rateLimitExceeded inferenceRateLimitExceeded providerRateLimitExceeded inferenceRateLimitRequestTooLarge""",
    "safety": """
        contentPolicyViolation providerContentPolicyViolation sensitiveContentDetected unsafeContentDetected
        nsfwContentDetected promptBlocked imageBlocked moderationFailed invalidProviderContent""",
    "timeout": "timeoutProvider providerTimeout providerGatewayTimeout timeout",
    "input": "failedToTransferImage mediaNotFound mediaExpired payloadTooLarge",
    "delivery": "uploadFailed mediaStorageFileCouldNotBeMoved webhookTimeout",
    "serverError": """
        internalServerError serviceUnavailable serverUnavailable standardError unknownError undefinedError
        defaultError unrecognizedResponse errorRetrievingAccountManagement""",
    "provider": """
        providerError providerUnavailable providerBadGateway providerInternalError providerUnknownError
        providerAuthenticationFailed inferenceError processingFailed taskFailed downloadFailed noAvailableServer
        modelUnavailable modelDisabled modelNotReady""",
}
"""Codes that are known by name."""

NOT_RETRYABLE = ("taskCancelled",)
"""Codes of the provider that another purchase would not mend."""

PATTERNS: tuple[tuple[str, Family], ...] = (
    (r"credits|quota|balance(?!r)", "quota"),
    (r"ratelimit|^toomanyrequests", "rateLimit"),
    (r"contentpolicy|nsfw|moderation", "safety"),
    (r"^(upload|webhook)", "delivery"),
    (r"^(invalid|missing|conflict|duplicate|unsupported|value|array|max|incompatible)", "validation"),
    (r"timeout", "timeout"),
    (r"(notfound|expired)$", "input"),
    (r"^provider", "provider"),
)
"""Patterns over the folded code, tried in this order after the exact codes."""


def _fold(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.casefold())


_EXACT: dict[str, ErrorClass] = {
    _fold(code): FAMILIES[family] for family, codes in CODES.items() for code in codes.split()
} | {_fold(code): ErrorClass("provider", retryable=False, scope="task", family="provider") for code in NOT_RETRYABLE}
_COMPILED = tuple((re.compile(pattern), FAMILIES[family]) for pattern, family in PATTERNS)


def classify(code: str) -> ErrorClass:
    """Return what a code of the service means.

    :param code: as the service sent it; an empty one is unmapped
    """
    folded = _fold(code)
    if folded in _EXACT:
        return _EXACT[folded]
    return next((found for pattern, found in _COMPILED if pattern.search(folded)), FAMILIES["unmapped"])


def task_error(
    code: str,
    message: str,
    *,
    parameter: tuple[str, ...] = (),
    task_uuid: UUID | None = None,
    cost: float | None = None,
) -> TaskError:
    """Make the error of a code: its kind, scope and whether to try again come from the table.

    :param code: the service's code
    :param message: the service's words, already redacted
    :param parameter: the request fields it names
    :param task_uuid: the task it names
    :param cost: USD that the failed task costs all the same
    """
    found = classify(code)
    return TaskError(code, message, found.kind, found.retryable, found.scope, parameter, task_uuid, cost)


_NEXT: dict[Kind, str] = {
    "validation": "Nothing was paid. Correct the parameter; another try would be refused again.",
    "input": "Sending it again would fail again. See that the source is a JPG, PNG or WEBP that the service can fetch.",
    "safety": "Sending it again would be refused again. Leave the image out.",
    "quota": "What is in flight stays paid and is adopted by the next try. Add credits to the Runware account.",
    "auth": "Nothing was paid by this request. Put a valid Runware API key into the connection's password.",
    "rate": "It may be sent again under the same task UUID. Lower the number of tasks in flight, or wait.",
    "timeout": "The service ended the task by itself. Another try may succeed, and is another purchase.",
    "provider": "The service ended the task by itself. Another try may succeed, and is another purchase.",
    "delivery": "The picture was made and paid for; it is not bought again. Fetch it by its task UUID.",
    "lost": "It is not bought again unasked. Look the task UUID up in the Runware dashboard.",
}


def to_exception(error: TaskError) -> ClarityError:
    """Turn a reported error into the exception of its kind: what happened, what is safe, what to do next.

    :param error: what the service reported
    """
    subject = f"task {error.task_uuid}" if error.task_uuid else "the request"
    code = error.code or "an error without a code"
    said = f": {error.message.rstrip('. ')}" if error.message else ""
    message = f"Runware answered {code} for {subject}{said}. {_NEXT.get(error.kind, _NEXT['provider'])}"
    cls = ERRORS[error.kind]
    if issubclass(cls, ClarityRateLimitError):
        return cls(message, code=error.code or None)
    return cls(message, code=error.code or None, retryable=error.retryable)
