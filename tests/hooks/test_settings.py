"""What a connection says, however it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityError, ClarityValidationError
from airflow_provider_clarity.hooks.settings import ClaritySettings, settings_from_connection

KEY = "rw-secret-key-1"


def settings(extra: Any = None, **fields: Any) -> ClaritySettings:
    raw = extra if isinstance(extra, str) else json.dumps(extra or {})
    return settings_from_connection(
        Connection(conn_id="clarity_x", conn_type="clarity", **{"password": KEY} | fields, extra=raw)
    )


def test_a_key_is_all_that_is_needed() -> None:
    """The defaults are the service's address and those that the README states."""
    assert settings() == ClaritySettings("clarity_x", KEY)
    assert settings().base_url == "https://api.runware.ai/v1"
    assert settings().expected_cost_usd == Decimal("0.0038")


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "https://api.runware.ai/v1"}, "https://api.runware.ai/v1"),
        ({"host": "https://api.runware.ai/v1/"}, "https://api.runware.ai/v1"),
        ({"host": " https://api.runware.ai "}, "https://api.runware.ai/v1"),
        ({"host": "api.runware.ai"}, "https://api.runware.ai/v1"),
        ({"host": "api.runware.ai", "schema": "https"}, "https://api.runware.ai/v1"),
        ({"host": "api.runware.ai", "schema": "v1"}, "https://api.runware.ai/v1"),
        ({"host": "api.runware.ai", "port": 8443, "schema": "v2"}, "https://api.runware.ai:8443/v2"),
        ({"host": "api.runware.ai/v1", "port": 8443}, "https://api.runware.ai:8443/v1"),
        ({"host": "https://api.runware.ai:8443/v1", "port": 9}, "https://api.runware.ai:8443/v1"),
        ({"host": "http://127.0.0.1:4000/v1"}, "http://127.0.0.1:4000/v1"),
        ({"host": "127.0.0.1", "port": 4000}, "http://127.0.0.1:4000/v1"),
        ({"host": "127.0.0.1", "port": 4000, "schema": "https"}, "https://127.0.0.1:4000/v1"),
        ({"host": "http://[::1]:4000/v1"}, "http://[::1]:4000/v1"),
        ({"host": "http://[::1]", "port": 4000}, "http://[::1]:4000/v1"),
        ({"host": ""}, "https://api.runware.ai/v1"),
    ],
)
def test_the_address_may_be_written_in_every_usual_way(fields: dict[str, Any], address: str) -> None:
    """Host with or without scheme, path and port; port and schema in their own fields."""
    assert settings(**fields).base_url == address


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (f"clarity://:{KEY}@api.runware.ai/v1", "https://api.runware.ai/v1"),
        (f"clarity://:{KEY}@api.runware.ai", "https://api.runware.ai/v1"),
        (f"clarity://https://:{KEY}@api.runware.ai/v1", "https://api.runware.ai/v1"),
        (f"clarity://:{KEY}@https%3A%2F%2Fapi.runware.ai%2Fv1", "https://api.runware.ai/v1"),
        (f"clarity://:{KEY}@127.0.0.1:4000/v1", "http://127.0.0.1:4000/v1"),
        (f"clarity://http://:{KEY}@127.0.0.1:4000/v1", "http://127.0.0.1:4000/v1"),
        (f"clarity://:{KEY}@/", "https://api.runware.ai/v1"),
    ],
)
def test_a_uri_says_the_same_as_the_form(uri: str, address: str) -> None:
    """`airflow connections add --conn-uri` and AIRFLOW_CONN_... know nothing but URIs."""
    read = settings_from_connection(Connection(conn_id="u", uri=f"{uri}?timeout=30&max_connections=2"))
    assert (read.base_url, read.api_key, read.timeout, read.max_connections) == (address, KEY, 30.0, 2)


def test_a_uri_survives_airflow_writing_it_again() -> None:
    """Secrets backends keep connections as the URI that Airflow made of them."""
    one = Connection(
        conn_id="u", conn_type="clarity", host="https://api.runware.ai/v1", password="k/@:?#&=%", extra='{"timeout": 9}'
    )
    assert settings_from_connection(Connection(conn_id="u", uri=one.get_uri())) == settings_from_connection(one)


def test_extras_are_read_with_their_types() -> None:
    """Text is taken for numbers, as old forms and URIs send it; an empty field is a field that is not set."""
    read = settings(
        {
            "timeout": "12.5",
            "max_connections": 3,
            "allowed_image_hosts": "im.runware.ai, .cdn.example",
            "webhook_url": "https://hooks.example/x?secret=1",
            "expected_cost_usd": 0.002,
        }
    )
    assert read.timeout == 12.5
    assert read.max_connections == 3
    assert read.allowed_image_hosts == ("im.runware.ai", ".cdn.example")
    assert read.webhook_url == "https://hooks.example/x?secret=1"
    assert read.expected_cost_usd == Decimal("0.002")
    assert settings({"timeout": "", "webhook_url": None, "allowed_image_hosts": ""}) == settings()
    assert settings({"allowed_image_hosts": ["im.runware.ai"]}).allowed_image_hosts == ("im.runware.ai",)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"timeout": "inf"}, "timeout"),
        ({"timeout": [60]}, "timeout"),
        ({"timeout": 601}, "timeout"),
        ({"max_connections": 2.5}, "max_connections"),
        ({"max_connections": 21}, "max_connections"),
        ({"expected_cost_usd": "cheap"}, "expected_cost_usd"),
        ({"expected_cost_usd": "inf"}, "expected_cost_usd"),
        ({"allowed_image_hosts": "https://im.runware.ai/"}, "allowed_image_hosts"),
        ({"allowed_image_hosts": "*.runware.ai"}, "allowed_image_hosts"),
        ({"allowed_image_hosts": "."}, "allowed_image_hosts"),
        ({"allowed_image_hosts": [1]}, "allowed_image_hosts"),
        ({"allowed_image_hosts": {"a": 1}}, "allowed_image_hosts"),
        ({"webhook_url": "http://hooks.example/x"}, "webhook_url"),
        ({"webhook_url": "https://[broken"}, "webhook_url"),
        ({"webhook_url": 7}, "webhook_url"),
    ],
)
def test_a_wrong_extra_is_named_and_its_value_is_not(extra: dict[str, Any], named: str) -> None:
    """The message says which extra, what it must be, that nothing was paid; a secret value is not repeated."""
    with pytest.raises(ClarityValidationError, match=f"{named}.*clarity_x.*nothing was paid") as caught:
        settings(extra)
    assert "hooks.example" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(key: str) -> None:
    """And it is not repeated: half a key is a secret, too."""
    with pytest.raises(ClarityAuthError, match="API key") as caught:
        settings(password=key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "http://api.runware.ai/v1",
        "ftp://api.runware.ai",
        "https://user:pass@api.runware.ai/v1",
        "https://api.runware.ai/v1?key=1",
        "https://",
        "https://api.runware.ai:port/v1",
        "https://[::1",
        "[::1",
    ],
)
def test_an_address_that_the_key_must_not_go_to_is_refused(host: str) -> None:
    """Unencrypted to another machine, with a user or a query, or no address at all."""
    with pytest.raises(ClarityValidationError, match="clarity_x"):
        settings(host=host)


@dataclass
class Row:
    """A connection as a stand-in: Airflow's own refuses some of these extras itself."""

    conn_id: str = "clarity_x"
    host: str | None = None
    schema: str | None = None
    port: int | None = None
    password: str | None = KEY
    extra: str | None = None


@pytest.mark.parametrize("extra", ["no json", "[1]", '"text"', "null", "7"])
def test_an_extra_that_is_no_object_is_refused(extra: str) -> None:
    """Airflow would read it as empty, and every default would hold in silence."""
    with pytest.raises(ClarityValidationError, match="not a JSON object"):
        settings_from_connection(Row(extra=extra))


def test_secrets_are_in_no_representation() -> None:
    """A settings object in a log or a traceback tells neither key nor webhook."""
    shown = repr(settings({"webhook_url": "https://hooks.example/x?secret=1"}))
    assert KEY not in shown
    assert "hooks.example" not in shown


@given(
    host=st.text(max_size=30) | st.from_regex(r"https?://[a-z.:/\[\]@?#]{0,20}", fullmatch=True),
    schema=st.text(max_size=8),
    port=st.none() | st.integers(0, 70000),
    extra=st.dictionaries(
        st.sampled_from(["timeout", "max_connections", "allowed_image_hosts", "webhook_url", "expected_cost_usd"]),
        st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9), st.lists),
    ),
)
def test_any_connection_is_read_or_refused_in_our_words(
    host: str, schema: str, port: int | None, extra: dict[str, Any]
) -> None:
    """Whatever is typed into the form, no other exception than ours comes out."""
    row = Row(host=host, schema=schema, port=port, extra=json.dumps(extra))
    try:
        said = settings_from_connection(row).base_url
    except ClarityError as error:
        said = f"https://{error}"
    assert said.startswith(("https://", "http://"))
    assert KEY not in said
