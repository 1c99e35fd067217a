"""Steps that begin while their plan is being written: which, when, and what becomes of them if the plan goes wrong."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import PrivateAttr

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner
from graphs.decisions.plan_stream import StepReader
from graphs.storage.fork import copy_run, find_point, fork_points
from tests.chat import Killed
from tests.planned import ANSWER, ASK, AT_ONCE, THREAD, plan, step
from tests.tables import each
from tests.waiting import PATIENCE

SOUND = plan(step("red"), step("blue", "red"), step("last"))


class Writer(ScriptedModel):
    """Looks at the text so far after each word that it writes."""

    _look: Any = PrivateAttr(default=None)

    def _stream(self, *args: Any, **options: Any) -> Iterator[Any]:
        text = ""
        for chunk in super()._stream(*args, **options):
            yield chunk
            text += chunk.text
            assert self._look is None or self._look(text)

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        text = ""
        async for chunk in super()._astream(*args, **options):
            yield chunk
            text += chunk.text
            await asyncio.sleep(0)
            assert self._look is None or await asyncio.to_thread(self._look, text)


class Run:
    """A planner whose one agent notes its tasks, and whose model can wait for them."""

    def __init__(self, *script: Any, saver: Any = None, **options: Any) -> None:
        self.tasks: list[str] = []
        self.began: dict[str, threading.Event] = {name: threading.Event() for name in ("red", "blue", "last", "more")}
        self.model = Writer([*script])
        agents = [Agent("ann", function=self.work)]
        self.graph = Planner(agents, model=self.model, **{"retry": AT_ONCE, "begin_early": True, **options}).compile(
            saver
        )

    def work(self, task: str) -> str:
        self.tasks.append(task)
        if task.startswith("do "):
            self.began[task.removeprefix("do ")].set()
        return f"[{task}]"

    def wait_for(self, name: str, then: Callable[[], bool] = lambda: True) -> None:
        """Have the model stop at the last step until another one has begun."""
        self.model._look = lambda text: '"last"' not in text or (self.began[name].wait(PATIENCE) and then())


def test_a_step_begins_while_the_rest_is_written(call: Any) -> None:
    run = Run(SOUND, ANSWER)
    run.wait_for("blue")
    state = call(run.graph, ASK)
    assert (state["status"], state["errors"], sorted(run.tasks)) == ("completed", [], ["do blue", "do last", "do red"])
    assert [record["status"] for record in state["steps"].values()] == ["completed"] * 3
    assert state["usage"]["agents"]["planner"]["calls"] == 1
    assert len(run.model.calls) == 2


@pytest.mark.parametrize("options", [{"approval": True}, {"begin_early": False}])
def test_no_step_begins_before_the_plan_is_whole(options: Any, call: Any) -> None:
    run = Run(SOUND, ANSWER, saver=InMemorySaver(), **options)
    run.model._look = lambda text: len(run.model.calls) > 1 or not run.tasks
    state = call(run.graph, ASK, THREAD)
    assert "__interrupt__" in state or state["status"] == "completed"


def test_a_step_that_depends_on_a_later_one_waits_for_the_whole_plan(call: Any) -> None:
    run = Run(plan(step("blue", "red"), step("red"), step("last")), ANSWER)
    run.model._look = lambda text: len(run.model.calls) > 1 or not run.tasks
    state = call(run.graph, ASK)
    assert (state["status"], run.tasks.index("do red") < run.tasks.index("do blue")) == ("completed", True)


@pytest.mark.parametrize(
    ("flawed", "said"),
    [
        (step("red", task="do more"), "Two steps are called 'red'"),
        (step("last", "nothing"), "depends on 'nothing'"),
        (step("last", agent="cid"), "needs agent 'cid'"),
    ],
)
def test_steps_that_have_begun_are_kept_when_the_plan_turns_out_flawed(flawed: Any, said: str, call: Any) -> None:
    run = Run(plan(step("red"), flawed), plan(step("last", "red")), ANSWER)
    state = call(run.graph, ASK)
    assert (state["status"], run.tasks, list(state["steps"])) == ("completed", ["do red", "do last"], ["red", "last"])
    assert said in state["errors"][0]["message"]
    assert state["errors"][0]["message"].endswith("Kept: red; no other step began")


@pytest.mark.parametrize("broken", ['{"steps": [%s, {"id": "la', '{"steps": [%s], "and": }'])
def test_steps_that_have_begun_are_kept_when_the_reply_cannot_be_read(broken: str, call: Any) -> None:
    run = Run(broken % json.dumps(step("red")), plan(step("red"), step("last", "red")), ANSWER)
    state = call(run.graph, ASK)
    assert (state["status"], run.tasks) == ("completed", ["do red", "do last"])


def test_the_end_of_a_plan_that_was_not_written_is_not_a_failed_step(caplog: pytest.LogCaptureFixture) -> None:
    broken = json.dumps({"steps": [step("red"), step("last")]})[:-40]
    state = asyncio.run(Run(*[broken] * 3, on_failure="stop").graph.ainvoke(ASK))
    assert (state["status"], [*state["steps"]]) == ("partial", ["red"])
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_a_run_that_is_killed_while_its_plan_is_written_repeats_nothing_that_is_done(call: Any) -> None:
    saver = InMemorySaver()
    run = Run(SOUND, saver=saver)

    def kill() -> bool:
        raise Killed

    run.wait_for("blue", kill)  # it depends on red, whose result is stored by then
    with pytest.raises(Killed):
        call(run.graph, ASK, THREAD)
    again = Run(plan(step("red", task="do more"), step("blue", "red"), step("last")), ANSWER, saver=saver)
    state = call(again.graph, None, THREAD)
    assert (state["status"], list(state["steps"])) == ("completed", ["red", "blue", "last"])
    assert {"do red", "do more"}.isdisjoint(again.tasks)
    assert "These steps of your plan have begun" in again.model.calls[0].prompt


def test_a_run_whose_steps_began_early_is_forked_at_a_step(call: Any) -> None:
    saver = InMemorySaver()
    run = Run(SOUND, ANSWER, ANSWER, saver=saver)
    run.wait_for("blue")
    call(run.graph, ASK, THREAD)
    point = find_point(fork_points(saver, "1"), "blue")
    assert (point.kind, sorted(point.kept), point.rerun) == ("step", ["last", "red"], ("blue",))
    copy_run(saver, point, "2", {})
    run.tasks.clear()
    state = call(run.graph, None, {"configurable": {"thread_id": "2"}})
    assert (state["status"], run.tasks, len(run.model.calls)) == ("completed", ["do blue"], 3)


def test_a_step_with_figures_that_nobody_gave_does_not_begin(call: Any) -> None:
    invented = plan(step("red"), step("last", "red", task="Pay 4711 EUR"))
    run = Run(invented, plan(step("last", "red", task="Pay the sum")), ANSWER)
    state = call(run.graph, ASK)
    assert (state["status"], state["errors"], run.tasks) == ("completed", [], ["do red", "Pay the sum"])
    assert "4711" in run.model.calls[1].prompt


TEXTS = st.text("aB 9_,:\n\"'\\{}[]<>/`é😀")
STEPS = st.lists(st.builds(lambda name, task: {"id": name, "task": task}, TEXTS, TEXTS), max_size=4)


@given(STEPS, st.integers(1, 9), st.sampled_from(["%s", "```json\n%s\n```", '<think>{["</think>Here: %s']))
def test_steps_are_whole_wherever_the_text_is_cut(steps: list[Any], size: int, around: str) -> None:
    text = around % json.dumps({"steps": steps}, ensure_ascii=False)
    reader = StepReader()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert [step for piece in pieces for step in reader.feed(piece)] == steps


def test_a_step_that_is_nested_without_end_is_not_read() -> None:
    assert StepReader().feed('{"steps": [' + "[" * 100_000) == []


@each("text", ["x" * 300_000, '{"steps": [{"task": "' + "x" * 300_000, '{"steps": [' + "[" * 300_000])
def test_a_plan_without_end_is_not_read_again_with_each_piece(text: str) -> None:
    reader = StepReader()
    assert all(reader.feed(text[place : place + 50]) == [] for place in range(0, len(text), 50))
    assert len(reader._text) < 30_000
