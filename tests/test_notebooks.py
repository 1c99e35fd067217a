"""The notebooks run without a key or a network, and are committed as they run."""

import ast
import asyncio
import importlib
import json
import re
import socket
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks import FOLDER, NOTEBOOKS, ROOT, code, execute, outputs, started_kernel
from tests.tables import each

NAMES = ["0_tour", "1_planner", "2_router", "3_workflow", "4_supervisor", "5_network", "6_orchestrator"]
EACH_HAS = ("What happens on failure", "How to change it")
TIMES = re.compile(r"\s*\d+(\.\d+)?[ \xa0](ms|s)\b")
every_run = pytest.mark.parametrize("name", NAMES)
every = each("name", NAMES)


@cache
def committed(name: str) -> Any:
    import nbformat

    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="session")
def executed() -> dict[str, Any]:
    """Execute all notebooks in one kernel; an exception stands in the place of a notebook that failed."""
    return asyncio.run(_executed())


async def _executed() -> dict[str, Any]:
    done = {}
    async with started_kernel() as kernel:
        for name in NAMES:
            try:
                done[name] = await execute(FOLDER / f"{name}.ipynb", kernel)
            except Exception as error:
                done[name] = error
    return done


@pytest.fixture
def run(executed: dict[str, Any], name: str) -> Any:
    if isinstance(executed[name], Exception):
        raise executed[name]
    return executed[name]


def texts(notebook: Any) -> list[tuple[int, str]]:
    """Return the results of cells as text, by the number of the cell, without times."""
    return [
        (place, " ".join(TIMES.sub(" …", output["data"]["text/plain"]).split()))
        for place, cell in enumerate(code(notebook), 1)
        for output in cell.outputs
        if output["output_type"] == "execute_result"
    ]


def kinds(notebook: Any) -> list[tuple[int, str, list[str]]]:
    """Return the kinds of output of each cell."""
    return [
        (place, output["output_type"], sorted(output.get("data", ())))
        for place, cell in enumerate(code(notebook), 1)
        for output in cell.outputs
    ]


def test_all_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@every_run
def test_nothing_is_written_to_stderr(run: Any) -> None:
    assert [output for _, output in outputs(run) if output.get("name") == "stderr"] == []


@every_run
def test_is_committed_as_it_runs(run: Any, name: str) -> None:
    assert kinds(committed(name)) == kinds(run)
    assert texts(committed(name)) == texts(run)


@every
def test_is_committed_tidy(name: str) -> None:
    notebook = committed(name)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert [cell.id for cell in notebook.cells] == [f"cell-{number}" for number in range(1, len(notebook.cells) + 1)]


@every
def test_says_nothing_of_the_machine_it_ran_on(name: str) -> None:
    text = json.dumps([output for _, output in outputs(committed(name))])
    private = [str(ROOT), str(Path.home()), "/tmp", "site-packages", socket.gethostname()]
    assert [word for word in private if re.search(rf"{re.escape(word)}\b", text)] == []


@every
def test_shows_a_drawing_a_run_and_a_timeline(name: str) -> None:
    shown = Counter(kind for _, output in outputs(committed(name)) for kind in output.get("data", ()))
    assert shown["image/svg+xml"]
    assert 0 < shown["text/vnd.mermaid"] < shown["image/svg+xml"]  # pictures of runs have no Mermaid
    assert "image/png" not in shown
    assert shown["text/html"] >= 5


@every
def test_a_run_leaves_one_output_however_many_pictures_it_drew(name: str) -> None:
    for cell in code(committed(name)):
        progress = [output for output in cell.outputs if output["output_type"] == "display_data"]
        assert len(progress) == cell.source.count("watch(")


@every
def test_no_output_is_a_wall_of_dict(name: str) -> None:
    results = [output for _, output in outputs(committed(name)) if output["output_type"] == "execute_result"]
    assert [result for result in results if result["data"]["text/plain"].startswith(("{", "["))] == []


@each("name", NAMES[1:])
def test_tells_of_failure_and_change(name: str) -> None:
    text = "\n".join(cell.source for cell in committed(name).cells if cell.cell_type == "markdown")
    for heading in EACH_HAS:
        assert f"## {heading}" in text


@every
def test_uses_public_names_only(name: str) -> None:
    for cell in code(committed(name)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("agents", "graphs"):
                public = importlib.import_module(node.module or "")
                assert {alias.name for alias in node.names} <= set(public.__all__)


@every
def test_is_no_larger_than_a_code_host_shows(name: str) -> None:
    assert len(json.dumps(committed(name))) < 400_000
