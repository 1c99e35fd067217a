"""What type checkers see: the examples of the pages are right, and a user's mistakes are errors."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.markdown import ROOT, pages

MISTAKES = {
    'Workflow(steps, agents=[ann]).compile().invoke(hello)["steps"]["x"]["stauts"]': "stauts",
    'Planner([ann]).compile().invoke(hello)["steps"]["x"]["usage"]["call"]': "call",
    'Router([ann]).compile().invoke(hello)["route"]["choosen"]': "choosen",
    'Supervisor(ann).compile().invoke(hello)["reviews"][0]["accepted"]': "accepted",
    'Network([ann]).compile().invoke(hello)["handoffs"][0]["receiver"]': "receiver",
    'Orchestrator([ann]).compile().invoke(hello)["palns"]': "palns",
    'Planner([ann]).compile().invoke(hello, version="v2").value["stesp"]': "stesp",
    "Supervisor(ann, max_revision=3)": "max_revision",
    'Supervisor(ann, escalate="nobody")': "escalate",
    'Router([ann], clarify="interrupt")': "clarify",
    'Planner([ann], history="brief")': "history",
    "Planner(ann)": "agents|Argument 1",
    'Workflow([Step("x", "ann", "Do it", retries=3)], agents=[ann])': "retries",
    'Agent("ann", fuction=str.upper)': "fuction",
}
BEFORE = """\
from agents import Agent
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow

ann = Agent("ann", function=str.upper)
steps = [Step("x", "ann", "Do it")]
hello = {"messages": "hello"}
"""
SUBCLASS = """\
from typing import Any, Literal

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner, PlannerState
from graphs.engine import PatternGraph


class ThoroughState(PlannerState):
    praise: str


class Thorough(Planner):
    \"\"\"A planner with more state, a node of its own, and another edge to it.\"\"\"

    def praised(self, state: ThoroughState) -> dict[str, Any]:
        return {"praise": f"{len(state['steps'])} steps"}

    def after(self, state: PlannerState) -> Literal["plan", "synthesize", "praise"]:
        target = self.assessed(state)
        return "praise" if target == "answer" else target

    def build(self) -> PatternGraph[PlannerState]:
        graph = super().build()
        graph.add_node("praise", self.praised)
        graph.add_edge("praise", "answer")
        return graph.replace_edges("assess", self.after)


ann = Agent("ann", function=str.upper)
plan = {"steps": [{"id": "shout", "agent": "ann", "task": "hello", "dependencies": []}]}
model = ScriptedModel([plan], repeat=True)
graph = Thorough([ann], fallback="ann", model=model).compile()
result = graph.invoke({"messages": "hello"})
for name, step in result["steps"].items():
    print(name.upper(), step["status"].upper(), (step["ended"] or 0.0) - (step["started"] or 0.0))
visited = [next(iter(update)) for update in graph.stream({"messages": "hello"}, stream_mode="updates")]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the examples of the pages, the mistakes and the subclass into a folder, a file each."""
    folder = tmp_path_factory.mktemp("typed")
    for page in pages():
        for block in page.blocks:
            if block.language == "python":
                (folder / f"{page.path.stem}_{block.line}.py").write_text(block.text, encoding="utf-8")
    (folder / "mistakes.py").write_text(BEFORE + "\n".join(MISTAKES) + "\n", encoding="utf-8")
    (folder / "subclass.py").write_text(SUBCLASS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def by_mypy(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the errors of mypy --strict, by file."""
    # The project's own settings, which are strict, so that the cache of `make check` serves here too.
    files = sorted(map(str, folder.glob("*.py")))
    command = [sys.executable, "-m", "mypy", "--output", "json", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return by_file([(error["file"], error["line"], error["message"]) for error in found])


@pytest.fixture(scope="module")
def by_pyright(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the errors of pyright, by file."""
    settings = {"include": ["*.py"], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    places = [(error["file"], error["range"]["start"]["line"] + 1, error["message"]) for error in found]
    return by_file(places)


def by_file(errors: list[tuple[str, int, str]]) -> dict[str, list[tuple[int, str]]]:
    files: dict[str, list[tuple[int, str]]] = {}
    for file, line, message in errors:
        files.setdefault(Path(file).name, []).append((line, message))
    return files


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = request.getfixturevalue(f"by_{request.param}")
    return found


@pytest.mark.types
def test_examples_are_typed_right(errors: dict[str, list[tuple[int, str]]]) -> None:
    examples = errors.keys() - {"mistakes.py", "subclass.py"}
    assert not examples, "\n".join(f"{file}:{line} {text}" for file in sorted(examples) for line, text in errors[file])


@pytest.mark.types
def test_a_subclass_of_a_user_is_typed_right(errors: dict[str, list[tuple[int, str]]]) -> None:
    assert errors.get("subclass.py", []) == []


def test_the_subclass_runs_through_its_own_node(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": "subclass"}
    exec(SUBCLASS, scope)
    assert capsys.readouterr().out.startswith("SHOUT COMPLETED ")
    assert "praise" in scope["visited"]


@pytest.mark.types
@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=list(MISTAKES))
def test_a_mistake_is_an_error(errors: dict[str, list[tuple[int, str]]], number: int) -> None:
    line = BEFORE.count("\n") + 1 + number
    messages = " ".join(message for place, message in errors["mistakes.py"] if place == line)
    assert re.search(list(MISTAKES.values())[number], messages), messages
