"""Validation: every field of the model page, in the words of the service."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from emulator_api import Api, task
from emulator_process import EmulatorProcess

from airflow_provider_clarity.emulator.runware_fields import SCHEDULERS
from airflow_provider_clarity.emulator.runware_validation import problem

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"taskUUID": None}, "missingTaskUUID", "taskUUID"),
    ({"taskUUID": "one"}, "invalidTaskUUID", "taskUUID"),
    ({"taskUUID": str(uuid.uuid1())}, "invalidTaskUUID", "taskUUID"),
    ({"taskUUID": 4}, "invalidTaskUUID", "taskUUID"),
    ({"model": None}, "missingModel", "model"),
    ({"model": "runware:501@1"}, "unsupportedModel", "model"),
    ({"inputs": None}, "missingInputs", "inputs"),
    ({"inputs": {}}, "missingImage", "inputs.image"),
    ({"inputs": {"image": ""}}, "missingImage", "inputs.image"),
    ({"inputs": {"image": 1}}, "invalidImage", "inputs.image"),
    ({"inputs": "a"}, "invalidInputs", "inputs"),
    ({"inputs": {"image": "a", "mask": "b"}}, "unknownParameter", "inputs.mask"),
    ({"inputImage": "a"}, "unknownParameter", "inputImage"),
    ({"numberResults": 1}, "unknownParameter", "numberResults"),
    ({"outputType": "file"}, "unsupportedOutputType", "outputType"),
    ({"outputType": ["URL"]}, "invalidOutputType", "outputType"),
    ({"outputFormat": "TIFF"}, "unsupportedOutputFormat", "outputFormat"),
    ({"outputQuality": 19}, "invalidOutputQuality", "outputQuality"),
    ({"outputQuality": 100}, "invalidOutputQuality", "outputQuality"),
    ({"outputQuality": 95.5}, "invalidOutputQuality", "outputQuality"),
    ({"outputQuality": True}, "invalidOutputQuality", "outputQuality"),
    ({"webhookURL": "ftp://a/b"}, "invalidWebhookURL", "webhookURL"),
    ({"uploadEndpoint": "gs://a/b"}, "invalidUploadEndpoint", "uploadEndpoint"),
    ({"deliveryMethod": "stream"}, "unsupportedDeliveryMethod", "deliveryMethod"),
    ({"ttl": 59}, "invalidTtl", "ttl"),
    ({"includeCost": 1}, "invalidIncludeCost", "includeCost"),
    ({"upscaleFactor": 1.5}, "invalidUpscaleFactor", "upscaleFactor"),
    ({"upscaleFactor": 5}, "invalidUpscaleFactor", "upscaleFactor"),
    ({"upscaleFactor": "2"}, "invalidUpscaleFactor", "upscaleFactor"),
    ({"settings": []}, "invalidSettings", "settings"),
    ({"settings": {"clipSkip": 1}}, "unknownParameter", "settings.clipSkip"),
    ({"settings": {"positivePrompt": 1}}, "invalidPositivePrompt", "settings.positivePrompt"),
    ({"settings": {"negativePrompt": None}}, "missingNegativePrompt", "settings.negativePrompt"),
    ({"settings": {"seed": -1}}, "invalidSeed", "settings.seed"),
    ({"settings": {"seed": 10**19}}, "invalidSeed", "settings.seed"),
    ({"settings": {"seed": 10**400}}, "invalidSeed", "settings.seed"),
    ({"settings": {"steps": 0}}, "invalidSteps", "settings.steps"),
    ({"settings": {"scheduler": "euler"}}, "unsupportedScheduler", "settings.scheduler"),
    ({"settings": {"CFGScale": -0.01}}, "invalidCFGScale", "settings.CFGScale"),
    ({"settings": {"CFGScale": 5.555}}, "invalidCFGScale", "settings.CFGScale"),
    ({"settings": {"CFGScale": float("inf")}}, "invalidCFGScale", "settings.CFGScale"),
    ({"settings": {"strength": 1.01}}, "invalidStrength", "settings.strength"),
    ({"settings": {"strength": float("nan")}}, "invalidStrength", "settings.strength"),
    ({"settings": {"controlNetWeight": -4.01}}, "invalidControlNetWeight", "settings.controlNetWeight"),
]
RIGHT: list[dict[str, Any]] = [
    {},
    {"taskUUID": str(uuid.uuid4()).upper()},
    {"outputQuality": 20},
    {"outputQuality": 99.0},
    {"upscaleFactor": 2},
    {"upscaleFactor": 3.3},
    {"ttl": 60},
    {"routing": {}},
    {"settings": {}},
    {"settings": {"positivePrompt": "", "negativePrompt": "blur", "seed": 9223372036854775807, "steps": 1}},
    {"settings": {"CFGScale": 5.57, "strength": 0.29, "controlNetWeight": -4}},
    {"taskType": "imageUpscale"},
    {"taskType": "imageUpscale", "inputImage": "abcd", "inputs": None},
    {"uploadEndpoint": "http://127.0.0.1:1/a?b=c", "webhookURL": "https://example.com"},
]


@pytest.mark.parametrize(("changes", "code", "parameter"), WRONG)
def test_what_the_model_page_does_not_allow_is_refused(changes: dict[str, Any], code: str, parameter: str) -> None:
    """A field that slips through here would be found by the first paid call instead."""
    changed = task() | changes
    found = problem({key: value for key, value in changed.items() if value is not None})
    assert found is not None
    assert (found.body["code"], found.body["parameter"], found.status) == (code, parameter, 400)
    assert str(found.body["documentation"]).startswith("https://runware.ai/docs/models/clarity")


@pytest.mark.parametrize("changes", RIGHT)
def test_what_the_model_page_allows_is_accepted(changes: dict[str, Any]) -> None:
    """Too strict a stand-in would teach its users the wrong limits."""
    changed = task() | changes
    assert problem({key: value for key, value in changed.items() if value is not None}) is None


def test_all_75_schedulers_are_known() -> None:
    """The page lists 75; one that is mistyped here would be refused although the service takes it."""
    assert len(set(SCHEDULERS)) == 75
    assert all(problem(task(settings={"scheduler": name})) is None for name in SCHEDULERS)


def test_an_error_says_what_would_be_right(api: Api) -> None:
    """The form of the captured samples: the code, the parameter, its type and limits, the task."""
    wanted = task(settings={"strength": 2})
    error = api.post([wanted]).json()["errors"][0]
    assert error["type"] == "float"
    assert (error["min"], error["max"], error["multiplier"]) == (0, 1, 0.01)
    assert error["taskUUID"] == wanted["taskUUID"]
    assert "'settings.strength'" in error["message"]
    assert api.post([task(outputFormat="GIF")]).json()["errors"][0]["allowedValues"] == ["JPG", "PNG", "WEBP"]


def test_nothing_is_paid_for_a_refused_task(api: Api, emulator: EmulatorProcess) -> None:
    """Documented: an invalid submit is refused before the task exists."""
    wanted = task(ttl=1)
    assert api.post([wanted]).status_code == 400
    assert api.look(wanted["taskUUID"]) == {"data": []}
    assert emulator.accounts()["purchases"] == {}


@pytest.mark.parametrize(("rule", "status"), [("range", 200), ("two", 400)])
def test_the_factor_is_a_range_or_exactly_two(api: Api, emulator: EmulatorProcess, rule: str, status: int) -> None:
    """The page says 2, the schema of later SDKs takes a number; both answers are there."""
    emulator.switches({"upscale_factor": rule})
    reply = api.post([task(upscaleFactor=3)])
    assert reply.status_code == status
    if rule == "two":
        assert reply.json()["errors"][0]["allowedValues"] == [2]
