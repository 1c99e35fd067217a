"""The documentation is true: its links lead somewhere, its examples run, its commands, drawings and tables fit.

Addresses outside the project are checked for their form only: tests have no network.
"""

import ast
import inspect
import os
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from itertools import takewhile
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from cyclopts import CycloptsError, MissingArgumentError
from typing_extensions import is_typeddict

import agents
import agents.testing
import graphs
import graphs.storage
from graphs.cli.commands import app
from graphs.engine import CompiledPattern, PatternState
from graphs.engine.state import PRIVATE
from tests.markdown import ROOT, Block, Page, edges, pages

PAGES = {page.name: page for page in pages()}
EXAMPLES = {
    f"{page.name}:{block.line}": block for page in PAGES.values() for block in page.blocks if block.language == "python"
}
DRAWN = [
    name for name, page in PAGES.items() if name != "README.md" and any(b.language == "mermaid" for b in page.blocks)
]
MAKEFILE = (ROOT / "Makefile").read_text()
SHELL = ("sh", "bash", "console")
COMMANDS = ("podium", "make", "pip", "python", "pytest")
VARIABLE = re.compile(r"\bPODIUM_[A-Z_]*[A-Z]\b")

every_page = pytest.mark.parametrize("name", PAGES)


# Links


@every_page
def test_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    assert [one for one in page.links if not leads_somewhere(page, one)] == []


def leads_somewhere(page: Page, link: str) -> bool:
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return address.scheme == "https" and "." in address.netloc and not re.search(r"\s", link)
    target = page.path if not address.path else (page.path.parent / unquote(address.path)).resolve()
    if not address.fragment:
        return target.exists()
    other = PAGES.get(target.relative_to(ROOT).as_posix()) if target.is_relative_to(ROOT) else None
    return other is not None and address.fragment in other.anchors


def test_the_readme_links_every_page() -> None:
    known = [one for one in PAGES if one.startswith(("docs/", "notebooks/"))]
    assert sorted(set(known) - set(PAGES["README.md"].links)) == []


# Examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs_and_prints_what_it_says(name: str, capsys: pytest.CaptureFixture[str], place: None) -> None:
    example = EXAMPLES[name]
    run(example, name)
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"^ *print\(.*\)  # (.*)$", example.text, re.MULTILINE)
    assert printed == said if said else printed or "print(" not in example.text


@pytest.fixture
def place(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, without any setting, key or model."""
    for variable in list(os.environ):
        if re.match(r"PODIUM_|LANG(SMITH|CHAIN)_|OTEL_", variable) or variable.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.chdir(tmp_path)


def run(example: Block, name: str) -> dict[str, Any]:
    known: dict[str, Any] = {"__name__": "example"}
    exec(compile(example.text, name, "exec"), known)
    return known


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_uses_public_names_only(name: str) -> None:
    for node in ast.walk(ast.parse(EXAMPLES[name].text)):
        if isinstance(node, ast.ImportFrom) and node.module in ("agents", "graphs"):
            assert {one.name for one in node.names} <= set(import_module(node.module).__all__)


# Drawings


@pytest.mark.parametrize("name", DRAWN)
def test_drawings_are_those_of_the_examples_before_them(name: str, place: None) -> None:
    graph: CompiledPattern | None = None
    for block in PAGES[name].blocks:
        if block.language == "python":
            graph = run(block, name).get("graph", graph)
        elif block.language == "mermaid":
            assert graph is not None, "a drawing needs an example before it that makes a `graph`"
            assert edges(block.text) in (drawn(graph), drawn(graph, xray=True))


def drawn(graph: CompiledPattern, xray: bool = False) -> Any:
    def short(end: str) -> str:
        return end.removeprefix("execute:")

    return {(short(one.source), short(one.target), one.conditional) for one in graph.get_graph(xray=xray).edges}


# Tables of parameters and of keys


def tables(kind: str) -> Iterator[Any]:
    for page in PAGES.values():
        for table in page.tables:
            if table.header[0] == kind:
                subject = re.findall(r"`(\w+)`", table.heading)
                yield pytest.param(table, subject, id=f"{page.name}:{'.'.join(subject) or table.heading}")


@pytest.mark.parametrize(("table", "subject"), [*tables("parameter")])
def test_parameters_and_defaults_are_the_constructors(table: Any, subject: list[str]) -> None:
    told = {row[0].strip("`"): row[1] for row in table.rows}
    known = parameters(named(subject[-1], lambda one: not is_typeddict(one)))
    assert list(told) == list(known)
    for name, default in known.items():
        assert told[name] == "required" if default is inspect.Parameter.empty else value(told[name]) == default, name


def named(name: str, fits: Callable[[Any], bool]) -> Any:
    """Find what has that name in the project."""
    modules = [import_module(f"{package.__name__}.{one.name}") for package in (agents, graphs)
               for one in pkgutil.iter_modules(package.__path__) if one.name != "local_server"]  # fmt: skip
    found = [getattr(one, name) for one in (agents, graphs, *modules) if hasattr(one, name)]
    return next(one for one in found if fits(one))


def parameters(subject: Any) -> dict[str, Any]:
    factories = {one.name: one.default_factory for one in fields(subject)} if is_dataclass(subject) else {}
    found = {}
    for name, one in inspect.signature(subject).parameters.items():
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            found[f"**{name}"] = {}
        else:
            factory = factories.get(name, MISSING)
            found[name] = one.default if factory is MISSING else factory()  # type: ignore[operator]
    return found


def value(written: str) -> Any:
    """Read a default: a literal, or the name of a constant."""
    try:
        return ast.literal_eval(written.strip("`"))
    except ValueError:
        return pkgutil.resolve_name(written.strip("`"))


@pytest.mark.parametrize(("table", "subject"), [*tables("key")])
def test_keys_are_those_of_the_state(table: Any, subject: list[str]) -> None:
    kind = named(subject[-1], is_typeddict)
    common = set() if kind is PatternState or subject[-1] not in STATES else set(PatternState.__annotations__)
    bases = {key for name in subject[:-1] for key in named(name, is_typeddict).__annotations__}
    assert {row[0].strip("`") for row in table.rows} == set(kind.__annotations__) - common - bases - set(PRIVATE)


STATES = [f"{one}State" for one in ("Planner", "Workflow", "Router", "Supervisor", "Network", "Orchestrator")]


# Commands and settings


def commands(page: Page) -> Iterator[list[str]]:
    """Find the commands of a page: those in shell blocks and those in texts."""
    shell = "\n".join(block.text.replace("\\\n", "") for block in page.blocks if block.language in SHELL)
    for line in [*shell.splitlines(), *(one for one in page.code_spans if " " in one)]:
        try:
            parts = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError:  # a quotation over several lines, such as JSON for curl
            continue
        while parts and "=" in parts[0] and re.match(r"[A-Z_]+=", parts[0]):
            parts.pop(0)
        parts = list(takewhile(lambda one: not re.match(r"[|;<>&]|2>", one), parts))
        if parts and parts[0] in COMMANDS:
            yield parts


@every_page
def test_commands_exist(name: str) -> None:
    assert [shlex.join(one) for one in commands(PAGES[name]) if not known_command(*one)] == []


def known_command(program: str, *arguments: str) -> bool:
    if program == "podium":
        try:
            app.parse_args(list(arguments), exit_on_error=False, print_error=False)
        except MissingArgumentError:  # a command that is only named
            return True
        except CycloptsError:
            return False
        return True
    if program == "make":
        targets = [one for one in arguments if "=" not in one and one != "…"]
        return all(re.search(rf"^{re.escape(one)}:", MAKEFILE, re.MULTILINE) for one in targets)
    if program == "pip":
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        wanted = [one for argument in arguments for one in re.findall(r"\.\[([\w,]+)\]", argument)]
        return {one for names in wanted for one in names.split(",")} <= set(known)
    return all((ROOT / file).exists() for file in files(arguments))


def files(arguments: tuple[str, ...]) -> Iterator[str]:
    """Return the files of the project that a call of python or pytest names."""
    for before, one in zip(("", *arguments), arguments, strict=False):
        if before == "-m" and one.startswith("benchmarks"):
            yield f"{one.replace('.', '/')}.py"
        elif re.match(r"(tests|benchmarks)/", one):
            yield one.split("::")[0]


SOURCES = [one for folder in ("agents", "graphs") for one in (ROOT / folder).rglob("*.py")]
IN_CODE = {found for one in SOURCES for found in VARIABLE.findall(one.read_text())}
IN_DOCS = {found for page in PAGES.values() for found in VARIABLE.findall(page.text)}


def test_every_setting_is_documented() -> None:
    assert sorted(IN_CODE - IN_DOCS) == []


def test_documented_settings_exist() -> None:
    assert sorted(IN_DOCS - IN_CODE) == []


# Docstrings


def public() -> Iterator[Any]:
    modules = (agents, agents.testing, graphs)
    found = [getattr(module, name) for module in modules for name in module.__all__]
    for one in [*found, graphs.storage.sqlite, graphs.storage.postgres]:
        if not (is_dataclass(one) or is_typeddict(one) or (inspect.isclass(one) and issubclass(one, Exception))):
            yield pytest.param(one, id=f"{one.__module__}.{one.__name__}")


@pytest.mark.parametrize("subject", [*public()])
def test_docstring_names_every_parameter(subject: Any) -> None:
    told = f"{inspect.getdoc(subject)} {inspect.getdoc(getattr(subject, '__init__', None))}"
    made = subject.__init__ if inspect.isclass(subject) else subject
    given = set(inspect.signature(made).parameters) - {"self", "args", "kwargs", "fields"}
    assert {one for one in given if not re.search(rf"\b{one}\b", told)} == set()
