"""The README is true: its examples run, its drawings are the graphs', its names are public."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

import agents
import graphs
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
DRAWINGS = re.findall(r"### (\w+)\n+```mermaid\n(.*?)```", README, re.DOTALL)


def named(*names):
    return [agents.Agent(name, function=str) for name in names]


PATTERNS = {
    "Planner": Planner(named("a")),
    "Workflow": Workflow(
        [Step("draft", "a", "x"), Step("title", "a", "x"), Step("tidy", "a", "x", ["draft", "title"])],
        agents=named("a"),
    ),
    "Router": Router(named("bank", "travel")),
    "Supervisor": Supervisor(*named("a")),
    "Network": Network([agents.Agent(name, instructions="x") for name in ("desk", "billing")]),
    "Orchestrator": Orchestrator(named("a")),
}


def edges(mermaid: str) -> set[tuple[str, str]]:
    found = set()
    for line in mermaid.splitlines()[1:]:
        names = re.split(r"\s+(?:-->|-\.->)\s+", line.strip(" ;"))
        found |= set(pairwise(names))
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs(example, capsys):
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    expected = re.search(r"print\(.*\)  # (.*)", example)
    assert printed.strip() == expected[1] if expected else printed.strip()


@pytest.mark.parametrize(("name", "drawing"), DRAWINGS)
def test_drawing_is_the_graph(name, drawing):
    graph = PATTERNS[name].compile().get_graph(xray=name == "Workflow")
    assert edges(drawing) == {
        (edge.source.removeprefix("execute:"), edge.target.removeprefix("execute:")) for edge in graph.edges
    }


def test_every_pattern_is_shown():
    assert [name for name, _ in DRAWINGS] == list(PATTERNS)


@pytest.mark.parametrize("package", [agents, graphs])
def test_examples_use_public_names_only(package):
    for example in EXAMPLES:
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.ImportFrom) and node.module == package.__name__:
                assert {one.name for one in node.names} <= set(package.__all__)


@pytest.mark.parametrize("package", [agents, graphs])
def test_all_public_names_exist(package):
    assert all(hasattr(package, name) for name in package.__all__)
