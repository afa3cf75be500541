"""What the Provider Registry is told of this package is what is in it."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger

from airflow_provider_clarity.provider_info import get_provider_info

ROOT = Path(__file__).parents[1]
TOLD: dict[str, Any] = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
BASES: dict[str, type] = {"operators": BaseOperator, "hooks": BaseHook, "triggers": BaseTrigger}
LISTED = [(section, entry) for section in (*BASES, "other") for entry in TOLD[section]]


def test_it_says_what_the_package_says_elsewhere() -> None:
    """Breaks if a key is misspelt, which nobody would tell us, or a name has two spellings."""
    assert list(TOLD) == ["package-name", "display-name", "description", "docs-url", "source-url", *BASES, "other"]
    info = get_provider_info()
    assert (TOLD["package-name"], TOLD["display-name"]) == (info["package-name"], info["name"])
    assert TOLD["description"] == info["description"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert TOLD["docs-url"] == project["urls"]["Documentation"]
    assert project["urls"]["Changelog"].startswith(TOLD["source-url"])


@pytest.mark.parametrize(("section", "entry"), LISTED, ids=[entry["module"] for _, entry in LISTED])
def test_what_is_listed_exists(section: str, entry: dict[str, str]) -> None:
    """Breaks if the registry shows a class that was renamed, or under a heading where it does not belong."""
    assert set(entry) == {"module", "description"}
    module, _, name = entry["module"].rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert issubclass(found, BASES.get(section, BaseOperatorLink))
    assert re.fullmatch(r"[A-Z].{20,120}[^.]", entry["description"])


@pytest.mark.parametrize("section", BASES)
def test_what_exists_is_listed(section: str) -> None:
    """Breaks if a new operator is told to Airflow and not to whoever looks for it."""
    modules = [name for part in get_provider_info()[section] for name in part["python-modules"]]
    there = {
        f"{name}.{one}"
        for name in modules
        for one, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if kind.__module__ == name and issubclass(kind, BASES[section])
    }
    assert {entry["module"] for entry in TOLD[section]} == there


def test_every_link_is_listed() -> None:
    """Breaks if a link is told to Airflow and not to the registry."""
    assert [entry["module"] for entry in TOLD["other"]] == get_provider_info()["extra-links"]
