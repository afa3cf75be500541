"""The emulator's own page says what the emulator is: each switch with its default, each fault, each option."""

from __future__ import annotations

import json
import re

from emulator_process import ROOT

from airflow_provider_clarity.emulator.accounts import Accounts
from airflow_provider_clarity.emulator.cli import make_parser
from airflow_provider_clarity.emulator.faults import FAULTS
from airflow_provider_clarity.emulator.switches import Switches

PAGE = (ROOT / "airflow_provider_clarity" / "emulator" / "README.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_table_of_switches_has_each_with_its_default() -> None:
    """A switch that the page does not name cannot be found; a wrong default misleads."""
    written = {row[0].strip("`"): row[2].strip("`") for row in _rows("Switches")}
    switches = Switches(api_key="emulator-x").describe()
    assert written == {name: json.dumps(value) for name, value in switches.items()} | {"api_key": "made at the start"}


def test_the_table_of_faults_has_each_under_its_operation() -> None:
    """The table is the whole vocabulary."""
    written: dict[str, set[str]] = {}
    operations: list[str] = []
    for cells in _rows("Faults"):
        operations = re.findall(r"`([^`]+)`", cells[0]) or operations
        names = {name.partition(":")[0] for name in re.findall(r"`([^`]+)`", cells[1])}
        for operation in operations:
            written.setdefault(operation, set()).update(names)
    assert written == {operation: set(faults) for operation, faults in FAULTS.items()}


def test_the_table_of_options_has_each() -> None:
    """As --help has them."""
    written = {name for cells in _rows("Command line") for name in re.findall(r"--[a-z-]+", cells[0])}
    known = {name for action in make_parser()._actions for name in action.option_strings if name.startswith("--")}
    assert written == known - {"--help"}


def test_the_table_of_accounts_has_each_key() -> None:
    """What a test may rely on."""
    assert {cells[0].strip("`") for cells in _rows("Accounts")} == set(Accounts().describe())
