"""The hook: lazy, silent about its key, usable in tasks and in triggers."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.common.compat import connection as compat_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from runware_stub import Connect, Runware

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityProviderError, ClarityValidationError
from airflow_provider_clarity.hooks.clarity import ClarityHook

KEY = "rw-secret-key-1"
ACCOUNT = {
    "taskType": "accountManagement",
    "operation": "getDetails",
    "organizationUUID": "5f2b0a4e-0000-4000-8000-000000000001",
    "organizationName": "Pictures Ltd",
    "balance": {"amount": 12.3456, "freeBalance": 1, "currency": "USD"},
}
TASK = "b6aaf8b0-7fd3-4e5b-9f0b-0d3f6a3f5a10"


@pytest.fixture
def hook(connect: Connect, runware: Runware) -> ClarityHook:
    connect("clarity_default", conn_type="clarity", password=KEY, host=runware.url)
    return ClarityHook()


def error(code: str, message: str = "refused") -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}


def test_making_a_hook_reads_no_connection() -> None:
    """Operators make hooks while DAG files are parsed, where no connection may be asked for."""
    assert repr(ClarityHook("absent")) == "ClarityHook(clarity_conn_id='absent')"


def test_an_absent_connection_says_what_to_create() -> None:
    """The first thing that goes wrong for a new user."""
    with pytest.raises(ClarityAuthError, match=r"'absent' does not exist\. Nothing was sent.*type clarity"):
        ClarityHook("absent").get_settings()


async def test_an_absent_connection_says_so_in_a_trigger_too() -> None:
    """A trigger that cannot read it must not end with Airflow's own words only."""
    with pytest.raises(ClarityAuthError, match="'absent' does not exist"):
        await ClarityHook("absent").aget_settings()


async def test_triggers_read_the_same_settings(hook: ClarityHook) -> None:
    """Task and trigger must not drift apart."""
    assert await hook.aget_settings() == await asyncio.to_thread(hook.get_settings)


async def test_where_the_async_look_up_finds_nothing_the_thread_is_asked(
    hook: ClarityHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`airflow dags test` has no async access to connections that are stored in the database."""

    async def nothing(conn_id: str, hook: object = None) -> None:  # noqa: ARG001
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(compat_connection, "get_async_connection", nothing)
    assert (await hook.aget_settings()).api_key == KEY


async def test_inside_an_event_loop_the_sync_methods_name_the_async_way(hook: ClarityHook) -> None:
    """asyncio.run would fail with words that help nobody."""
    with pytest.raises(RuntimeError, match="aget_settings"):
        hook.account()


async def test_the_client_has_the_settings_of_the_connection(hook: ClarityHook, runware: Runware) -> None:
    """And belongs to whoever asked for it."""
    client = hook.get_async_conn(await hook.aget_settings())
    assert client.base_url == runware.url
    assert KEY not in repr(client)
    await client.aclose()


def test_the_connection_test_is_free_and_names_the_account(
    hook: ClarityHook, runware: Runware, caplog: pytest.LogCaptureFixture
) -> None:
    """One request for the account, never a purchase; the key is in neither message nor log."""
    caplog.set_level(logging.DEBUG)
    runware.reply = {"data": [ACCOUNT]}
    assert hook.test_connection() == (True, "Runware took the key of Pictures Ltd. The balance is 12.35 USD.")
    assert [[task["taskType"] for task in tasks] for _, tasks in runware.requests] == [["accountManagement"]]
    assert runware.requests[0][0] == f"Bearer {KEY}"
    assert KEY not in caplog.text


def test_an_account_without_a_stated_balance_passes(hook: ClarityHook, runware: Runware) -> None:
    """The service has had three forms of this reply; the key works in all of them."""
    runware.reply = {"data": [{"taskType": "accountManagement", "organizationUUID": "x"}]}
    passed, message = hook.test_connection()
    assert passed
    assert "did not state the balance" in message


@pytest.mark.parametrize("code", ["insufficientPermissions", "permissionDenied", "Forbidden"])
def test_a_key_without_account_permission_passes_and_the_message_says_so(
    hook: ClarityHook, runware: Runware, code: str
) -> None:
    """Such a key can buy pictures; only its balance cannot be shown."""
    runware.status, runware.reply = 403, error(code)
    passed, message = hook.test_connection()
    assert passed
    assert "may not read the account" in message


def test_a_refused_key_fails_the_connection_test_without_being_shown(hook: ClarityHook, runware: Runware) -> None:
    """The service repeats the key in its message; we do not."""
    runware.status, runware.reply = 401, error("invalidApiKey", f"The key {KEY} is invalid")
    passed, message = hook.test_connection()
    assert not passed
    assert "invalidApiKey" in message
    assert KEY not in message


def test_an_absent_service_fails_the_connection_test(connect: Connect, hook: ClarityHook) -> None:
    """With a sentence, not with a traceback."""
    connect("clarity_default", conn_type="clarity", password=KEY, host="http://127.0.0.1:9/v1")
    passed, message = hook.test_connection()
    assert not passed
    assert "did not answer" in message
    with pytest.raises(ClarityProviderError):
        hook.account()


def test_what_is_wrong_with_the_connection_is_the_result_of_its_test(connect: Connect) -> None:
    """The form's button shows the sentence."""
    connect("clarity_default", conn_type="clarity", host="https://api.runware.ai/v1")
    assert ClarityHook().test_connection()[1].startswith("The connection 'clarity_default' has no API key.")


def test_upscale_buys_one_picture_with_what_it_was_given(connect: Connect, runware: Runware) -> None:
    """The endpoint and the connection's webhook go out; a failure of the task comes back as our exception."""
    secret = "https://hooks.example/x?secret=1"
    connect("clarity_default", conn_type="clarity", password=KEY, host=runware.url, extra={"webhook_url": secret})
    runware.reply = {
        "data": [{"taskType": "upscale", "taskUUID": TASK, "status": "success", "imageURL": "https://im.runware.ai/a"}]
    }
    result = ClarityHook().upscale(
        "https://example.com/a.jpg",
        "https://bucket.example/put?sig=1",
        task_uuid=TASK,
        output_format="PNG",
        settings={"steps": 20, "CFGScale": 6},
        timeout=20,
    )
    assert result.task_uuid == UUID(TASK)
    assert result.image_url == "https://im.runware.ai/a"
    sent = runware.requests[0][1][0]
    assert sent["inputs"] == {"image": "https://example.com/a.jpg"}
    assert sent["uploadEndpoint"] == "https://bucket.example/put?sig=1"
    assert sent["webhookURL"] == secret
    assert (sent["upscaleFactor"], sent["outputFormat"]) == (2, "PNG")
    assert sent["settings"] == {"steps": 20, "CFGScale": 6}


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"output_quality": 100}, "output_quality"),
        ({"settings": {"strength": 2}}, "strength"),
        ({"ttl": 10}, "ttl"),
        ({"ttl": 60, "output_type": "dataURI"}, "ttl"),
        ({"task_uuid": "no uuid"}, "task_uuid"),
        ({"task_uuid": "b6aaf8b0-7fd3-1e5b-9f0b-0d3f6a3f5a10"}, "task_uuid"),
    ],
)
def test_a_request_outside_the_model_page_is_refused_before_it_is_sent(
    hook: ClarityHook, runware: Runware, request_: dict[str, Any], named: str
) -> None:
    """Nothing leaves, and the message names the parameter."""
    with pytest.raises(ClarityValidationError, match=named):
        hook.upscale("https://example.com/a.jpg", **request_)
    assert runware.requests == []


def test_an_unknown_parameter_of_upscale_is_an_error_of_the_caller(hook: ClarityHook) -> None:
    """A misspelt parameter must not be dropped: the picture would be bought without it."""
    with pytest.raises(TypeError, match="factor"):
        hook.upscale("https://example.com/a.jpg", factor=2)  # type: ignore[call-arg]


def test_lookups_return_what_the_client_read(hook: ClarityHook, runware: Runware) -> None:
    """The synchronous methods add nothing to the async ones."""
    runware.reply = {"data": [{"taskType": "upscale", "taskUUID": TASK, "status": "processing"}]}
    uuid = UUID(TASK)
    assert hook.get_response([uuid]).states[uuid].status == "processing"
    assert [tasks[0]["taskType"] for _, tasks in runware.requests] == ["getResponse"]
    hook.get_task_details([uuid])
    assert runware.requests[-1][1][0]["taskType"] == "getTaskDetails"


def test_the_form_of_old_airflow_has_the_fields_of_the_metadata() -> None:
    """Airflow before 3.2 asks the hook, later versions the metadata: one table behind both."""
    pytest.importorskip("flask_appbuilder", reason="comes with Airflow 2.11; run by the tests on that version")
    from flask import Flask  # noqa: PLC0415

    with Flask("form").test_request_context():
        widgets = ClarityHook.get_connection_form_widgets()
    assert set(widgets) == {
        "timeout",
        "max_connections",
        "expected_cost_usd",
        "allowed_image_hosts",
        "webhook_url",
    }
    assert widgets["webhook_url"].field_class.__name__ == "PasswordField"
    assert ClarityHook.get_ui_field_behaviour()["relabeling"]["password"] == "API key"


def test_importing_the_hook_loads_nothing_heavy() -> None:
    """DAG files import it through the operator, every thirty seconds."""
    probe = (
        "import sys; from airflow.providers.common.compat.sdk import BaseHook; before = set(sys.modules);"
        "import airflow_provider_clarity.hooks.clarity, airflow_provider_clarity.hooks.google;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "airflow_provider_clarity" in found.stdout
    assert not [name for name in ("httpx", "pydantic", "google", "wtforms") if f"'{name}'" in found.stdout]
