"""What may leave, and that nothing that comes in can break us."""

from __future__ import annotations

import json
import math
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_clarity.runware import (
    AccountTask,
    GetResponseTask,
    GetTaskDetailsTask,
    ResultItem,
    UpscaleInputs,
    UpscaleParameters,
    UpscaleSettings,
    UpscaleTask,
)
from airflow_provider_clarity.runware.schedulers import SCHEDULERS, near_schedulers
from airflow_provider_clarity.runware.wire import MAX_SEED, wire_name

PRESIGNED = "https://storage.googleapis.com/b/o?X-Goog-Signature=secret"


def test_the_vendors_example_goes_out_as_documented() -> None:
    """The example of the model page is the one request that is known to work."""
    settings = {
        "positivePrompt": "clean",
        "negativePrompt": "halos",
        "strength": 0.34,
        "steps": 24,
        "CFGScale": 5.5,
        "seed": 36939,
    }
    uuid = UUID("2205ed9f-6640-47a2-8d62-5510ca6865fb")
    parameters = UpscaleParameters(upscale_factor=2, settings=UpscaleSettings.model_validate(settings))
    image = "https://assets.runware.ai/assets/inputs/2197a5ea-1c3b-49ca-8c0b-a45e054df72b.jpg"
    sent = UpscaleTask(task_uuid=uuid, parameters=parameters, inputs=UpscaleInputs(image=image)).wire()
    documented = {
        "taskType": "upscale",
        "taskUUID": "2205ed9f-6640-47a2-8d62-5510ca6865fb",
        "model": "runware:500@1",
        "upscaleFactor": 2,
        "settings": settings,
        "inputs": {"image": image},
    }
    assert sent == documented | {"outputType": "URL", "deliveryMethod": "async", "includeCost": True}


def test_every_optional_field_goes_out_by_its_documented_name() -> None:
    """A misspelt uploadEndpoint would be ignored, and the picture would land nowhere."""
    task = UpscaleTask(
        task_uuid=uuid4(),
        parameters=UpscaleParameters(
            output_format="PNG", output_quality=99, settings=UpscaleSettings(control_net_weight=-4, scheduler="Euler a")
        ),
        inputs=UpscaleInputs(image="x"),
        upload_endpoint=PRESIGNED,
        webhook_url="https://example.com/hook",
        ttl=60,
    )
    sent = task.wire()
    assert sent["uploadEndpoint"] == PRESIGNED
    assert sent["webhookURL"] == "https://example.com/hook"
    assert (sent["ttl"], sent["outputFormat"], sent["outputQuality"]) == (60, "PNG", 99)
    assert sent["settings"] == {"scheduler": "Euler a", "controlNetWeight": -4}
    assert "upscaleFactor" not in sent


def test_the_small_tasks_go_out_as_documented() -> None:
    """The look-up has no other parameters; an unknown one may be refused."""
    uuid = uuid4()
    assert GetResponseTask(task_uuid=uuid).wire() == {"taskType": "getResponse", "taskUUID": str(uuid)}
    assert GetTaskDetailsTask(task_uuid=uuid).wire() == {"taskType": "getTaskDetails", "taskUUID": str(uuid)}
    assert AccountTask(task_uuid=uuid).wire() == {
        "taskType": "accountManagement",
        "taskUUID": str(uuid),
        "operation": "getDetails",
    }


GOOD = [
    {"seed": 0},
    {"seed": MAX_SEED},
    {"steps": 1},
    {"CFGScale": 0},
    {"cfg_scale": 5.5},
    {"CFGScale": 1000.01},
    {"strength": 0},
    {"strength": 1},
    {"strength": 0.1 + 0.2},
    {"strength": 0.29},
    {"controlNetWeight": -4},
    {"control_net_weight": 4.0},
    {"positivePrompt": ""},
    {"scheduler": "DPM++ 2M SDE Karras"},
    {"seed": None},
]


@pytest.mark.parametrize("settings", GOOD, ids=repr)
def test_settings_inside_the_documented_ranges_are_taken(settings: dict[str, object]) -> None:
    """A stricter client than the service would refuse work that could be done."""
    assert UpscaleSettings.model_validate(settings)


BAD = [
    {"seed": -1},
    {"seed": MAX_SEED + 1},
    {"seed": 1.0},
    {"seed": True},
    {"steps": 0},
    {"steps": "24"},
    {"CFGScale": -0.01},
    {"CFGScale": math.inf},
    {"CFGScale": "5"},
    {"strength": 1.01},
    {"strength": 0.345},
    {"strength": True},
    {"strength": math.nan},
    {"controlNetWeight": 4.01},
    {"controlNetWeight": -4.01},
    {"scheduler": "euler"},
    {"scheduler": 1},
    {"positivePrompt": 1},
    {"clipSkip": 1},
    {"CFGScale": 1, "cfg_scale": 1},
]


@pytest.mark.parametrize("settings", BAD, ids=repr)
def test_settings_outside_are_refused_before_anything_is_sent(settings: dict[str, object]) -> None:
    """The service would refuse them too, ten thousand times, one by one."""
    with pytest.raises(ValidationError):
        UpscaleSettings.model_validate(settings)


@pytest.mark.parametrize(
    "values",
    [
        {"upscale_factor": 1},
        {"upscale_factor": 16.5},
        {"upscale_factor": "2"},
        {"upscale_factor": True},
        {"upscale_factor": math.nan},
        {"output_format": "jpg"},
        {"output_format": "TIFF"},
        {"output_quality": 19},
        {"output_quality": 100},
        {"output_quality": 95.0},
        {"model": "runware:501@1"},
        {"taskUUID": "x"},
    ],
    ids=repr,
)
def test_parameters_outside_are_refused(values: dict[str, object]) -> None:
    """See above: the ranges are those of the model page."""
    with pytest.raises(ValidationError):
        UpscaleParameters.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"task_uuid": UUID("b50fbb80-e661-11f1-b39d-02fc00000001")},
        {"task_uuid": "not a uuid"},
        {"inputs": {"image": ""}},
        {"ttl": 59},
        {"ttl": 60, "output_type": "dataURI"},
        {"ttl": 60, "output_type": "base64Data"},
        {"output_type": ["URL"]},
        {"delivery_method": "stream"},
        {"upload_endpoint": "http://storage.example/x"},
        {"upload_endpoint": "ftp://storage.example/x"},
        {"upload_endpoint": "https://a b"},
        {"webhook_url": "//x"},
        {"webhook_url": "https://[::1"},
        {"include_cost": 1},
        {"numberResults": 2},
    ],
    ids=repr,
)
def test_a_task_the_page_does_not_allow_is_refused_without_showing_its_urls(values: dict[str, object]) -> None:
    """A presigned URL in a validation message ends in the task log."""
    good = {"task_uuid": uuid4(), "inputs": {"image": PRESIGNED}, "upload_endpoint": PRESIGNED}
    with pytest.raises(ValidationError) as refused:
        UpscaleTask.model_validate(good | values)
    assert "secret" not in str(refused.value)


def test_a_task_shows_no_url_in_its_repr() -> None:
    """An engine that logs its tasks would leak every endpoint."""
    task = UpscaleTask(
        task_uuid=uuid4(), inputs=UpscaleInputs(image=PRESIGNED), upload_endpoint=PRESIGNED, webhook_url=PRESIGNED
    )
    assert "secret" not in repr(task)
    assert "secret" not in str(task)


def test_canonical_gives_what_was_given_and_nothing_else() -> None:
    """A default filled in would change the identity of a purchase with the next release."""
    assert UpscaleParameters().canonical() == {"model": "runware:500@1"}
    given = UpscaleParameters.model_validate(
        {
            "upscaleFactor": 2.0,
            "outputFormat": "JPG",
            "settings": {"strength": 0.1 + 0.2, "cfg_scale": 5.0, "seed": None},
        }
    ).canonical()
    shown = json.dumps(given, sort_keys=True)
    settings = '{"CFGScale": 5, "strength": 0.3}'
    assert shown == f'{{"model": "runware:500@1", "outputFormat": "JPG", "settings": {settings}, "upscaleFactor": 2}}'


@given(st.integers(0, 100), st.integers(-400, 400), st.integers(0, 10_000))
def test_canonical_is_the_same_however_the_number_came(strength: int, weight: int, guidance: int) -> None:
    """0.3 and 0.1 + 0.2, 2 and 2.0 are one purchase."""
    computed = {"strength": strength * 0.01, "controlNetWeight": weight * 0.01, "CFGScale": guidance * 0.01}
    written = {name: json.loads(f"{value:.2f}") for name, value in computed.items()}
    assert UpscaleSettings.model_validate(computed).canonical() == UpscaleSettings.model_validate(written).canonical()


def test_there_are_75_schedulers_and_a_misspelt_one_finds_its_neighbours() -> None:
    """The list is long and its names are odd: "not allowed" alone helps nobody."""
    assert len(set(SCHEDULERS)) == 75
    assert near_schedulers("euler karas")[0] == "Euler Karras"
    assert near_schedulers("dpm++ 2m sde karras") == near_schedulers("DPM++ 2M SDE KARRAS")
    assert near_schedulers("zzzzzzzz") == ()


def test_names_are_spelt_as_the_service_spells_them() -> None:
    """The one rule from which every field's wire name follows."""
    names = [
        "task_uuid",
        "cfg_scale",
        "image_data_uri",
        "webhook_url",
        "control_net_weight",
        "image_base64_data",
        "seed",
    ]
    spelt = ["taskUUID", "CFGScale", "imageDataURI", "webhookURL", "controlNetWeight", "imageBase64Data", "seed"]
    assert [wire_name(name) for name in names] == spelt


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [wire_name(name) for name in ResultItem.model_fields]


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON))
def test_no_item_of_the_service_raises(item: dict[str, object]) -> None:
    """One odd field must not lose the result beside it."""
    result = ResultItem.model_validate(item)
    assert result.cost is None or (math.isfinite(result.cost) and result.cost >= 0)


def test_a_field_of_the_wrong_type_is_dropped_and_the_rest_kept() -> None:
    """See above; and an unknown key is the service's future."""
    item = {"taskUUID": "A" * 32, "cost": "0.1", "imageURL": 7, "imageUUID": "i", "progress": 1.5, "routing": {}}
    result = ResultItem.model_validate(item)
    assert (result.task_uuid, result.cost, result.image_url, result.image_uuid) == (UUID("a" * 32), None, None, "i")


@pytest.mark.parametrize(
    ("item", "succeeded"),
    [
        ({"status": "success"}, True),
        ({"imageURL": "https://x"}, True),
        ({"imageBase64Data": "eA=="}, True),
        ({"imageDataURI": "data:,x"}, True),
        ({"status": "done", "imageURL": "https://x"}, True),
        ({"imageUUID": "i", "progress": 25}, False),
        ({"status": "processing", "imageUUID": "i"}, False),
        ({"status": "processing", "imageURL": "https://x"}, False),
        ({"status": "pending"}, False),
        ({}, False),
    ],
    ids=repr,
)
def test_an_item_is_done_by_its_status_or_its_output(item: dict[str, object], *, succeeded: bool) -> None:
    """An imageUUID alone comes while the service is still at work."""
    assert ResultItem.model_validate(item).succeeded is succeeded


def test_a_result_shows_no_picture_in_its_repr() -> None:
    """A base64 picture is megabytes of log; its URL needs no key."""
    item = {"imageBase64Data": "secret", "imageDataURI": "secret", "imageURL": "secret"}
    assert "secret" not in repr(ResultItem.model_validate(item))
