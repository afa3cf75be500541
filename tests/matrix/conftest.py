"""The whole matrices run only where they are asked for; what they have counted is told at the end of the session."""

from __future__ import annotations

from typing import Any

import pytest

COUNTED = pytest.StashKey[dict[str, list[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the counts."""
    config.stash[COUNTED] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the whole matrices to ``-m matrix`` (``.ci/run matrix``): they take minutes."""
    if "matrix" in config.getoption("markexpr"):
        return
    left = [item for item in items if item.get_closest_marker("matrix")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


@pytest.fixture(scope="session")
def counted(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """Where a matrix puts its counts."""
    return request.config.stash[COUNTED]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell them."""
    for name, lines in config.stash[COUNTED].items():
        terminalreporter.section(name)
        for line in lines:
            terminalreporter.line(line)
