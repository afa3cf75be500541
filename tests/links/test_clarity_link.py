"""The link to the delivered object, as the two generations of Airflow ask for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.links import clarity as under_test
from airflow_provider_clarity.links.clarity import OBJECT_KEY, ClarityObjectLink, console_url

TASK_INSTANCE: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("gs://b/a.jpg", "/_details/b/a.jpg"),
        ("gs://b/x/y/a.jpg", "/_details/b/x/y/a.jpg"),
        ("gs://b/a b;c?d#e%.jpg", "/_details/b/a%20b%3Bc%3Fd%23e%25.jpg"),
        ("gs://b/ü.jpg", "/_details/b/%C3%BC.jpg"),
    ],
)
def test_an_object_has_a_page_in_the_console(uri: str, page: str) -> None:
    """Names may hold every sign; what means something in an address is quoted."""
    assert console_url(uri) == f"https://console.cloud.google.com/storage/browser{page}"


@given(st.none() | st.integers() | st.text() | st.text().map("gs://".__add__))
def test_whatever_was_pushed_the_link_is_a_console_page_or_nothing(value: object) -> None:
    """A button never leads anywhere else."""
    assert console_url(value) == "" or console_url(value).startswith("https://console.cloud.google.com/storage/")


def test_the_link_reads_what_the_operator_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the operator's key, in the task instance that is looked at."""
    asked: list[Any] = []

    def get_value(*, ti_key: object, key: str) -> str:
        asked.append((ti_key, key))
        return "gs://b/a.jpg"

    monkeypatch.setattr(under_test, "XCom", SimpleNamespace(get_value=get_value))
    link = ClarityObjectLink()
    assert link.name == "Delivered image"
    assert link.get_link(None, ti_key=TASK_INSTANCE).endswith("/b/a.jpg")  # type: ignore[arg-type]
    assert asked == [(TASK_INSTANCE, OBJECT_KEY)]


def test_a_failing_look_up_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs at the end of the task on Airflow 3, in the webserver on 2.11: neither may suffer."""

    def get_value(**_: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(under_test, "XCom", SimpleNamespace(get_value=get_value))
    assert ClarityObjectLink().get_link(None, ti_key=TASK_INSTANCE) == ""  # type: ignore[arg-type]


def test_address_and_object_have_different_keys() -> None:
    """Airflow 3 writes the address under the link's own key: the object's URI must stay what it was."""
    assert getattr(ClarityObjectLink(), "xcom_key", None) != OBJECT_KEY
