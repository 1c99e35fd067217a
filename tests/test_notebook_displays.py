"""In a notebook a graph, a run and the parts of its result show themselves, and a run shows how it goes."""

import _thread
import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from agents import Agent, Retry, TransientError
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.show.notebook import Progress, Run, model_or, watch
from graphs.show.svg import drawn, for_people
from graphs.show.trace import MODES, Trace

NASTY = "<script>alert(1)</script>"
UPPER = Agent("upper", "Writes in capitals.", function=str.upper)
PLAN = {"steps": [{"id": "one", "task": f"one {NASTY}", "agent": "upper", "dependencies": []}]}
STEPS = [Step("one", "upper", "one {request}"), Step("two", "upper", "{one}", ["one"])]


def accepting(context: dict[str, str]) -> dict[str, Any]:
    return {"acceptable": "A" in context["result"], "evidence": "it is so", "feedback": f"No A in it {NASTY}"}


PATTERNS: dict[str, Pattern] = {
    "planner": Planner([UPPER], model=ScriptedModel(Reply(data=PLAN))),
    "workflow": Workflow(STEPS, agents=[UPPER]),
    "router": Router([UPPER], classifier=lambda text: "upper", model=False),
    "supervisor": Supervisor(UPPER, reviewer=Agent("judge", function=accepting)),
    "network": Network([UPPER, Agent("lower", function=lambda task: {"to": "upper", "task": task, "reason": NASTY})]),
    "orchestrator": Orchestrator([UPPER], model=ScriptedModel()),
}


def bundle(shown: Any) -> dict[str, str]:
    found: dict[str, str] = shown._repr_mimebundle_()
    return found


def ids(svg: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(svg).iter() if one.tag.endswith("text")]


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """Be in a notebook, as far as IPython can tell."""
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield shell
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_graph_draws_itself_without_a_network(name: str) -> None:
    graph = PATTERNS[name].compile()
    shown = bundle(graph)
    assert shown["text/vnd.mermaid"] == for_people(graph).draw_mermaid()
    assert ids(shown["image/svg+xml"])[0] == "start"
    assert len(re.findall("<rect", shown["image/svg+xml"])) >= len(graph.nodes)


def test_steps_and_dependencies_are_in_the_picture() -> None:
    drawing = PATTERNS["workflow"].compile().get_graph(xray=True)
    svg = drawn(drawing)
    assert ids(svg).count("one") == ids(svg).count("two") == 1
    assert len(re.findall("<path d=", svg)) - 1 == len(drawing.edges)  # one is the arrow's head
    assert svg.count("stroke-dasharray") == sum(one.conditional for one in drawing.edges)


def test_ways_there_and_back_are_one_line_with_two_heads() -> None:
    svg = drawn(PATTERNS["network"].compile().get_graph(xray=True))
    assert len(re.findall("marker-start.*|$", svg)) > 1
    assert len([line for line in svg.splitlines() if "marker-start" in line and "marker-end" in line]) == 1


def test_names_in_a_picture_are_escaped_and_short() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("a<b & a name that is far too long", lambda state: {})
    graph.add_edge(START, "a<b & a name that is far too long")
    assert ids(drawn(graph.compile().get_graph()))[1] == "a<b & a name that …"


def test_a_large_graph_is_drawn_without_the_insides() -> None:
    shown = ids(bundle(Orchestrator([UPPER, Agent("other", function=str)]).compile())["image/svg+xml"])
    assert "plan" in shown
    assert "synthesizer" not in shown


@pytest.mark.parametrize("name", [one for one in PATTERNS if one != "orchestrator"])
def test_a_run_and_its_parts_show_themselves(name: str) -> None:
    run = Run(PATTERNS[name].compile().invoke({"messages": f"Say A {NASTY}"}))
    shown = [bundle(run), *(bundle(part) for part in run.values() if hasattr(part, "_repr_mimebundle_"))]
    assert len(shown) > 2
    assert "completed" in shown[0]["text/html"]
    assert not any("<script" in one["text/html"].lower() for one in shown)
    assert any("&lt;script&gt;" in one["text/html"].lower() for one in shown)


def test_a_run_is_the_plain_result() -> None:
    result = PATTERNS["workflow"].compile().invoke({"messages": "Go"})
    run = Run(result)
    assert run == result
    assert json.loads(json.dumps(run["steps"])) == result["steps"]


def test_ipython_shows_no_wall_of_dict(shell: InteractiveShell) -> None:
    run = Run(PATTERNS["workflow"].compile().invoke({"messages": "Go"}))
    for part in (run, run["steps"], run["plan"]):
        assert shell.display_formatter.format(part)[0]["text/plain"] == bundle(part)["text/plain"]  # type: ignore[union-attr]


def test_a_verdict_tells_each_criterion_and_the_feedback() -> None:
    judge = Agent("judge", function=accepting)
    run = Run(Supervisor(UPPER, reviewer=judge, checks=[lambda text: None]).compile().invoke({"messages": "no"}))
    rejected = bundle(run["reviews"][0])["text/plain"].splitlines()
    assert [line.split()[0] for line in rejected] == ["criterion", "checks", "acceptable", "verdict"]
    assert "✗" in rejected[2]
    assert NASTY in rejected[3]


def test_pictures_of_a_run(shell: InteractiveShell) -> None:
    with capture_output():
        run = watch(PATTERNS["workflow"].compile(), "Go")
    for picture in (run.timeline, run.graph, Run(dict(run)).timeline):
        assert picture._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_progress_is_drawn_over_itself_while_the_run_goes_on(shell: InteractiveShell) -> None:
    going = threading.Event()

    def work(task: str) -> str:
        assert going.wait(10)
        return "done"

    class Shown(list[str]):
        """Lets the work go on once it was seen to be going on."""

        def append(self, output: Any) -> None:
            super().append(output["data"]["text/plain"])
            if "…" in self[-1] and "slow" in self[-1]:
                going.set()

    shown: Any = Shown()
    with capture_output() as captured:
        captured._outputs, shell.display_pub.outputs = shown, shown  # type: ignore[attr-defined]
        run = watch(Workflow([Step("one", "slow", "x")], agents=[Agent("slow", function=work)]).compile(), "Go")
    assert going.is_set()
    assert shown[0].startswith("… at work")
    assert shown[-1].startswith("✓ completed")
    assert run.answer == "done"


def test_watch_works_while_an_event_loop_is_running(shell: InteractiveShell) -> None:
    async def cell() -> Run:
        return watch(PATTERNS["workflow"].compile(), "Go")  # what a cell does: it blocks the kernel's own loop

    with capture_output():
        assert asyncio.run(cell())["status"] == "completed"


SCRIPT = """
import sys
sys.modules["IPython"] = None  # as where it is not installed
from agents import Agent
from graphs import Step, Workflow
from graphs.show.notebook import watch
steps = [Step("one", "upper", "one {request}"), Step("two", "upper", "{one}", ["one"])]
print(watch(Workflow(steps, agents=[Agent("upper", function=str.upper)]).compile(), "Go").answer)
"""


def test_watch_tells_in_lines_without_ipython_and_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    told = done.stderr.splitlines()
    assert done.stdout == "ONE GO\n"
    assert [line.split()[:3] for line in told if "upper" in line] == [["✓", "one", "upper"], ["✓", "two", "upper"]]
    assert told[-1].startswith("✓ completed")


def test_watch_draws_in_a_terminal_without_ipython() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as one:
        assert one.communicate(timeout=60)[0] == b"ONE GO\n"
    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert "\x1b[" in shown
    assert "✓ completed" in shown


def test_what_a_graph_raises_is_raised() -> None:
    def broken(state: Any) -> Any:
        raise ZeroDivisionError

    graph = StateGraph(MessagesState)
    graph.add_node("broken", broken)
    graph.add_edge(START, "broken")
    with pytest.raises(ZeroDivisionError):
        watch(graph.compile(), "Go")


def test_a_run_that_asks_shows_its_question_and_goes_on() -> None:
    graph = Planner([UPPER], model=ScriptedModel(Reply(data=PLAN)), approval=True).compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    shown = bundle(watch(graph, "Go", thread))["text/plain"]
    assert shown.startswith("? waiting for you")
    assert "one (upper): one" in shown
    assert watch(graph, Command(resume={"type": "approve"}), thread)["status"] == "completed"


def traced(graph: Any, spy: Callable[[Trace], None] = lambda trace: None) -> Trace:
    trace, now = Trace(0.0), 0.0
    for event in graph.stream({"messages": "Go"}, stream_mode=list(MODES), subgraphs=True):
        now += 1
        trace = trace.apply(event, now)
        spy(trace)
    return trace


def rows(trace: Trace) -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[3]) for row in map(list, Progress(trace, 99).rows())]


def test_steps_wait_work_and_end_in_the_trace() -> None:
    seen: list[str] = []
    end = traced(
        PATTERNS["workflow"].compile(),
        lambda trace: seen.extend(one.status for one in trace.stretches.values() if one.name == "two"),
    )
    assert list(dict.fromkeys(seen)) == ["pending", "running", "completed"]
    assert [(one.id, one.critical) for one in end.items(99)] == [
        ("check", True),
        ("one", True),
        ("two", True),
        ("done", True),
    ]


def test_what_goes_on_inside_a_step_stands_below_it() -> None:
    careful = Supervisor(UPPER, reviewer=Agent("judge", function=accepting)).as_agent("careful")
    steps = [Step("one", "careful", "a"), Step("two", "upper", "b")]
    shown = bundle(Progress(traced(Workflow(steps, agents=[careful, UPPER]).compile()), 99))
    expected = ["one", "\u00a0\u00a0work", "\u00a0\u00a0review", "\u00a0\u00a0accept", "two"]
    in_text = [line[3:].split("  ")[0] for line in shown["text/plain"].splitlines()[2:]]
    in_cells = re.findall(r">(\u00a0*(?:one|work|review|accept|two))</td>", shown["text/html"])
    assert [one for one in in_text if one in expected] == in_cells == expected


def test_failures_and_further_attempts_are_told() -> None:
    def broken(task: str) -> str:
        raise TransientError("the line is dead")

    steps = [Step("one", "broken", "x", retry=Retry(attempts=2, wait=0)), Step("two", "upper", "x", ["one"])]
    seen: list[str] = []
    graph = Workflow(steps, agents=[Agent("broken", function=broken), UPPER]).compile()
    trace = traced(graph, lambda trace: seen.extend(one.told for one in trace.stretches.values()))
    assert "attempt 1 failed, trying again: the line is dead" in seen
    marks = {name: mark for mark, name, _ in rows(trace)}
    assert (marks["one"], marks["two"]) == ("✗", "-")


def test_words_are_shown_as_they_are_written() -> None:
    writer = Agent("writer", instructions="Write.", model=ScriptedModel("one two three"))
    seen: list[str] = []
    traced(
        Workflow([Step("one", "writer", "x")], agents=[writer]).compile(),
        lambda trace: seen.extend(one.written for one in trace.stretches.values()),
    )
    assert {"one", "one two", "one two three"} <= set(seen)


def test_without_a_model_the_replies_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PODIUM_MODEL", "PODIUM_MODEL_FILE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    assert model_or(["Hello"]).invoke("Hi").text == "Hello"
    assert "script" in capsys.readouterr().out


def test_a_model_that_is_set_up_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PODIUM_MODEL", "openai:some-model")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert model_or(["Hello"]).model_name == "some-model"  # type: ignore[attr-defined]
    assert capsys.readouterr().out.startswith("some-model answers")


def test_stopping_the_cell_stops_the_run() -> None:
    stopped = threading.Event()

    async def endless(task: str) -> str:
        _thread.interrupt_main()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "too late"

    with pytest.raises(KeyboardInterrupt):
        watch(Workflow([Step("one", "endless", "x")], agents=[Agent("endless", function=endless)]).compile(), "Go")
    assert stopped.wait(5)
