"""What the pages say is true where a program can tell: links, examples, and that nothing a user can set is left out."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Connection

from airflow_provider_clarity.batch.policy import IfExists, Occupant, Verdict, judge_destination
from airflow_provider_clarity.exceptions import ERRORS
from airflow_provider_clarity.hooks.form import EXTRA_FIELDS
from airflow_provider_clarity.hooks.settings import DEFAULT_BASE_URL, settings_from_connection
from airflow_provider_clarity.operators.batch import UpscaleBatchOperator
from airflow_provider_clarity.operators.upscale import UpscaleOperator

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EMULATOR = ROOT / "airflow_provider_clarity" / "emulator" / "README.md"
HOW_TO = DOCS / "how-to"
HOW_TOS = sorted(HOW_TO.glob("*.md"))
PAGES = sorted([README, ROOT / "CHANGELOG.md", EMULATOR, *DOCS.glob("*.md"), *HOW_TOS])
LARGEST_PICTURE = 250_000
MOST_LINES = 12

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [text for found, text in _FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks and without code in the text."""
    return _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Each relative link: the file it leads to, and the heading in it."""
    for target in _LINK.findall(prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def section(page: Path, heading: str) -> str:
    """What stands under a heading of the second level."""
    text = page.read_text(encoding="utf-8")
    assert f"\n## {heading}\n" in text, f"{name_of(page)} has no section {heading!r}"
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, heads included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("| --")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def named_first(text: str) -> set[str]:
    """What the first cells of the tables name as code."""
    return {name for cells in rows(text) for name in _CODE.findall(cells[0])}


def readme_dag() -> str:
    """The first example of the README."""
    return blocks(README, "python")[0]


def test_there_are_pages_to_check() -> None:
    """A page that was renamed would otherwise be checked no more."""
    assert {"design.md", "unknowns.md", "operators.md", "connections.md", "permissions.md"} <= {
        page.name for page in DOCS.glob("*.md")
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A reader who follows a link finds the file, and the heading in it, and never leaves the project by a path."""
    for target, anchor in links(page):
        assert target.exists(), f"{name_of(page)} links to {target}"
        assert target.is_relative_to(ROOT), f"{name_of(page)} links out of the project: {target}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)} links to #{anchor} of {name_of(target)}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != EMULATOR], ids=name_of)
def test_every_page_leads_to_another(page: Path) -> None:
    """No page is a dead end."""
    assert {target for target, _ in links(page)} - {page}, f"{name_of(page)} links to no other page"


def test_every_page_is_reached_from_the_readme() -> None:
    """A page that nothing links to is a page that nobody reads."""
    assert {target for target, _ in links(README)} >= set(DOCS.glob("*.md"))


def test_the_picture_of_the_readme_is_small_and_its_photograph_is_credited() -> None:
    """It is loaded with every look at the project, and shows somebody's work."""
    picture = ROOT / re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))[0]
    assert picture.stat().st_size <= LARGEST_PICTURE
    below = README.read_text(encoding="utf-8").partition(picture.name)[2][:400]
    assert "Lanczos" in below, "the caption says who enlarged it"
    assert "CC0" in below


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_python_of_every_page_compiles(page: Path) -> None:
    """An example that does not parse was never run by anybody."""
    for text in blocks(page, "python"):
        ast.parse(text)


def test_the_dag_of_the_readme_is_a_dag() -> None:
    """Who copies the first example has a DAG that Airflow takes, with one task, in a dozen lines."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(readme_dag(), "README.md", "exec"), namespace)  # noqa: S102 - our own page
    dag = namespace["dag"]
    assert isinstance(dag, DAG)
    (task,) = dag.tasks
    assert isinstance(task, UpscaleBatchOperator)
    assert task.retries, "a try that ended early is taken up by a retry"
    assert len(readme_dag().splitlines()) <= MOST_LINES


OPERATORS = pytest.mark.parametrize(
    ("page", "operator", "templated"),
    [
        ("operators.md", UpscaleOperator, set(UpscaleOperator.template_fields)),
        ("batch.md", UpscaleBatchOperator, {"shard", "max_cost_usd", "name_pattern"}),
    ],
    ids=["one", "many"],
)


def parameters_of(operator: type) -> dict[str, Parameter]:
    """What it takes by itself, by name."""
    known = signature(operator.__init__).parameters  # type: ignore[misc]
    return {name: one for name, one in known.items() if one.kind is Parameter.KEYWORD_ONLY}


@OPERATORS
def test_every_parameter_of_the_operator_is_described(page: str, operator: type, templated: set[str]) -> None:
    """What is not on its page does not exist for a user, and what is only on its page does not exist at all."""
    described = {cells[0].strip("`") for cells in rows(section(DOCS / page, "Parameters"))[1:]}
    assert described == set(parameters_of(operator))
    assert templated <= described


@OPERATORS
def test_the_defaults_on_the_page_are_those_of_the_operator(page: str, operator: type, templated: set[str]) -> None:
    """A wrong default misleads whoever leaves a parameter out."""
    parameters = parameters_of(operator)
    for cells in rows(section(DOCS / page, "Parameters"))[1:]:
        default = parameters[cells[0].strip("`")].default
        if cells[2] == "required":
            assert default is Parameter.empty, cells[0]
        elif re.fullmatch(r"`[\w.:{}]+`", cells[2]):
            assert str(default) == cells[2].strip("`"), cells[0]
        else:
            assert default in (None, False), f"{cells[0]}: {cells[2]}"
    assert templated


@OPERATORS
def test_what_is_templated_is_said_to_be(page: str, operator: Any, templated: set[str]) -> None:
    """A template in another parameter would be taken as it is."""
    described = {
        cells[0].strip("`") for cells in rows(section(DOCS / page, "Parameters"))[1:] if cells[1].endswith("templated")
    }
    assert described == templated
    assert templated <= set(operator.template_fields)


def test_the_table_of_if_exists_is_the_one_that_is_carried_out() -> None:
    """The user decides by this table what is overwritten and what is paid."""
    says: dict[Verdict, str] = {"buy": "buy", "done": "done", "stale": "left", "foreign": "left", "error": "error"}
    occupants = [None, Occupant("key", "another run"), Occupant("another key", "another run"), Occupant()]
    choices: tuple[IfExists, ...] = ("skip", "update", "overwrite", "fail")
    head, *table = rows(section(DOCS / "operators.md", "What an occupied destination means"))
    assert [cell.strip("`") for cell in head[1:]] == list(choices)
    for cells, occupant in zip(table, occupants, strict=True):
        for cell, choice in zip(cells[1:], choices, strict=True):
            verdict = judge_destination(occupant, content_key="key", if_exists=choice, run_key="this run")
            assert cell.startswith(says[verdict]), f"{cells[0]}, {choice}"


def test_every_kind_of_error_is_described() -> None:
    """Who meets an error looks for it there."""
    errors = section(DOCS / "operators.md", "Errors")
    assert named_first(errors) == set(ERRORS)
    for kind, cls in ERRORS.items():
        assert any(cells[0] == f"`{kind}`" and cells[1] == f"`{cls.__name__}`" for cells in rows(errors)), kind


def test_every_outcome_is_described() -> None:
    """A task downstream branches on it."""
    described = named_first(section(DOCS / "operators.md", "Outcomes"))
    assert described == {"delivered", "recovered", "done", "stale", "foreign"}
    assert all(f"``{outcome}``" in (UpscaleOperator.__doc__ or "") for outcome in described)


def test_every_extra_of_the_connection_is_described() -> None:
    """The form shows them; the page says what they mean."""
    assert named_first(section(DOCS / "connections.md", "clarity")) == {one.name for one in EXTRA_FIELDS}
    assert all(f"`{one.name}`" in section(README, "Connection") for one in EXTRA_FIELDS)


def test_the_connections_of_the_page_are_read() -> None:
    """Copied with a key in place of the word, each of them works."""
    page = DOCS / "connections.md"
    (as_json,), (as_uri,) = blocks(page, "json"), blocks(page, "uri")
    for given in (Connection.from_json(as_json), Connection(conn_id="clarity_default", uri=as_uri.strip())):
        assert given.conn_type == "clarity"
        settings = settings_from_connection(given)
        assert (settings.api_key, settings.base_url, settings.timeout) == ("YOUR-KEY", DEFAULT_BASE_URL, 60)


def test_the_lifecycle_rule_touches_staging_only() -> None:
    """Pasted as it is, it must never delete a task record, an undelivered picture or a delivered one."""
    (text,) = blocks(DOCS / "permissions.md", "json")
    (rule,) = json.loads(text)["lifecycle"]["rule"]
    assert rule["action"] == {"type": "Delete"}
    assert rule["condition"] == {"age": 7, "matchesPrefix": ["_clarity/staging/"]}


def test_every_switch_named_for_an_unknown_is_one_of_the_emulator() -> None:
    """The page claims that both answers can be given; a switch that is not there gives none."""
    known = named_first(section(EMULATOR, "Switches"))
    known |= {name for cells in rows(section(EMULATOR, "Faults")) for name in _CODE.findall(cells[1])}
    named = {
        name
        for cells in rows((DOCS / "unknowns.md").read_text(encoding="utf-8"))
        for name in _CODE.findall(cells[-1].rstrip(" |"))
        if len(cells) == 4
    }
    assert named, "the tables have a column of switches"
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_path_of_somebody_s_machine(page: Path) -> None:
    """A path that only its author has helps nobody."""
    assert not re.search(r"(?<![\w.:/])/(?:home|root|Users|work|opt|var)/", page.read_text(encoding="utf-8"))


def example_of(page: Path) -> str:
    """The example that a how-to is about: the first that it links to."""
    return next(target for target, _ in links(page) if target.parent == ROOT / "dags_examples").read_text("utf-8")


@cache
def log_lines() -> set[str]:
    """The texts of the package, of which messages are made."""
    files = (ROOT / "airflow_provider_clarity").rglob("*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_how_to_is_reached_from_the_page_of_the_operator() -> None:
    """A how-to is looked for there, and on the page that lists them."""
    assert len(HOW_TOS) > 1
    assert {target for target, _ in links(HOW_TO / "README.md")} >= set(HOW_TOS) - {HOW_TO / "README.md"}
    assert {target for target, _ in links(DOCS / "batch.md")} >= set(HOW_TOS)


def test_every_example_for_many_images_has_a_how_to() -> None:
    """An example without a page is found by nobody who looks for what it does."""
    told = {target for target, _ in links(HOW_TO / "README.md")}
    batch = [path for path in (ROOT / "dags_examples").glob("*.py") if "UpscaleBatchOperator" in path.read_text()]
    assert batch
    assert told >= set(batch)


@pytest.mark.parametrize("page", HOW_TOS, ids=name_of)
def test_the_python_of_a_how_to_is_that_of_its_file(page: Path) -> None:
    """Breaks if a reader copies what the example, which is tested, does not say any more."""
    for text in blocks(page, "python"):
        within = example_of(page)
        assert any(textwrap.indent(text, indent) in within for indent in ("", "    ")), text


@pytest.mark.parametrize("page", [page for page in HOW_TOS if page.name != "README.md"], ids=name_of)
def test_what_a_how_to_says_of_the_log_is_what_is_logged(page: Path) -> None:
    """Breaks if somebody who looks for the line in their log does not find it on the page."""
    head, *told = rows(section(page, "What can go wrong"))
    assert told
    if head[0] == "Airflow says":  # its own words; no string of ours
        return
    assert head[0] == "the log says"
    texts = log_lines()
    for cells in told:
        for part in _CODE.findall(cells[0]):
            assert any(part in text for text in texts), part
