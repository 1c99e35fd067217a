"""In a notebook a graph, a run and the parts of its result show themselves, and a run shows how it goes."""

import _thread
import ast
import asyncio
import json
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Planner, Step, Supervisor, Workflow
from graphs.show import Run, model_or, watch
from graphs.show.live_state import MODES, LiveState, LiveTask
from graphs.show.notebook import Progress
from tests.plain_graphs import own_graph
from tests.processes import Processes
from tests.shown import NASTY, PATTERNS, PLAN, UPPER, accepting, bundle
from tests.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """Be in a notebook, as far as IPython can tell."""
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield shell
    InteractiveShell.clear_instance()


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

    with pytest.raises(ZeroDivisionError):
        watch(own_graph(broken), "Go")


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
