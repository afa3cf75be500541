"""What a user may write, and what is said to one who wrote something else."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_clarity.exceptions import ClarityValidationError
from airflow_provider_clarity.runware import parameters_from_user, warnings_for


def test_good_parameters_become_what_is_bought() -> None:
    """Both spellings of a setting are one purchase."""
    one = parameters_from_user(output_format="PNG", output_quality=90, settings={"CFGScale": 5, "controlNetWeight": 1})
    two = parameters_from_user(
        output_format="PNG", output_quality=90, settings={"cfg_scale": 5, "control_net_weight": 1}
    )
    assert one.canonical() == two.canonical()
    assert one.canonical()["upscaleFactor"] == 2


def test_what_is_none_is_left_to_the_service() -> None:
    """The factor may be left out; a setting that a template made none was not meant."""
    assert parameters_from_user(upscale_factor=None, settings={"seed": None}).canonical() == {"model": "runware:500@1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"upscale_factor": 1}, "upscale_factor must be a number above 1"),
        ({"upscale_factor": "2"}, "render_template_as_native_obj"),
        ({"output_format": "jpg"}, "output_format must be JPG, PNG or WEBP"),
        ({"output_quality": 100}, "output_quality must be an integer from 20 to 99, not 100"),
        ({"settings": {"strength": 0.345}}, "in steps of 0.01, not 0.345"),
        ({"settings": {"strength": True}}, "not True"),
        ({"settings": {"seed": -1}}, "settings.seed must be an integer from 0"),
        ({"settings": {"seed": "1"}}, "render_template_as_native_obj"),
        ({"settings": {"steps": [24]}}, "not a list"),
        ({"settings": {"scheduler": "eulr"}}, "did you mean 'Euler'"),
        ({"settings": {"scheduler": 7}}, "one of the 75 names"),
        ({"settings": {"positivePrompt": 7}}, "must be a text, not 7"),
        ({"settings": {"clipSkip": 1}}, "no field 'clipSkip'; there are positivePrompt"),
        ({"settings": {7: 1}}, "no field 7"),
        ({"settings": {"cfg_scale": 1, "CFGScale": 1}}, "given twice"),
        ({"settings": "strength=1"}, "settings must be a dict, not a text"),
        ({"settings": {"webhookURL": "https://x"}}, 'the extra "webhook_url"'),
        ({"settings": {"webhook_url": "https://x"}}, 'the extra "webhook_url"'),
    ],
    ids=repr,
)
def test_each_mistake_is_named_and_what_is_safe_and_what_to_do(arguments: dict[str, Any], said: str) -> None:
    """A person reads this in a task log and wants to know which field, and whether money went."""
    with pytest.raises(ClarityValidationError) as refused:
        parameters_from_user(**arguments)
    assert said in str(refused.value)
    assert "Nothing was sent and nothing was paid. Correct this and run again." in str(refused.value)
    assert not refused.value.retryable


@pytest.mark.parametrize(
    "name",
    [
        "taskUUID",
        "uploadEndpoint",
        "deliveryMethod",
        "includeCost",
        "webhookURL",
        "outputType",
        "taskType",
        "model",
        "inputs",
        "task_uuid",
        "upload_endpoint",
        "ttl",
    ],
)
def test_what_is_ours_is_refused_in_settings(name: str) -> None:
    """An uploadEndpoint of the user's would land the picture past every check."""
    with pytest.raises(ClarityValidationError, match="cannot be set in settings: ") as refused:
        parameters_from_user(settings={name: "https://hunter2"})
    assert "hunter2" not in str(refused.value)


def test_all_mistakes_are_told_at_once_and_no_text_is_repeated() -> None:
    """A prompt or a misplaced URL may be a secret; and one mistake a run is a slow conversation."""
    bad = {
        "positivePrompt": {"a": "secret"},
        "strength": "secret",
        "s e c": "secret",
        "scheduler": "https://h?t=secret",
    }
    with pytest.raises(ClarityValidationError) as refused:
        parameters_from_user(upscale_factor=0, settings=bad)
    message = str(refused.value)
    assert "secret" not in message
    assert all(name in message for name in ("upscale_factor", "positivePrompt", "strength", "scheduler"))


def test_what_is_allowed_but_odd_is_warned_about() -> None:
    """The live schema takes other factors than the documented 2; the service decides."""
    assert warnings_for(parameters_from_user()) == ()
    assert warnings_for(parameters_from_user(upscale_factor=None)) == ()
    (factor,) = warnings_for(parameters_from_user(upscale_factor=4))
    assert "upscale_factor=4" in factor
    (ignored,) = warnings_for(parameters_from_user(settings={"negativePrompt": "x", "CFGScale": 1}))
    assert "negativePrompt" in ignored
