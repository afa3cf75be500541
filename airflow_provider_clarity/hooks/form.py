"""The connection form, as data: which fields it has and what they are called.

Airflow 3.2 and later read it from the provider metadata, earlier versions from class methods of the hook. Both are made
from this one table. It imports nothing: the metadata is loaded by every process of Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ExtraField:
    """One extra of the connection, as the form shows it.

    :param name: its key in the connection's extra
    :param label: what the form calls it
    :param description: one sentence: meaning, unit and what holds where it is empty
    :param type: its JSON type
    :param maximum: the greatest number that is taken
    :param secret: whether the form hides what is typed
    """

    name: str
    label: str
    description: str
    type: Literal["string", "number", "integer"]
    secret: bool = False
    maximum: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema that Airflow's form understands."""
        schema: dict[str, Any] = {"type": [self.type, "null"]}
        if self.secret:
            schema["format"] = "password"
        if self.type != "string":
            schema["minimum"] = 1 if self.type == "integer" else 0
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        return schema


EXTRA_FIELDS = (
    ExtraField(
        "timeout",
        "Timeout (s)",
        "Seconds that one request to Runware may take, at most 600. Empty: 60.",
        "number",
        maximum=600,
    ),
    ExtraField(
        "max_connections",
        "Max connections",
        "How many connections one process opens to Runware, 1 to 20. Empty: 5.",
        "integer",
        maximum=20,
    ),
    ExtraField(
        "expected_cost_usd",
        "Expected cost (USD)",
        "What one image costs at most, as far as you know; a budget reserves that much. Empty: 0.0038.",
        "number",
    ),
    ExtraField(
        "allowed_image_hosts",
        "Allowed image hosts",
        "Hosts that results may be fetched from, by commas; .name allows subdomains. Empty: .runware.ai.",
        "string",
    ),
    ExtraField(
        "webhook_url",
        "Webhook URL",
        "Runware posts each finished task there. Hidden, since it may carry a secret. Empty: none.",
        "string",
        secret=True,
    ),
)
"""The extras, in the order of the form."""

HIDDEN_FIELDS = ("schema", "login", "port")
RELABELING = {"password": "API key", "host": "Base URL"}
PLACEHOLDERS = {"host": "https://api.runware.ai/v1", "password": "your Runware API key"}
