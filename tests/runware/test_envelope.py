"""Every form of answer that the documents and captures show."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.runware.envelope import Envelope, as_uuid, parse, read

A = "019c42a0-c3ff-7138-be83-ee257abc5331"
ITEM = {"taskType": "upscale", "taskUUID": A}
ERROR = {"code": "timeoutProvider", "message": "too late", "taskUUID": A}


def told(envelope: Envelope) -> tuple[int, list[tuple[str, str | None]]]:
    errors = [(error.code, None if error.task_uuid is None else str(error.task_uuid)) for error in envelope.errors]
    return len(envelope.items), errors


FORMS = [
    ("a list of items", {"data": [ITEM, ITEM]}, (2, [])),
    ("one item as an object", {"data": ITEM}, (1, [])),
    ("an empty acknowledgement", {"data": []}, (0, [])),
    ("no data", {"data": None}, (0, [])),
    ("an empty list of errors", {"data": [ITEM], "errors": []}, (1, [])),
    ("errors alone", {"errors": [ERROR]}, (0, [("timeoutProvider", A)])),
    ("both", {"data": [ITEM], "errors": [ERROR]}, (1, [("timeoutProvider", A)])),
    ("errors as an object", {"errors": ERROR}, (0, [("timeoutProvider", A)])),
    ("an error object", {"error": ERROR}, (0, [("timeoutProvider", A)])),
    ("an error list", {"error": [ERROR, ERROR]}, (0, [("timeoutProvider", A)] * 2)),
    ("an error beside data", {"data": [ITEM], "error": ERROR}, (1, [("timeoutProvider", A)])),
    ("a bare error", ERROR, (0, [("timeoutProvider", A)])),
    ("an error as a text", {"error": "Unauthorized"}, (0, [("", None)])),
    ("a bare message", {"message": "Unauthorized"}, (0, [("", None)])),
    ("the old form", {"error": True, "errorId": 19, "errorMessage": "Invalid api key"}, (0, [("invalidApiKey", None)])),
    ("the old form, another", {"error": True, "errorId": 7, "errorMessage": "x"}, (0, [("errorId7", None)])),
    (
        "an item that failed",
        {"data": [{"taskUUID": A, "status": "error", "error": {"code": "promptBlocked", "message": "no"}}]},
        (0, [("promptBlocked", A)]),
    ),
    ("an item that failed without saying why", {"data": [{"taskUUID": A, "status": "error"}]}, (0, [("", A)])),
    ("a nested error", {"errors": [{"taskUUID": A, "error": {"code": "promptBlocked"}}]}, (0, [("promptBlocked", A)])),
    ("a flat webhook item", {**ITEM, "imageURL": "https://im.runware.ai/x.jpg"}, (1, [])),
    (
        "a flat webhook failure",
        {**ITEM, "status": "error", "error": {"code": "promptBlocked"}},
        (0, [("promptBlocked", A)]),
    ),
    ("a list without an envelope", [ITEM, ERROR], (1, [("timeoutProvider", A)])),
    (
        "odd elements",
        {"data": [None, 1, "x", [], {}, ITEM], "errors": [None, 1, {}, ERROR]},
        (1, [("timeoutProvider", A)]),
    ),
]


@pytest.mark.parametrize(("form", "expected"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_each_form_is_read(form: object, expected: object) -> None:
    """A form that is not understood is a paid task that nobody hears of again."""
    envelope = parse(200, json.dumps(form).encode())
    assert told(envelope) == expected
    assert envelope.readable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"1",
        b"[]",
        b"{}",
        b'"text"',
        b'{"foo": 1}',
        b'{"data": [',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_envelope_is_not_readable(body: bytes) -> None:
    """*readable* is what allows a silence to be believed."""
    assert parse(200, body) == Envelope()


def test_a_parameter_is_a_name_or_a_list_of_names() -> None:
    """The live service sends both."""
    names = ["width", "height", 3]
    one, many = parse(400, json.dumps({"errors": [{"parameter": "width"}, {"parameter": names}]}).encode()).errors
    assert (one.parameter, many.parameter) == (("width",), ("width", "height"))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "auth"), (402, "quota"), (403, "auth"), (413, "input"), (429, "rate")]
)
def test_an_error_without_a_code_is_named_by_the_status(status: int, kind: str) -> None:
    """A gateway in between knows no codes of the service."""
    (error,) = parse(status, b'{"message": "no"}').errors
    assert error.kind == kind


def test_messages_are_short_printable_and_without_secrets() -> None:
    """The service repeats what it was sent; a line break in it would forge a line of the log."""
    said = (
        "bad https://storage.example/o?X-Goog-Signature=abc\nAIRFLOW: all fine \ud800 data:image/png;base64,AAAA "
        + "x" * 9999
    )
    (error,) = parse(400, json.dumps({"errors": [{"code": "c\n", "message": said}]}).encode()).errors
    assert "abc" not in error.message
    assert "AAAA" not in error.message
    assert error.message.isprintable()
    assert error.code.isprintable()
    assert len(error.message) <= 500
    assert error.message.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "errors", "error", "code", "message", "taskUUID", "status", "response"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.integers(100, 599))
def test_no_json_whatever_raises(value: object, status: int) -> None:
    """An exception here would lose the outcomes of a hundred tasks."""
    for envelope in (read(value, status), parse(status, json.dumps(value).encode())):
        assert all(isinstance(item, dict) for item in envelope.items)
        assert envelope.readable or not (envelope.items or envelope.errors)


@given(st.binary())
def test_no_bytes_whatever_raise(body: bytes) -> None:
    """A proxy may send anything."""
    parse(200, body)


@pytest.mark.parametrize("text", [A, A.upper(), A.replace("-", ""), "{" + A + "}"])
def test_a_uuid_is_known_in_every_spelling(text: str) -> None:
    """The echo is not promised to look like what was sent."""
    assert as_uuid(text) == UUID(A)


@pytest.mark.parametrize("value", [None, 7, "", "x", A[:-1], [A], {"taskUUID": A}])
def test_what_is_no_uuid_names_nothing(value: object) -> None:
    """A guess would give one task's error to another."""
    assert as_uuid(value) is None
