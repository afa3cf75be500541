"""What each code of the service means."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.exceptions import ERRORS, ClarityRateLimitError
from airflow_provider_clarity.runware import classify, to_exception
from airflow_provider_clarity.runware.errors import CODES, FAMILIES, task_error

AUTH = """
    invalidApiKey missingApiKey unauthorized forbidden permissionDenied insufficientPermissions authenticationFailed
    authFailed authTimeout invalidAuthentication invalidCredentials missingAuthentication tokenExpired tokenInvalid
    tokenMissing tokenRevoked accountSuspended accountDisabled organizationSuspended organizationDisabled
    workspaceSuspended workspaceDisabled"""
QUOTA = """
    insufficientCredits providerInsufficientCredits thirdPartyInsufficientCredits videoInferenceInsufficientCredits
    quotaExceeded paymentRequired someCreditsGone dailyQuotaReached lowBalance maxQuotaExceeded"""
RATE = """
    rateLimitExceeded inferenceRateLimitExceeded providerRateLimitExceeded inferenceRateLimitRequestTooLarge
    anyRateLimitAtAll tooManyRequests"""
VALIDATION = """
    invalidWidth missingDimensionParameters unsupportedDuration valueTooLarge arrayTooSmall maxResultsExceeded
    unknownParameter incompatibleParameters validationFailed mismatchProviderSettingsProvider
    unknownProviderSettingsProvider transparentModelMismatch modelOwnershipValidationError modelAlreadyExists
    unsupportedTaskType modelNotFound providerNotFound unknownModel duplicateModel conflictName"""
SAFETY = """
    contentPolicyViolation providerContentPolicyViolation sensitiveContentDetected unsafeContentDetected
    nsfwContentDetected promptBlocked imageBlocked moderationFailed invalidProviderContent"""
TIMEOUT = "timeoutProvider providerTimeout providerGatewayTimeout timeout inferenceTimeout"
PROVIDER = """
    providerError providerUnavailable providerBadGateway providerInternalError providerUnknownError
    providerAuthenticationFailed inferenceError processingFailed taskFailed downloadFailed noAvailableServer
    modelUnavailable modelDisabled modelNotReady providerSomethingNew internalServerError serviceUnavailable
    serverUnavailable standardError unknownError undefinedError defaultError unrecognizedResponse
    errorRetrievingAccountManagement loadBalancerError somethingEntirelyNew"""
INPUT = "failedToTransferImage mediaNotFound mediaExpired payloadTooLarge imageNotFound assetExpired"
DELIVERY = "uploadFailed mediaStorageFileCouldNotBeMoved webhookTimeout uploadTimeout"
TABLE = [
    *((code, "auth", False, "account") for code in AUTH.split()),
    *((code, "quota", False, "account") for code in QUOTA.split()),
    *((code, "rate", True, "array") for code in RATE.split()),
    *((code, "validation", False, "task") for code in VALIDATION.split()),
    *((code, "safety", False, "task") for code in SAFETY.split()),
    *((code, "timeout", True, "task") for code in TIMEOUT.split()),
    *((code, "provider", True, None) for code in PROVIDER.split()),
    *((code, "input", False, "task") for code in INPUT.split()),
    *((code, "delivery", False, "task") for code in DELIVERY.split()),
    ("taskCancelled", "provider", False, "task"),
    ("", "provider", True, "task"),
]


@pytest.mark.parametrize(("code", "kind", "retryable", "scope"), TABLE)
def test_each_documented_code_has_its_meaning(code: str, kind: str, scope: str | None, *, retryable: bool) -> None:
    """A wrong *retryable* buys a picture that cannot succeed; a wrong scope stops, or does not stop, the run."""
    found = classify(code)
    assert (found.kind, found.retryable) == (kind, retryable)
    assert scope in (None, found.scope)


@pytest.mark.parametrize("code", ["conflictTaskUUID", "CONFLICT_TASK_UUID", "duplicateTaskUUID"])
def test_a_conflict_on_the_task_uuid_is_an_acknowledgement(code: str) -> None:
    """It says that the first send was accepted."""
    assert classify(code).family == "conflict"


@pytest.mark.parametrize("code", ["taskNotFound", "taskExpired", "taskFailedOrNotFound", "task_not_found"])
def test_a_task_that_is_not_known_is_no_failure(code: str) -> None:
    """It is news about the service's memory, not about the picture."""
    assert (classify(code).family, classify(code).retryable) == ("unknownTask", False)


@given(st.text())
def test_every_text_has_a_meaning_whatever_its_spelling(code: str) -> None:
    """The service has hundreds of unstable codes; none may raise."""
    assert classify(code) == classify(code.swapcase().swapcase())
    assert classify(code).kind in ERRORS


def test_no_code_is_in_two_rows() -> None:
    """The later row would win without anybody noticing."""
    codes = [code for row in CODES.values() for code in row.split()]
    assert len(codes) == len(set(codes))
    assert set(CODES) | {"unmapped"} == set(FAMILIES)


@pytest.mark.parametrize("kind", sorted({row.kind for row in FAMILIES.values()}))
def test_an_error_becomes_the_exception_of_its_kind_with_three_sentences(kind: str) -> None:
    """What happened, what is safe, what to do next: a person has nothing else."""
    code = next(code for code, *rest in TABLE if rest[0] == kind) if kind != "lost" else "taskNotFound"
    uuid = uuid4()
    reported = task_error(code, "the service's words", task_uuid=uuid)
    error = to_exception(reported)
    assert type(error) is ERRORS[kind]  # type: ignore[index]
    assert error.code == (code or None)
    assert error.retryable == (reported.retryable or isinstance(error, ClarityRateLimitError))
    assert str(uuid) in error.message
    assert "the service's words" in error.message
    assert error.message.count(". ") >= 1


def test_an_error_without_code_or_task_can_still_be_said() -> None:
    """Half of the captured errors lack one of them."""
    assert "an error without a code for the request." in str(to_exception(task_error("", "")))
