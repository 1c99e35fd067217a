"""The rules of the house, read from the imports: arrows go down only, and rooms are entered through their face."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.tables import each

ROOT = Path(__file__).parents[1]
ROOMS = sorted(
    str(face.parent.relative_to(ROOT)) for top in ("agents", "graphs") for face in (ROOT / top).rglob("__init__.py")
)
PATTERNS = {"planner", "router", "workflow", "supervisor", "network", "orchestrator"}
PATTERN_IMPORTS = {("planner", "workflow"), ("orchestrator", "planner"), ("orchestrator", "supervisor")}
OPEN_ROOMS: set[str] = set()
"""Rooms whose faces are still to be written."""
ENTRY_POINTS = {"agents", "graphs"}
"""Packages whose own files are public modules; all others are rooms with a face."""


@cache
def modules() -> dict[str, Path]:
    """Return every module of agents/ and graphs/ by its dotted name."""
    files = [file for top in ("agents", "graphs") for file in (ROOT / top).rglob("*.py")]
    return {_dotted(file): file for file in files}


def _dotted(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports(module: str, *, top_level: bool = False) -> list[tuple[str, str]]:
    """Return (module, name) for each import of our own code, those for type checkers too."""
    return list(_imports(module, top_level))


def _imports(module: str, top_level: bool) -> Iterator[tuple[str, str]]:
    tree = parsed(module)
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ENTRY_POINTS:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] in ENTRY_POINTS)


def is_package(module: str) -> bool:
    return modules()[module].name == "__init__.py"


def room(module: str) -> str:
    return module if is_package(module) else module.rpartition(".")[0]


def target(module: str, name: str) -> str:
    """Return the module that an import leads to: a submodule, or the module itself."""
    return f"{module}.{name}" if f"{module}.{name}" in modules() else module


@cache
def files_graph() -> dict[str, set[str]]:
    return {module: {target(*found) for found in imports(module)} - {module} for module in modules()}


def assert_no_circle(arrows: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_files_have_no_circle() -> None:
    # A package's __init__ may hand on names of its own files, which import each other and never the __init__.
    assert_no_circle(files_graph())


def test_rooms_have_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for module, targets in files_graph().items():
        if module in ENTRY_POINTS:
            continue
        here = module if room(module) in ENTRY_POINTS else room(module)
        for to in targets - ENTRY_POINTS:
            there = to if room(to) in ENTRY_POINTS else room(to)
            if here != there and not there.startswith(f"{here}."):
                arrows.setdefault(here, set()).add(there)
    assert_no_circle(arrows)


def test_agents_do_not_know_graphs() -> None:
    wrong = [
        (module, to)
        for module in modules()
        if module.startswith("agents")
        for to, _ in imports(module)
        if to.startswith("graphs")
    ]
    assert wrong == []


def test_the_engine_knows_no_pattern_and_nothing_that_shows_or_serves() -> None:
    above = {f"graphs.{name}" for name in PATTERNS | {"show", "cli", "server", "distributed", "storage"}}
    wrong = [
        (module, to)
        for module in modules()
        if module.startswith("graphs.engine")
        for to in files_graph()[module]
        if any(to == name or to.startswith(f"{name}.") for name in above)
    ]
    assert wrong == []


def test_patterns_import_only_the_patterns_they_are_made_of() -> None:
    found = {
        (module.removeprefix("graphs."), to.removeprefix("graphs."))
        for module in modules()
        if module.removeprefix("graphs.") in PATTERNS
        for to in files_graph()[module]
        if to.removeprefix("graphs.") in PATTERNS
    }
    assert found <= PATTERN_IMPORTS


@each("top, common", [("agents", {"arguments", "errors", "settings", "usage"}), ("graphs", {"errors"})])
def test_rooms_import_what_the_house_says_of_them(top: str, common: set[str]) -> None:
    rows = [re.split(r"  +", line) for line in (ast.get_docstring(parsed(top)) or "").splitlines()]
    stated = {row[0]: set(row[1].split(", ")) - {*common, "none"} for row in rows if len(row) == 3}
    arrows: dict[str, set[str]] = {}
    for module, targets in files_graph().items():
        here, *others = (_room_of(name, top) for name in (module, *targets))
        arrows.setdefault(here, set()).update(name for name in others if name not in ("", here) and name not in common)
    stated.pop("cli", None)  # the command may import all
    assert stated == {name: arrows[name] for name in stated}


def _room_of(module: str, top: str) -> str:
    name = f"{module}..".split(".")[1] if module.startswith(top) else ""
    return "patterns" if name in PATTERNS else name


@cache
def public_names(package: str) -> set[str]:
    for node in parsed(package).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and getattr(_assigned(node), "id", "") == "__all__":
            return set(ast.literal_eval(node.value or ast.List([])))
    return set()


@each("package", ROOMS)
def test_every_package_says_what_it_is_for_and_what_is_public(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    about = ast.get_docstring(tree) or ""
    files = {file.stem for file in (ROOT / package).glob("*.py")} - {"__init__", "__main__"}
    assert sorted(name for name in files if not re.search(rf"\b{name}\b", about)) == []
    assert any(getattr(_assigned(node), "id", "") == "__all__" for node in tree.body)


def _assigned(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.Assign):
        return node.targets[0]
    return node.target if isinstance(node, ast.AnnAssign) else None


def test_rooms_are_entered_through_their_face() -> None:
    wrong = []
    for module in modules():
        for to, name in imports(module):
            there = room(to)
            if there in ENTRY_POINTS | OPEN_ROOMS or module == there or module.startswith(f"{there}."):
                continue
            if not is_package(to) or name not in public_names(to):
                wrong.append(f"{module} imports {name} from {to}")
    assert wrong == []


def reached(start: str) -> set[str]:
    """Return the modules that a module leads to, a room's face standing for the room."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += [] if is_package(module) else [target(*found) for found in imports(module, top_level=True)]
    return seen


def test_values_of_any_type_are_rare() -> None:
    nodes = (node for module in modules() for node in ast.walk(parsed(module)))
    number = sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in modules().values())
    assert 1000 * number / lines <= 20


def test_a_pattern_leads_to_few_files() -> None:
    assert len(reached("graphs.planner")) <= 25


def defined(module: str) -> Iterator[str]:
    """Yield the public names that a module defines itself; type variables are its own business."""
    for node in parsed(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not _is_type_variable(node.value):
            yield getattr(_assigned(node), "id", "_")


def _is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def test_a_public_name_is_defined_once() -> None:
    places: dict[str, list[str]] = {}
    for module in modules():
        for name in defined(module):
            if not name.startswith("_"):
                places.setdefault(name, []).append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_loops_name_what_they_go_over() -> None:
    files = [file for folder in ("agents", "graphs", "tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    over_one = re.compile(r"\bfor \(?(\w+, )*one(, \w+)*\)? in\b")
    assert [file.name for file in files if over_one.search(file.read_text(encoding="utf-8"))] == []
