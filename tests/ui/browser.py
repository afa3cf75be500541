"""A browser that has signed in to a real Airflow 3, and the few things that the tests do with its forms."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_instance import AirflowInstance

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

_PATIENCE = 120
"""Seconds to wait for anything: on two cores that others use too, a page may take its time."""


def find_browser() -> str | None:
    """Find a chromium: the system's, or the one that playwright has installed; None where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    return next((str(path) for path in sorted(own.glob("chromium-*/chrome-linux*/chrome"))), None)


@contextmanager
def signed_in(airflow: AirflowInstance) -> Iterator[Any]:
    """Open a page of the web interface, as its administrator."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is to be had

    user, password = airflow.login
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1040, "height": 1080})
        page.set_default_timeout(_PATIENCE * 1000)
        page.goto(str(airflow.url))
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Dags").first.wait_for()
        try:
            yield page
        finally:
            browser.close()


class ConnectionForm:
    """The form of Admin, Connections, Add Connection, or of a connection that is there.

    :param page: from :func:`signed_in`
    :param url: of the web interface
    """

    def __init__(self, page: Any, url: str) -> None:
        self._page = page
        self._url = url
        self.dialog = page.get_by_role("dialog")

    def add(self, connection_id: str, type_name: str) -> None:
        """Open the form of a new connection and choose its type by what the user sees."""
        self._page.goto(f"{self._url}/connections")
        self._page.get_by_role("button", name="Add Connection").click()
        self.dialog.get_by_label("Connection ID").fill(connection_id)
        self.dialog.get_by_role("combobox").click()
        self._page.keyboard.type(type_name)
        self._page.get_by_role("option", name=type_name, exact=True).click()
        self.dialog.locator("[name=password]").wait_for()

    def edit(self, connection_id: str) -> None:
        """Open the form of a connection that is there."""
        self.row(connection_id).get_by_role("button", name="Edit Connection").click()
        self.dialog.locator("[name=password]").wait_for()

    def row(self, connection_id: str) -> Any:
        """The row of a connection in the list."""
        self._page.goto(f"{self._url}/connections")
        row = self._page.get_by_role("row").filter(has_text=connection_id)
        row.wait_for()
        return row

    def fill(self, **fields: str) -> None:
        """Type into standard fields."""
        for name, text in fields.items():
            self.dialog.locator(f"[name={name}]").fill(text)

    def open_extras(self) -> None:
        """Unfold the extra fields."""
        self.dialog.get_by_role("button", name="Extra Fields", exact=True).click()
        self.extra_field("webhook_url").wait_for()

    def extra_field(self, name: str) -> Any:
        """The input of an extra."""
        return self.dialog.locator(f"[name=element_{name}]")

    def fill_extras(self, **fields: str) -> None:
        """Type into extras, as a person does: number fields read it key by key."""
        for name, text in fields.items():
            self.extra_field(name).click()
            self.extra_field(name).press_sequentially(text)
            self.extra_field(name).press("Tab")
        self.dialog.get_by_role("heading", name="Connection").first.click()  # no tooltip of a focused button

    def save(self) -> None:
        """Save, and wait until the form is gone."""
        self.dialog.get_by_role("button", name="Save").click()
        self.dialog.wait_for(state="hidden")
