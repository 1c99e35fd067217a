"""The documentation is true: its links lead somewhere, its examples run, its commands, drawings and tables fit.

Addresses outside the project are checked for their form only: tests have no network.
"""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from cyclopts import CycloptsError, MissingArgumentError
from typing_extensions import is_typeddict

import agents
import agents.testing
import graphs
import graphs.storage
from graphs.cli.commands import podium
from graphs.engine import CompiledPattern, PatternState
from graphs.engine.state import PRIVATE
from tests.markdown import ROOT, Block, Page, Table, edges, pages
from tests.tables import each

PAGES = {page.name: page for page in pages()}
EXAMPLES = {
    f"{page.name}:{block.line}": block for page in PAGES.values() for block in page.blocks if block.language == "python"
}
DRAWN = [
    name
    for name, page in PAGES.items()
    if name != "README.md" and any(block.language == "mermaid" for block in page.blocks)
]
MAKEFILE = (ROOT / "Makefile").read_text()
SHELL = ("sh", "bash", "console")
COMMANDS = ("podium", "make", "pip", "python", "pytest")
VARIABLE = re.compile(r"\bPODIUM_[A-Z_]*[A-Z]\b")

every_page = each("name", PAGES)


# Links


@every_page
def test_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    assert [link for link in page.links if not leads_somewhere(page, link)] == []


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
    others = {name for name in PAGES if name.startswith(("docs/", "notebooks/"))}
    assert sorted(others - set(PAGES["README.md"].links)) == []


@every_page
def test_files_that_a_page_names_exist(name: str) -> None:
    named_files = {span for span in PAGES[name].code_spans if re.fullmatch(r"(tests|benchmarks)/[\w/]+\.py", span)}
    assert [file for file in sorted(named_files) if not (ROOT / file).exists()] == []


def test_the_site_has_every_page() -> None:
    collected = set(runpy.run_path(str(ROOT / "docs" / "site.py"))["pages"]())
    assert set(re.findall(r'"([\w/]+\.md)"', (ROOT / "zensical.toml").read_text())) == {
        place for place in collected if place.endswith(".md")
    }


# Examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs_and_prints_what_it_says(name: str, capsys: pytest.CaptureFixture[str], place: None) -> None:
    example = EXAMPLES[name]
    run(example, name)
    printed = capsys.readouterr().out.splitlines()
    announced = re.findall(r"^ *print\(.*\)  # (.*)$", example.text, re.MULTILINE)
    assert printed == announced if announced else printed or "print(" not in example.text


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, without any setting, key or model."""
    for variable in list(os.environ):
        if re.match(r"PODIUM_|LANG(SMITH|CHAIN)_|OTEL_", variable) or variable.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.chdir(tmp_path)


def run(example: Block, name: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(example.text, name, "exec"), scope)
    return scope


@each("name", EXAMPLES)
def test_example_imports_public_names_only(name: str) -> None:
    imports = (node for node in ast.walk(ast.parse(EXAMPLES[name].text)) if isinstance(node, ast.ImportFrom))
    for node in imports:
        module = node.module or ""
        if module.partition(".")[0] in ("agents", "graphs"):
            assert {alias.name for alias in node.names} <= set(importlib.import_module(module).__all__), module


# Drawings


@pytest.mark.parametrize("name", DRAWN)
def test_drawings_are_those_of_the_examples_before_them(name: str, place: None) -> None:
    graph: CompiledPattern[Any] | None = None
    for block in PAGES[name].blocks:
        if block.language == "python":
            graph = run(block, name).get("graph", graph)
        elif block.language == "mermaid":
            assert graph is not None, "a drawing needs an example before it that makes a `graph`"
            assert edges(block.text) in (drawn(graph), drawn(graph, xray=True))


def drawn(graph: CompiledPattern[Any], xray: bool = False) -> Any:
    def short(end: str) -> str:
        return end.removeprefix("execute:")

    return {(short(edge.source), short(edge.target), edge.conditional) for edge in graph.get_graph(xray=xray).edges}


# Tables of parameters and of keys


def tables(kind: str) -> Iterator[Any]:
    for page in PAGES.values():
        for table in page.tables:
            if table.header[0] == kind:
                subject = re.findall(r"`(\w+)`", table.heading)
                yield pytest.param(table, subject, id=f"{page.name}:{'.'.join(subject) or table.heading}")


@each(("table", "subject"), [*tables("parameter")])
def test_parameters_and_defaults_are_the_constructors(table: Table, subject: list[str]) -> None:
    documented = {row[0].strip("`"): row[1] for row in table.rows}
    actual = parameters(named(subject[-1], is_state=False))
    assert list(documented) == list(actual)
    for name, default in actual.items():
        is_required = default is inspect.Parameter.empty
        assert documented[name] == "required" if is_required else value(documented[name]) == default, name


def named(name: str, *, is_state: bool) -> Any:
    """Return the TypedDict, or else the class or function, that has this name in the project."""
    for package in (agents, graphs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.startswith(("agents.models.local", "graphs.cli.__main__", "graphs.server")):
                continue
            subject = vars(importlib.import_module(module.name)).get(name)
            if getattr(subject, "__module__", "") == module.name and is_typeddict(subject) is is_state:
                return subject
    raise LookupError(name)


def parameters(subject: Any) -> dict[str, Any]:
    factories = {field.name: field.default_factory for field in fields(subject)} if is_dataclass(subject) else {}
    found = {}
    for name, parameter in inspect.signature(subject).parameters.items():
        factory = factories.get(name, MISSING)
        found[name] = parameter.default if factory is MISSING else factory()  # type: ignore[operator]
    return found


def value(written: str) -> Any:
    """Read a default: a literal, or the name of a constant."""
    written = written.strip("`")
    if function := re.fullmatch(r"\((\S+),\)", written):
        return (pkgutil.resolve_name(function[1]),)
    try:
        return ast.literal_eval(written)
    except ValueError:
        return pkgutil.resolve_name(written)


@each(("table", "subject"), [*tables("key")])
def test_keys_are_those_of_the_state(table: Table, subject: list[str]) -> None:
    *bases, state = (named(name, is_state=True) for name in subject)
    inherited = {key for base in bases for key in base.__annotations__}
    if state is not PatternState and subject[-1].endswith("State"):
        inherited |= set(PatternState.__annotations__)
    assert {row[0].strip("`") for row in table.rows} == set(state.__annotations__) - inherited - set(PRIVATE)


# Commands and settings


def commands(page: Page) -> Iterator[list[str]]:
    """Yield the commands of a page: those in shell blocks and those in texts."""
    shell = "\n".join(block.text.replace("\\\n", "") for block in page.blocks if block.language in SHELL)
    for line in [*shell.splitlines(), *(span for span in page.code_spans if " " in span)]:
        try:
            parts = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError:  # a quotation over several lines, such as JSON for curl
            continue
        while parts and re.match(r"[A-Z_]+=", parts[0]):
            parts.pop(0)
        parts = list(takewhile(lambda part: not re.match(r"[|;<>&]|2>", part), parts))
        if parts and parts[0] in COMMANDS:
            yield parts


@every_page
def test_commands_exist(name: str) -> None:
    assert [shlex.join(command) for command in commands(PAGES[name]) if not exists(*command)] == []


def exists(program: str, *arguments: str) -> bool:
    if program == "podium":
        try:
            podium.parse_args(list(arguments), exit_on_error=False, print_error=False)
        except MissingArgumentError:  # a command that is only named
            return True
        except CycloptsError:
            return False
        return True
    if program == "make":
        targets = [argument for argument in arguments if "=" not in argument and argument != "…"]
        return all(re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE) for target in targets)
    if program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        wanted = [names for argument in arguments for names in re.findall(r"\.\[([\w,]+)\]", argument)]
        return {extra for names in wanted for extra in names.split(",")} <= set(extras)
    return all((ROOT / file).exists() for file in files(arguments))


def files(arguments: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of the project that a call of python or pytest names."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if before == "-m" and argument.startswith("benchmarks"):
            yield f"{argument.replace('.', '/')}.py"
        elif re.match(r"(tests|benchmarks)/", argument):
            yield argument.split("::")[0]


SOURCES = [file for folder in ("agents", "graphs") for file in (ROOT / folder).rglob("*.py")]
IN_CODE = {variable for file in SOURCES for variable in VARIABLE.findall(file.read_text())}
IN_DOCS = {variable for page in PAGES.values() for variable in VARIABLE.findall(page.text)}


def test_settings_are_those_of_the_code() -> None:
    assert sorted(IN_CODE ^ IN_DOCS) == []


@each("package", [agents, agents.testing, graphs])
def test_every_public_name_is_documented(package: Any) -> None:
    texts = "\n".join(page.text for name, page in PAGES.items() if name.startswith(("README", "docs/", "notebooks/")))
    assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", texts)] == []


# Docstrings


def public() -> Iterator[Any]:
    subjects = [getattr(face, name) for face in (agents, agents.testing, graphs) for name in face.__all__]
    functions = {subject for subject in subjects if inspect.isclass(subject) or inspect.isroutine(subject)} | {
        graphs.storage.sqlite,
        graphs.storage.postgres,
    }
    for subject in sorted(functions, key=lambda subject: f"{subject.__module__}.{subject.__qualname__}"):
        is_error = inspect.isclass(subject) and issubclass(subject, Exception)
        if not (is_dataclass(subject) or is_typeddict(subject) or is_error):
            yield pytest.param(subject, id=f"{subject.__module__}.{subject.__qualname__}")


@each("subject", [*public()])
def test_docstring_names_every_parameter(subject: Any) -> None:
    documented = f"{inspect.getdoc(subject)} {inspect.getdoc(getattr(subject, '__init__', None))}"
    call = subject.__init__ if inspect.isclass(subject) else subject
    names = set(inspect.signature(call).parameters) - {"self", "args", "kwargs", "fields"}
    assert {name for name in names if not re.search(rf"\b{name}\b", documented)} == set()
