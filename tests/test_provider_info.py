"""The metadata that every process of Airflow reads: what is wrong in it breaks `airflow version` already."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_clarity import __version__
from airflow_provider_clarity.hooks import form
from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.provider_info import get_provider_info

INFO: dict[str, Any] = get_provider_info()
AIRFLOW = Path(airflow.__file__).parent
CONNECTION_TYPE = INFO["connection-types"][0]


def schema(name: str) -> dict[str, Any]:
    return json.loads((AIRFLOW / name).read_text(encoding="utf-8"))


def test_the_metadata_fits_the_schema_of_the_installed_airflow() -> None:
    """Airflow validates it at the start of each process and ends with an error of its own where it does not fit."""
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_form_fits_the_schema_where_airflow_has_one() -> None:
    """Airflow 3.2 and later read the form from here; keys of another spelling are ignored in silence."""
    declared = schema("provider.yaml.schema.json")["properties"]["connection-types"]["items"]
    jsonschema.validate(CONNECTION_TYPE, declared)
    if "conn-fields" in declared["properties"]:
        assert set(CONNECTION_TYPE) <= set(declared["properties"])
        behaviour = declared["properties"]["ui-field-behaviour"]["properties"]
        assert set(CONNECTION_TYPE["ui-field-behaviour"]) <= set(behaviour)


def test_the_package_name_is_that_of_the_distribution() -> None:
    """Otherwise even `airflow version` crashes; measured."""
    assert INFO["package-name"] == distribution("airflow-provider-clarity").metadata["Name"]
    assert INFO["versions"] == [__version__]


def test_the_entry_point_leads_here() -> None:
    """Airflow finds the package by it and by nothing else."""
    (entry,) = distribution("airflow-provider-clarity").entry_points.select(group="apache_airflow_provider")
    assert entry.load() is get_provider_info


def test_every_listed_name_can_be_imported() -> None:
    """A name that is wrong shows only when somebody opens a page of the UI."""
    for kind in ("hooks", "operators", "triggers"):
        for module in (name for one in INFO[kind] for name in one["python-modules"]):
            assert import_module(module)
    for path in (*INFO["extra-links"], CONNECTION_TYPE["hook-class-name"]):
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)


def test_metadata_and_hook_agree() -> None:
    """One is read by new versions of Airflow, the other by old ones."""
    assert CONNECTION_TYPE["connection-type"] == ClarityHook.conn_type
    assert CONNECTION_TYPE["hook-name"] == ClarityHook.hook_name
    assert "__" not in ClarityHook.conn_type  # Airflow cuts the names of form fields there
    behaviour = ClarityHook.get_ui_field_behaviour()
    assert CONNECTION_TYPE["ui-field-behaviour"] == {
        "hidden-fields": behaviour["hidden_fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }


def test_airflow_masks_the_secret_extras() -> None:
    """Before 3.4 it goes by the name of an extra, not by its format."""
    try:
        masker = import_module("airflow.sdk._shared.secrets_masker.secrets_masker")
    except ImportError:
        masker = import_module("airflow.utils.log.secrets_masker")
    known = masker.DEFAULT_SENSITIVE_FIELDS
    secret = [one.name for one in form.EXTRA_FIELDS if one.secret]
    assert secret == ["webhook_url"]
    if "webhook_url" in known:  # 2.11 does not know it: there the hook registers the value
        assert all(any(word in name for word in known) for name in secret)


def test_airflow_discovers_the_provider_without_a_warning() -> None:
    """Through the real discovery: package, hook, form and link; and it warns of nothing of ours."""
    manager = import_module("airflow.providers_manager").ProvidersManager()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "airflow-provider-clarity" in manager.providers
        hook = manager.hooks["clarity"]
        links = manager.extra_links_class_names
    assert hook is not None
    assert hook.hook_name == "Clarity (Runware)"
    assert hook.connection_testable
    assert "airflow_provider_clarity.links.clarity.ClarityObjectLink" in links
    assert not [str(one.message) for one in caught if "clarity" in str(one.message).lower()]


def test_the_form_of_airflow_3_shows_our_fields() -> None:
    """As the API hands it to the page."""
    connections = pytest.importorskip(
        "airflow.api_fastapi.core_api.services.ui.connections",
        reason="Airflow 2.11 has another form; see tests/hooks/test_clarity_hook.py",
    )
    (ours,) = [one for one in connections.HookMetaService.hook_meta_data() if one.connection_type == "clarity"]
    assert ours.hook_name == "Clarity (Runware)"
    assert set(ours.extra_fields) == {one.name for one in form.EXTRA_FIELDS}
    assert ours.standard_fields.password.title == "API key"
    assert ours.standard_fields.login.hidden


def test_loading_the_metadata_loads_nothing_else() -> None:
    """Each process of Airflow does it, for every provider."""
    probe = (
        "import sys; from airflow_provider_clarity.provider_info import get_provider_info; get_provider_info();"
        "print([name for name in ('airflow', 'httpx', 'pydantic', 'google.cloud') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
