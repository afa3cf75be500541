"""Who may import whom, as docs/design.md draws it: the arrows point one way, and the tests hold them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_clarity"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE
LEAVES = {"exceptions", "redact"}

MAY_IMPORT = {
    "": set(),
    "exceptions": set(),
    "redact": set(),
    "runware": LEAVES,
    "storage": LEAVES,
    "batch": LEAVES | {"runware", "storage"},
    "hooks": LEAVES | {"runware"},
    "links": LEAVES,
    "triggers": LEAVES | {"hooks", "runware"},
    "operators": LEAVES | {"hooks", "triggers", "links", "batch", "runware", "storage"},
    "provider_info": {"hooks"},
    "emulator": set(),
    "demo": LEAVES,
    "demo/dags": LEAVES | {"operators"},
    "check": LEAVES | {"hooks", "runware", "storage"},
    "ledger": LEAVES | {"batch", "storage"},
}
"""Each part, and the other parts of the package it may import. The version is free to all but the emulator."""

WITHOUT_AIRFLOW = ("", "exceptions", "redact", "runware", "storage", "batch", "ledger", "emulator", "provider_info")


def part_of(path: Path) -> str:
    first, *rest = path.relative_to(ROOT).parts
    if (first, *rest[:1]) == ("demo", "dags"):  # run by Airflow as a user's would be, imported by nobody
        return "demo/dags"
    return "" if first == "__init__.py" else first.removesuffix(".py")


def files(part: str) -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if part_of(path) == part]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Each name that a file imports anywhere, also in functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)  # type: ignore[attr-defined]


def target_part(name: str) -> str | None:
    """Return the part of the package that a name belongs to; None for names of others and for the version."""
    parts = name.split(".")
    if parts[0] != PACKAGE or parts[1:] in ([], ["__version__"]):
        return None
    return parts[1]


def test_every_part_has_its_rule() -> None:
    """A new folder gets a line above before it gets code."""
    assert {part_of(path) for path in ROOT.rglob("*.py")} <= set(MAY_IMPORT)


@pytest.mark.parametrize("part", [part or "__init__" for part in MAY_IMPORT])
def test_arrows_point_one_way(part: str) -> None:
    """Within a part everything is allowed; across parts only what the table says."""
    part = "" if part == "__init__" else part
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(part)
        for line, name in imports(path)
        if (target := target_part(name)) is not None and target != part and target not in MAY_IMPORT[part]
    ]
    assert wrong == []


@pytest.mark.parametrize("part", [part or "__init__" for part in WITHOUT_AIRFLOW])
def test_what_can_be_used_without_airflow_imports_none_of_it(part: str) -> None:
    """So that it can be tested and used alone."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files("" if part == "__init__" else part)
        for line, name in imports(path)
        if name.split(".")[0] == "airflow"
    ]
    assert wrong == []


def test_the_emulator_shares_nothing_with_what_it_tests() -> None:
    """It is a second reading of the specification, and stays honest only while it shares no code with the client."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files("emulator")
        for line, name in imports(path)
        if name.split(".")[0] == PACKAGE and not name.startswith(f"{PACKAGE}.emulator")
    ]
    assert wrong == []


@pytest.mark.parametrize("part", sorted(set(MAY_IMPORT) - {"emulator", "demo", ""}))
def test_there_is_no_code_path_for_the_emulator(part: str) -> None:
    """The code that runs against it is the code that runs against the service: names and strings mention it nowhere."""
    for path in files(part):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        } | {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            texts = [
                node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None,
                node.id if isinstance(node, ast.Name) else None,
                node.attr if isinstance(node, ast.Attribute) else None,
            ]
            for text in texts:
                if isinstance(text, str):
                    cleaned = text.replace("STORAGE_EMULATOR_HOST", "")  # Google's own name for it
                    assert "emulator" not in cleaned.lower(), f"{path}:{getattr(node, 'lineno', 0)}"


def test_no_generator_holds_an_executor() -> None:
    """Breaks if one may be closed by the garbage collector while it waits for threads: a deadlock once in a while."""
    for path in ROOT.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            inside = list(ast.walk(function))
            yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in inside)
            named = any(isinstance(node, ast.Name) and node.id == "ThreadPoolExecutor" for node in inside)
            assert not (yields and named), f"{path}:{function.lineno}"
