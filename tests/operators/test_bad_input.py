"""Bad input costs nothing, and the message can be acted on without reading the code."""

from __future__ import annotations

import io
import json
import os
import re
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from bad_input import BAD, CLARITY, Case
from PIL import Image
from workshop import Workshop

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityError

CASES = [(group, case) for group, cases in BAD.items() for case in cases]
SAFE = re.compile(r"Nothing was (?:sent and nothing was paid|sent|paid|changed)\.")


def _png(mode: str, size: tuple[int, int], content: bytes | None = None) -> bytes:
    out = io.BytesIO()
    picture = Image.new(mode, size) if content is None else Image.frombytes(mode, size, content)
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


PICTURES = {
    "raw/text.png": b"not a picture",
    "raw/empty.png": b"",
    "raw/cut.png": _png("RGB", (40, 30))[:20],
    "raw/cat.gif": b"GIF89a" + bytes(20),
    "raw/wide.png": _png("L", (4096, 2)),
}


def _filled(value: Any, bucket: str) -> Any:
    return value.replace("{bucket}", bucket) if isinstance(value, str) else value


def test_there_are_enough_of_them() -> None:
    """Somebody who shortens the table is told."""
    assert len({repr(case) for _, case in CASES}) == len(CASES)
    assert len(CASES) >= 65


@pytest.mark.parametrize(
    ("group", "case"),
    CASES,
    ids=[f"{group}: {case.changes or case.names!a}"[:90] for group, case in CASES],
)
def test_bad_input_is_refused_before_anything_is_paid(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, group: str, case: Case
) -> None:
    """What happened, what is safe, what to do next; no retry, nothing sent, and no secret shown."""
    if case.names == "not a JSON object" and version("apache-airflow").startswith("2."):
        pytest.skip("Airflow 2 drops a connection whose extra is no object, and says so itself; run on Airflow 3")
    workshop.upload()
    wanted = str(case.changes.get("source", "")).removeprefix("gs://{bucket}/")
    if wanted in PICTURES:
        workshop.upload(wanted, PICTURES[wanted])
    if wanted == "raw/large.png":
        workshop.upload(wanted, _png("RGB", (2000, 2000), os.urandom(12_000_000)))
    for name, fields in case.environment.items():
        monkeypatch.setenv(name, json.dumps(json.loads(os.environ[name]) | fields))
    workshop.emulator.faults(list(case.faults))
    with pytest.raises(AirflowFailException) as raised:
        workshop.run(**{name: _filled(value, workshop.bucket) for name, value in case.changes.items()})
    cause = raised.value.__cause__
    assert isinstance(cause, ClarityError), group
    assert not cause.retryable
    assert str(raised.value) == f"{type(cause).__name__}: {cause.message}"
    parts = SAFE.split(cause.message, maxsplit=1)
    assert len(parts) == 2, cause.message
    happened, then = parts
    assert case.names in happened
    assert case.then in then
    assert happened.strip()[-1] in ".?"
    assert then.strip().endswith(".")
    assert cause.message.isprintable()
    assert len(cause.message) < 600
    assert "word" not in cause.message.replace("password", "")
    assert workshop.emulator.accounts()["submits"] == 0


def test_a_key_that_the_service_refuses_buys_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is wrong can only be told by the service: the one mistake that is found by a submit."""
    workshop.upload()
    monkeypatch.setenv(CLARITY, json.dumps(json.loads(os.environ[CLARITY]) | {"password": "emulator-wrong"}))
    with pytest.raises(AirflowFailException, match="key") as raised:
        workshop.run()
    assert isinstance(raised.value.__cause__, ClarityAuthError)
    assert workshop.counts() == []
