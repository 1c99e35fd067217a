"""In a notebook a graph, a run and the parts of its result show themselves, and a run shows how it goes."""

import _thread
import ast
import asyncio
import json
import re
import sys
import threading
from collections.abc import Iterator
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.show import Run, draw_graph, model_or, watch
from graphs.show.drawing import for_people
from graphs.show.live_state import MODES, LiveState, LiveTask
from graphs.show.notebook import Progress
from tests.processes import Processes
from tests.waiting import PATIENCE, until

SVG = "{http://www.w3.org/2000/svg}"
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
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


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
    graph = PATTERNS["workflow"].compile()
    svg = draw_graph(graph)
    drawing = graph.get_graph(xray=True)
    assert ids(svg).count("one") == ids(svg).count("two") == 1
    assert len(re.findall("<path d=", svg)) - 2 == len(drawing.edges)  # two are the arrows' heads
    assert svg.count("stroke-dasharray") == sum(edge.conditional for edge in drawing.edges)


def test_ways_there_and_back_are_one_line_with_two_heads() -> None:
    svg = draw_graph(PATTERNS["network"].compile())
    assert len([line for line in svg.splitlines() if "marker-start" in line and "marker-end" in line]) == 1


@pytest.mark.parametrize("name", PATTERNS)
def test_no_arrow_ends_in_empty_space(name: str) -> None:
    picture = ElementTree.fromstring(draw_graph(PATTERNS[name].compile()))
    boxes = [
        {key: float(rect.attrib[key]) for key in ("x", "y", "width", "height")} for rect in picture.iter(f"{SVG}rect")
    ]

    def at_a_box(x: str, y: str) -> bool:
        return any(
            box["x"] <= float(x) <= box["x"] + box["width"] and float(y) in (box["y"], box["y"] + box["height"])
            for box in boxes
        )

    for path in picture.iter(f"{SVG}path"):
        numbers = re.findall(r"[\d.]+", path.attrib["d"])
        ends = [("marker-start", numbers[:2]), ("marker-end", numbers[-2:])]
        assert all(at_a_box(*place) for marker, place in ends if marker in path.attrib)


def crossings(svg: str) -> int:
    """Count the pairs of lines that change sides between two rows; lines that share a lane are one."""
    rows: dict[str, set[tuple[int, int]]] = {}
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        x, *parts = re.findall(r"[MCV]([\d. ]+)", path.attrib["d"]) if "C" in path.attrib["d"] else ["0 0"]
        left, top = x.split()
        for numbers in map(str.split, parts):
            if len(numbers) > 1:
                rows.setdefault(top, set()).add((int(left), int(numbers[-2])))
                left = numbers[-2]
            top = numbers[-1]
    return sum((a - c) * (b - d) < 0 for lines in rows.values() for (a, b), (c, d) in combinations(lines, 2))


def test_few_lines_of_a_drawing_cross() -> None:
    team = [Agent(name, function=str) for name in ("ann", "bob", "cy", "dan", "eve")]
    assert crossings(draw_graph(Orchestrator(team, model=ScriptedModel()).compile())) == 2
    assert {name for name in PATTERNS if crossings(draw_graph(PATTERNS[name].compile()))} == {"orchestrator"}


def test_captions_are_agents_and_agents_have_one_colour() -> None:
    careful = Supervisor(UPPER, reviewer=Agent("judge", function=accepting)).as_agent("careful")
    for pattern in (PATTERNS["router"], Planner([careful, UPPER], model=ScriptedModel()), PATTERNS["workflow"]):
        picture = ElementTree.fromstring(draw_graph(pattern.compile()))
        for group in picture.iter(f"{SVG}g"):
            names = [text.text for text in group.iter(f"{SVG}text")]
            is_agent = "done" in str(next(group.iter(f"{SVG}rect")).attrib["class"])
            assert is_agent == ({"upper", "judge", "synthesizer"} & {*names} != set())


def test_peers_that_all_hand_over_to_each_other_are_drawn_around_one_box() -> None:
    peers = [Agent(name, function=str) for name in ("ann", "bob", "cy", "dan", "eve")]
    svg = draw_graph(Network(peers).compile())
    assert "hand over or end" in ids(svg)
    assert svg.count("<path d=") - 2 == 5 + 5 + 2  # from the start, to and from the box, to the answer and the end
    assert "hand over or end" not in ids(draw_graph(Network(peers, links={"ann": ["bob"]}).compile()))


def test_names_in_a_picture_are_escaped_and_short() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("a<b & a name that is far too long", lambda state: {})
    graph.add_edge(START, "a<b & a name that is far too long")
    assert ids(draw_graph(graph.compile()))[1] == "a<b & a name tha…"


def test_a_large_graph_is_drawn_without_the_insides() -> None:
    shown = ids(bundle(Orchestrator([UPPER, Agent("other", function=str)]).compile())["image/svg+xml"])
    assert "plan" in shown
    assert "synthesizer" not in shown


@pytest.mark.parametrize("name", [pattern for pattern in PATTERNS if pattern != "orchestrator"])
def test_a_run_and_its_parts_show_themselves(name: str) -> None:
    run = Run(PATTERNS[name].compile().invoke({"messages": f"Say A {NASTY}"}))
    shown = [bundle(run), *(bundle(part) for part in run.values() if hasattr(part, "_repr_mimebundle_"))]
    assert len(shown) > 2
    assert "completed" in shown[0]["text/html"]
    assert not any("<script" in item["text/html"].lower() for item in shown)
    assert any("&lt;script&gt;" in item["text/html"].lower() for item in shown)


def test_a_run_is_the_plain_result() -> None:
    result = PATTERNS["workflow"].compile().invoke({"messages": "Go"})
    run = Run(result)
    assert run == result
    assert json.loads(json.dumps(run["steps"])) == result["steps"]


def test_ipython_shows_no_wall_of_dict(shell: InteractiveShell) -> None:
    run = Run(PATTERNS["workflow"].compile().invoke({"messages": "Go"}))
    for part in (run, run["steps"], run["plan"], run["steps"]["one"]):
        assert shell.display_formatter.format(part)[0]["text/plain"] == bundle(part)["text/plain"]  # type: ignore[union-attr]
    nested = shell.display_formatter.format({"steps": run["steps"], "plan": run["plan"]})[0]["text/plain"]  # type: ignore[union-attr]
    assert ast.literal_eval(nested)["steps"]["one"]["result"] == run["steps"]["one"]["result"]
    assert "None" not in nested


def test_an_answer_in_markdown_is_rendered_and_its_html_is_not() -> None:
    run = Run({"status": "completed", "messages": [AIMessage(f"**bold** {NASTY}")]})
    assert "<strong>bold</strong> &lt;script&gt;" in bundle(run)["text/html"]
    assert f"**bold** {NASTY}" in bundle(run)["text/plain"]


def test_the_cost_names_every_agent_once_functions_included() -> None:
    run = Run(PATTERNS["supervisor"].compile().invoke({"messages": "A"}))
    shown = bundle(run["usage"])["text/plain"].splitlines()[:-1]
    assert sorted(line.split()[0] for line in shown) == ["agent", "in", "judge", "upper"]


def test_a_verdict_tells_each_criterion_and_the_feedback() -> None:
    judge = Agent("judge", function=accepting)
    run = Run(Supervisor(UPPER, reviewer=judge, checks=[lambda text: None]).compile().invoke({"messages": "no"}))
    rejected = bundle(run["reviews"][0])["text/plain"].splitlines()
    assert [line.split()[0] for line in rejected] == ["criterion", "checks", "acceptable", "✗"]
    assert "✗" in rejected[2]
    assert NASTY in rejected[3]


def test_pictures_of_a_run(shell: InteractiveShell) -> None:
    with capture_output():
        run = watch(PATTERNS["workflow"].compile(), "Go")
    for picture in (run.timeline, run.graph):
        shown = shell.display_formatter.format(picture)[0]  # type: ignore[union-attr]
        assert shown["image/svg+xml"].count("<svg") == 1
        assert "<svg" not in shown["text/plain"]


def test_progress_is_drawn_over_itself_while_the_run_goes_on(shell: InteractiveShell) -> None:
    going = threading.Event()

    def work(task: str) -> str:
        assert going.wait(PATIENCE)
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


def test_progress_of_a_large_run_shows_what_is_at_work() -> None:
    state = LiveState(0.0)
    for number in range(1000):
        task = LiveTask(f"s{number}", status="running" if number == 999 else "completed", started=0.0, ended=1.0)
        state.tasks[str(number)] = task
    names = [row[1] for row in Progress(state, 2.0).table.rows]
    assert (len(names), names[-1]) == (200, "s999")


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
from graphs.show import watch
steps = [Step("one", "upper", "one {request}"), Step("two", "upper", "{one}", ["one"])]
print(watch(Workflow(steps, agents=[Agent("upper", function=str.upper)]).compile(), "Go").answer)
"""


def test_watch_tells_in_lines_without_ipython_and_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    exec(SCRIPT, {})
    done = capsys.readouterr()
    told = done.err.splitlines()
    assert done.out == "ONE GO\n"
    assert [line.partition("] ")[2] for line in told if "running" in line] == [
        "one: running (upper)",
        "two: running (upper)",
    ]
    assert told[-1].startswith("✓ completed")


def test_watch_draws_in_a_terminal_without_ipython(processes: Processes) -> None:
    done = processes.start(script=SCRIPT, terminal=True, TERM="xterm-256color").wait()
    assert done.out == "ONE GO\n"
    assert "\x1b[" in done.told
    assert "✓ completed" in done.told


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
    assert shown.startswith("? waits for you")
    assert "one (upper): one" in shown
    assert watch(graph, Command(resume={"type": "approve"}), thread)["status"] == "completed"


def test_what_goes_on_inside_a_step_stands_below_it() -> None:
    careful = Supervisor(UPPER, reviewer=Agent("judge", function=accepting)).as_agent("careful")
    graph = Workflow([Step("one", "careful", "a"), Step("two", "upper", "b")], agents=[careful, UPPER]).compile()
    state = LiveState(0.0)
    for event in graph.stream({"messages": "Go"}, stream_mode=list(MODES), subgraphs=True):
        state.apply(event, 1.0)
    shown = bundle(Progress(state, 99.0))
    expected = ["one", "\u00a0\u00a0work", "\u00a0\u00a0review", "two"]
    in_text = [line[3:].split("  ")[0] for line in shown["text/plain"].splitlines()[2:]]
    in_cells = re.findall(r">(\u00a0*(?:one|work|review|two))</td>", shown["text/html"])
    assert [name for name in in_text if name in expected] == in_cells == expected


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


@pytest.mark.parametrize("early", [False, True])
def test_stopping_the_cell_stops_the_run(early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    submit = asyncio.run_coroutine_threadsafe

    def slow_submit(work: Any, loop: asyncio.AbstractEventLoop) -> Any:
        future = submit(work, loop)
        if early and threading.current_thread() is threading.main_thread():
            until(stopped.is_set)  # the interrupt comes here
        return future

    async def endless(task: str) -> str:
        _thread.interrupt_main()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "too late"

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", slow_submit)
    with pytest.raises(KeyboardInterrupt):
        watch(Workflow([Step("one", "endless", "x")], agents=[Agent("endless", function=endless)]).compile(), "Go")
    until(stopped.is_set)
