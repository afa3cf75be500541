"""The connection form in the web interface of a real Airflow 3: what a person sees, saves and gets back.

``CLARITY_SCREENSHOTS=docs/images bash .ci/run ui`` takes the pictures of docs/connections.md anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airflow_instance import AirflowInstance, real_airflow
from browser import ConnectionForm, find_browser, signed_in
from emulator_process import EmulatorProcess

from airflow_provider_clarity.hooks import form

pytestmark = [
    pytest.mark.system,
    pytest.mark.ui,
    pytest.mark.skipif(version("apache-airflow").startswith("2."), reason="Airflow 2 has another web interface"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None or find_browser() is None,
        reason="needs playwright and a chromium: apt install chromium, then bash .ci/run ui",
    ),
]

READS = """
from hashlib import sha256
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_clarity.hooks.clarity import ClarityHook

with DAG(dag_id="reads", schedule=None) as dag:

    @task
    def read(params=None, **context):
        found = ClarityHook(context["dag_run"].conf["conn_id"]).get_settings()
        return {
            "base_url": found.base_url,
            "timeout": found.timeout,
            "max_connections": found.max_connections,
            "expected_cost_usd": str(found.expected_cost_usd),
            "allowed_image_hosts": list(found.allowed_image_hosts),
            "secrets": [sha256(str(one).encode()).hexdigest() for one in (found.api_key, found.webhook_url)],
        }

    read()
"""
WEBHOOK = "https://hooks.example.com/done?secret=s3cr3t-of-the-hook"
EXTRAS = {
    "timeout": "45",
    "max_connections": "3",
    "expected_cost_usd": "0.0038",
    "allowed_image_hosts": "im.runware.ai, .example.com",
    "webhook_url": WEBHOOK,
}
REFUSES_NO_PORT = ("3.3.1", "3.3.2")
"""Versions whose button Test refuses every connection without a port (apache/airflow#73298)."""


@dataclass
class World:
    """An Airflow, a browser in front of it, and the service that the connection names."""

    airflow: AirflowInstance
    emulator: EmulatorProcess
    page: Any
    form: ConnectionForm

    def picture(self, name: str, of: Any = None, **how: Any) -> None:
        """Take a picture for the docs, if somebody asked for it."""
        if folder := os.environ.get("CLARITY_SCREENSHOTS"):
            self.page.wait_for_timeout(700)  # until what unfolds has unfolded
            (of or self.page).screenshot(path=Path(folder, f"{name}.png"), **how)

    def settings(self, conn_id: str) -> Any:
        """What a task gets from the hook."""
        run = self.airflow.trigger("reads", {"conn_id": conn_id})
        assert self.airflow.wait("reads", run) == "success"
        return self.airflow.xcom("reads", run, "read")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Everything, once."""
    with (
        EmulatorProcess() as emulator,
        real_airflow({"reads.py": READS}) as airflow,
        signed_in(airflow) as page,
    ):
        yield World(airflow, emulator, page, ConnectionForm(page, str(airflow.url)))


def digests(*secrets: str | None) -> list[str]:
    """What the task tells of secrets."""
    return [hashlib.sha256(str(one).encode()).hexdigest() for one in secrets]


def test_the_form_shows_what_there_is_to_fill_in(world: World) -> None:
    """Breaks if the key is asked for as a password of a login, or an extra is typed as JSON by hand."""
    world.form.add("clarity_default", "Clarity (Runware)")
    shown = world.form.dialog.inner_text().split("\n")
    assert [one for one in ("Base URL", "API key") if one in shown] == ["Base URL", "API key"]
    assert not {"Schema", "Login", "Port", "Host", "Password"} & set(shown)
    fields = {name: world.form.dialog.locator(f"[name={name}]") for name in ("host", "password")}
    assert fields["host"].get_attribute("placeholder") == "https://api.runware.ai/v1"
    assert fields["password"].get_attribute("placeholder") == "your Runware API key"
    assert fields["password"].get_attribute("type") == "password"
    world.picture("connection-form", world.form.dialog)
    world.form.open_extras()
    shown = world.form.dialog.inner_text().split("\n")
    told = [text for one in form.EXTRA_FIELDS for text in (one.label, one.description)]
    assert [line for line in shown if line in told] == told
    assert world.form.extra_field("webhook_url").get_attribute("type") == "password"


def test_what_was_typed_is_what_the_hook_reads(world: World) -> None:
    """Breaks if a number comes back as a text that is refused, or an edit costs the key or the webhook."""
    key = world.emulator.api_key
    world.form.add("clarity_default", "Clarity (Runware)")
    world.form.fill(host=world.emulator.runware_url, password=key, description="Upscaler")
    world.form.open_extras()
    world.form.fill_extras(**EXTRAS)
    world.picture("connection-extras", world.form.dialog)
    world.form.save()
    wanted = {
        "base_url": world.emulator.runware_url,
        "timeout": 45,
        "max_connections": 3,
        "expected_cost_usd": "0.0038",
        "allowed_image_hosts": ["im.runware.ai", ".example.com"],
        "secrets": digests(key, WEBHOOK),
    }
    assert world.settings("clarity_default") == wanted
    world.form.edit("clarity_default")
    world.form.fill(description="Our upscaler")
    world.form.save()
    assert world.settings("clarity_default") == wanted


def test_neither_key_nor_webhook_is_shown_again(world: World) -> None:
    """Breaks if whoever may look at connections can read what they hold."""
    world.form.row("clarity_default").get_by_text("Our upscaler").wait_for()
    world.picture("connection-list", clip={"x": 0, "y": 0, "width": 1040, "height": 270})
    world.form.edit("clarity_default")
    assert world.form.dialog.locator("[name=password]").input_value() == "***"
    world.form.open_extras()
    assert world.form.extra_field("webhook_url").input_value() == "***"
    assert world.form.extra_field("timeout").input_value() == "45"
    told = world.page.content() + str(world.airflow.api._call("GET", "/connections/clarity_default"))
    assert world.emulator.api_key not in told
    assert "s3cr3t" not in told


def test_a_key_alone_is_a_connection(world: World) -> None:
    """Breaks if what is left empty comes as a null that the hook takes for a value."""
    world.form.add("only_a_key", "Clarity (Runware)")
    world.form.fill(password="a-key")
    world.form.open_extras()
    world.form.save()
    assert world.settings("only_a_key") == {
        "base_url": "https://api.runware.ai/v1",
        "timeout": 60,
        "max_connections": 5,
        "expected_cost_usd": "0.0038",
        "allowed_image_hosts": [".runware.ai"],
        "secrets": digests("a-key", None),
    }


def test_the_button_test_asks_for_the_account(world: World) -> None:
    """Breaks if the button buys, or says nothing of the account; nothing is posted for a picture."""
    world.form.row("clarity_default").get_by_role("button", name="Test Connection").click()
    refused = version("apache-airflow") in REFUSES_NO_PORT
    world.page.get_by_text("Test Connection Failed" if refused else "Test Connection Successful").wait_for()
    body = {"connection_id": "tried", "conn_type": "clarity", "password": world.emulator.api_key}
    reply = world.airflow.api._call("POST", "/connections/test", body | {"host": world.emulator.runware_url})
    assert reply["status"] is True, reply
    assert "balance" in reply["message"].lower()
    assert world.emulator.accounts()["purchases"] == {}
