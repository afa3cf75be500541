"""No secret passes; what is no secret stays readable."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.redact import redact

SIGNED = "https://storage.googleapis.com/b/o.jpg?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=s3cret"
PEM = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"PUT {SIGNED} failed", "PUT https://storage.googleapis.com/b/o.jpg?*** failed"),
        (
            "https://storage.googleapis.com/upload/storage/v1/b/x/o?uploadType=resumable&upload_id=s3cret",
            "https://storage.googleapis.com/upload/storage/v1/b/x/o?***",
        ),
        ("https://hook.example/done?token=s3cret.", "https://hook.example/done?***"),
        ("https://h/x#access_token=s3cret", "https://h/x?***"),
        ("https://me:s3cret@h.example/x", "https://***@h.example/x"),
        ("wss://ws.example/v1?key=s3cret", "wss://ws.example/v1?***"),
        (f'{{"uploadEndpoint": "{SIGNED}"}}', '{"uploadEndpoint": "https://storage.googleapis.com/b/o.jpg?***"}'),
        ("Authorization: Bearer s3cret", "Authorization: ***"),
        ("{'Authorization': 'Basic s3cret='}", "{'Authorization': '***'}"),
        ("refused bearer s3cret, sorry", "refused bearer ***, sorry"),
        ('{"apiKey": "s3cret", "n": 1}', '{"apiKey": "***", "n": 1}'),
        ("{'access_token': 's3cret'}", "{'access_token': '***'}"),
        (
            "Max retries exceeded with url: /b/o?X-Goog-Credential=s3cret&X-Goog-Signature=s3cret (Caused by",
            "Max retries exceeded with url: /b/o?X-Goog-Credential=***&X-Goog-Signature=*** (Caused by",
        ),
        ("u=https%3A%2F%2Fh%2F%3FX-Goog-Signature%3Ds3cret%26a", "u=https%3A%2F%2Fh%2F%3FX-Goog-Signature%3D***%26a"),
        ("image data:image/png;base64,s3cret/+= end", "image data:image/png,*** end"),
        ("image " + "s3cret/" * 40 + "==", "image ***"),
        (f"key {PEM} end", "key *** end"),
        ("key -----BEGIN RSA PRIVATE KEY-----\ns3cret", "key ***"),
        (f"gs://b/o.jpg,{SIGNED}", "gs://b/o.jpg,https://storage.googleapis.com/b/o.jpg?***"),
    ],
)
def test_each_secret_is_taken_out_and_the_rest_stays(text: str, shown: str) -> None:
    """A presigned URL in a log is a door; a log without the object's name is no help."""
    assert redact(text) == shown
    assert "s3cret" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/a#1?x=2",
        "'gs://bucket/o?token=part-of-the-name' and gs://bucket/signature=1",
        "gs://bucket/data:2024,01.png",
        "gs://bucket/" + "a" * 400,
        "https://im.runware.ai/image/os/a08d21/ws/2/ii/656270fc-3a5c-43c5-9a71-cd5838e5b366.jpg",
        "task 2205ed9f-6640-47a2-8d62-5510ca6865fb failed: the token is missing",
        "the bearer",
        "",
    ],
)
def test_what_is_no_secret_is_kept_whole(text: str) -> None:
    """In gs:// both # and ? are part of an object's name: cut there, the message names another object."""
    assert redact(text) == text


PIECES = st.sampled_from(
    [
        "gs://b/o?",
        SIGNED,
        "Bearer ",
        "data:image/png;base64,AA",
        "https://",
        "@",
        "?",
        "#",
        "token=",
        "'",
        '"',
        " ",
        PEM,
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    """Texts pass through more than once: an error's message goes into a log line."""
    assert redact(redact(text)) == redact(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_signature_never_survives_whatever_stands_around_it(before: str, after: str) -> None:
    """One missed case is one leaked door."""
    assert "s3cret" not in redact(f"{before} {SIGNED} {after}")


def test_anything_can_be_redacted() -> None:
    """It is called with exceptions and objects as they come."""
    assert redact(ValueError(SIGNED)) == "https://storage.googleapis.com/b/o.jpg?***"
    assert redact(None) == "None"


@pytest.mark.parametrize(
    "text", ["A" * 3_000_000, "a+" * 100_000, "a/b." * 100_000, "data:" * 50_000, "gs://" * 50_000]
)
def test_a_large_text_takes_no_time(text: str) -> None:
    """A failed inline upload may carry ten megabytes; a slow pattern would block the triggerer."""
    begun = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begun < 2
