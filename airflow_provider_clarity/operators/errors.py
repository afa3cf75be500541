"""How an error of ours becomes one that Airflow acts on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_clarity.exceptions import ClarityError


@contextmanager
def failing_for_good() -> Iterator[None]:
    """Turn an error that no retry can mend into ``AirflowFailException``; others pass, so that Airflow retries."""
    try:
        yield
    except ClarityError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
