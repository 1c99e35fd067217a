"""The view follows a run event by event; the drawing and the plain lines show it."""

import asyncio
from functools import reduce
from io import StringIO
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from rich.console import Console

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Planner, Step
from graphs.engine import new_record
from graphs.show.live import clean, draw, levels, news, one_line, tree
from graphs.show.view import MODES, Event, View, Work

ZERO = 1_000.0
IN_EXECUTE = ("execute:1f",)


def event(step: str, status: str, *, at: float = 0, path: str = "", **known: Any) -> Event:
    told = {"event": "step", "step": step, "path": path or f"execute/{step}", "time": ZERO + at, "agent": "worker"}
    return IN_EXECUTE, "custom", {**told, "status": status, **known}


def retry(step: str, *, wait: float = 5, error: str = "no answer") -> Event:
    told = {"event": "retry", "step": step, "path": f"execute/{step}", "time": ZERO, "agent": "worker"}
    return IN_EXECUTE, "custom", {**told, "attempt": 1, "wait": wait, "error": error}


def update(node: str, **values: Any) -> Event:
    return (), "updates", {node: values}


def approved(*steps: Step) -> Event:
    return update("approve", approved=[step.as_dict() for step in steps])


def text(written: str, *namespace: str, message: str = "m1") -> Event:
    return namespace, "messages", (AIMessageChunk(content=written, id=message), {})


def seen(*events: Event) -> View:
    return reduce(lambda view, one: view.apply(one, ZERO + 1), events, View.begin("planning", ZERO))


def shown(view: View, *, now: float = 2, width: int = 80, height: int = 24, ended: bool = False) -> str:
    console = Console(file=StringIO(), width=width, height=height, force_terminal=False)
    console.print(draw(view, ZERO + now, console, ended=ended))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


A, B = Step("a", "worker", "Do A"), Step("b", "worker", "Do B", dependencies=["a"])


def statuses(view: View) -> dict[str, str]:
    return {"/".join(path): work.status for path, work in view.works.items()}


def test_an_approved_plan_is_pending() -> None:
    assert statuses(seen(approved(A, B))) == {"execute/a": "pending", "execute/b": "pending"}


def test_a_flawed_plan_is_not_shown_but_its_flaws_are() -> None:
    view = seen(update("plan", plan=[A.as_dict()], approved=[]), update("check", flaws=["No step 'x'."]))
    assert (view.works, view.flaws, view.phase) == ({}, ("No step 'x'.",), "replanning")


def test_a_step_goes_from_running_to_completed() -> None:
    begun = seen(approved(A), event("a", "running", at=1))
    assert begun.works["execute", "a"].record["started"] == ZERO + 1
    ended = begun.apply(event("a", "completed", started=ZERO + 1, ended=ZERO + 3, usage={"output_tokens": 7}), ZERO)
    assert ended.works["execute", "a"].record["task"] == "Do A"
    assert statuses(ended) == {"execute/a": "completed"}


def test_a_result_is_finished_when_its_record_came() -> None:
    record = new_record(A, "completed", result="A is done")
    assert seen(approved(A, B), ((), "updates", {"a": record})).finished() == {"a": "A is done"}


def test_a_step_called_like_a_node_is_no_node() -> None:
    plan = Step("plan", "worker", "Plan the party")
    view = seen(approved(plan), ((), "updates", {"plan": new_record(plan, "completed", result="Party!")}))
    assert (view.phase, view.finished()) == ("working", {"plan": "Party!"})


def test_a_retry_counts_and_says_why() -> None:
    work = seen(approved(A), event("a", "running"), retry("a")).works["execute", "a"]
    assert (work.failures, work.reason, work.again) == (1, "no answer", ZERO + 5)


def test_steps_inside_a_step_are_known_by_their_path() -> None:
    view = seen(approved(A), event("a", "running"), event("x", "running", path="execute/a/execute/x"))
    assert view.owner(("execute", "a", "execute", "x", "model")) == ("execute", "a", "execute", "x")
    assert view.owner(("execute", "a", "synthesize")) == ("execute", "a")
    assert list(view.records()) == ["a"]


def test_an_item_of_a_for_each_step_counts_as_the_step() -> None:
    running = {**event("a", "running")[2], "path": "execute/a/a[2]"}
    assert statuses(seen((IN_EXECUTE, "custom", running))) == {"execute/a": "running"}


def test_text_of_a_step_is_counted_and_that_of_the_answer_kept() -> None:
    view = seen(
        approved(A), text("Hi", *IN_EXECUTE, "a:2c"), text("The ", "synthesize:3d"), text("end", "synthesize:3d")
    )
    assert (view.works["execute", "a"].written, view.answer) == (1, "The end")


def test_an_answer_that_is_written_again_starts_over() -> None:
    assert seen(text("Half an", message="m1"), text("Whole", message="m2")).answer == "Whole"


def test_whole_messages_are_not_streamed_text() -> None:
    assert seen(((), "messages", (AIMessage("whole"), {}))).answer == ""


def test_a_new_plan_keeps_what_was_done_and_what_failed() -> None:
    over = [event("a", "completed"), event("b", "failed")]
    view = seen(approved(A, B, Step("c", "worker", "C")), *over, approved(A, Step("d", "worker", "D")))
    assert statuses(view) == {"execute/a": "completed", "execute/b": "failed", "execute/d": "pending"}


def test_phases_follow_the_nodes_and_have_their_times() -> None:
    view = View.begin("planning", ZERO)
    for at, node in enumerate(["plan", "check", "approve", "execute", "assess"], 1):
        view = view.apply(update(node), ZERO + at)
    assert [one.name for one in view.phases] == ["planning", "checking", "working", "assessing", "answering"]
    assert (view.phases[0].ended, view.phases[-1].ended) == (ZERO + 1, None)


def test_replanning_is_a_phase() -> None:
    assert seen(update("assess", replans=1)).phase == "replanning"


@pytest.mark.parametrize(
    "strange",
    [
        ((), "updates", {"__interrupt__": ({"value": "?"},)}),
        ((), "updates", {"node": None}),
        ((), "custom", "a tool's own event"),
        ((), "custom", {"progress": 1}),
        ((), "values", {}),
        ((), "debug", None),
    ],
)
def test_events_of_other_kinds_do_no_harm(strange: Event) -> None:
    assert seen(strange).works == {}


def test_applying_an_event_changes_no_earlier_view() -> None:
    before = seen(approved(A))
    before.apply(event("a", "running"), ZERO)
    assert statuses(before) == {"execute/a": "pending"}


def works(*steps: Step) -> dict[tuple[str, ...], Work]:
    return {("execute", step.id): Work(new_record(step)) for step in steps}


def test_steps_are_indented_below_their_dependencies() -> None:
    chain = works(A, B, Step("c", "worker", "C", dependencies=["a", "b"]), Step("d", "worker", "D"))
    assert [(path[-1], level) for path, level in levels(chain).items()] == [("a", 0), ("b", 1), ("c", 2), ("d", 0)]


def test_a_cycle_can_be_drawn() -> None:
    round_about = works(Step("a", "w", "A", dependencies=["b"]), Step("b", "w", "B", dependencies=["a"]))
    assert len(levels(round_about)) == 2


def test_steps_inside_are_shown_while_the_outer_one_runs() -> None:
    view = seen(approved(A, B), event("a", "running"), event("x", "running", path="execute/a/execute/x"))
    assert [(indent, path[-1]) for indent, path, _ in tree(view)] == [(0, "a"), (1, "x"), (1, "b")]
    assert [path[-1] for _, path, _ in tree(view.apply(event("a", "completed"), ZERO))] == ["a", "b"]


def test_the_drawing_shows_every_step_with_agent_time_and_reason() -> None:
    view = seen(
        approved(A, B, Step("c", "worker", "Do C"), Step("d", "worker", "Do D")),
        event("a", "completed", started=ZERO, ended=ZERO + 1.5, usage={"output_tokens": 42}),
        event("c", "failed", started=ZERO, ended=ZERO + 1, error="The disk is full"),
        event("d", "running"),
        retry("d"),
    )
    drawn = shown(view)
    for line in ("✓ a", "worker", "Do A", "1.5 s 42 tokens", "· b", "pending", "✗ c", "The disk is full", "↻ d"):
        assert line in drawn
    assert "attempt 1 failed: no answer (again in 3 s)" in drawn


def test_what_models_wrote_is_never_markup_or_control() -> None:
    evil = "[red]x[/red] [/bold] \x1b[2J\x9b31m"
    view = seen(approved(Step("a", "worker", evil)), update("assess"), text(evil))
    drawn = shown(view, width=120)
    assert drawn.count("[red]x[/red] [/bold]") == 2
    assert "\x1b" not in drawn
    assert "\x9b" not in drawn
    assert clean("a\tb\nc\x07\x1b") == "a\tb\nc"
    assert one_line("a\n b\x00") == "a b"


@pytest.mark.parametrize("height", [10, 24])
def test_the_drawing_is_never_higher_than_the_screen(height: int) -> None:
    many = [Step(f"s{number}", "worker", "Do it") for number in range(50)]
    view = seen(approved(*many), event("s40", "running"), update("assess"), text("line\n" * 100))
    drawn = shown(view, height=height)
    assert drawn.count("\n") <= height
    assert "s40" in drawn
    assert "more steps" in drawn


def test_the_last_picture_has_all_steps_and_no_heading() -> None:
    many = [Step(f"s{number}", "worker", "Do it") for number in range(50)]
    drawn = shown(seen(approved(*many)), ended=True)
    assert drawn.count("worker") == 50
    assert "planning" not in drawn


def told(*events: Event) -> list[str]:
    view = View.begin("planning", ZERO)
    lines: list[str] = []
    for one in events:
        before, view = view, view.apply(one, ZERO)
        lines += news(before, view)
    return lines


def test_plain_lines_tell_what_each_event_changed() -> None:
    assert told(
        approved(A, B),
        event("a", "running"),
        text("word", *IN_EXECUTE, "a:2c"),
        retry("a", error="too\nslow"),
        event("a", "completed", started=ZERO, ended=ZERO + 2, usage={"output_tokens": 3}),
        ((), "updates", {"a": new_record(A, "completed", result="A")}),
        event("b", "failed", error="Gone\x1b"),
    ) == [
        "plan: a (worker), b (worker after a)",
        "working",
        "a: running (worker)",
        "a: attempt 1 failed, trying again: too slow",
        "a: completed in 2.0 s 3 tokens",
        "b: failed: Gone",
    ]


def test_plain_lines_name_steps_inside_others() -> None:
    inside = event("x", "running", path="execute/a/execute/x")
    assert told(approved(A), event("a", "running"), inside)[-1] == "a/x: running (worker)"


async def follow(graph: Any) -> View:
    view = View.begin("planning", ZERO)
    async for one in graph.astream({"messages": "Do it"}, stream_mode=list(MODES), subgraphs=True):
        view = view.apply(one, ZERO)
    return view


def planner(*steps: Step, agents: list[Agent], answer: str) -> Planner:
    plan = {"steps": [{key: step.as_dict()[key] for key in ("id", "agent", "task", "dependencies")} for step in steps]}
    return Planner(agents, model=ScriptedModel({"You are the planner": plan, "You write the final": answer}))


async def _real_run() -> View:
    worker = Agent("worker", instructions="Work.", model=ScriptedModel(Reply("It is done"), repeat=True))
    inner = planner(Step("x", "worker", "X"), Step("y", "worker", "Y"), agents=[worker], answer="inner")
    outer = planner(
        Step("a", "worker", "A"),
        Step("b", "inside", "B", dependencies=["a"]),
        agents=[worker, inner.as_agent("inside")],
        answer="The final answer",
    )
    return await follow(outer.compile())


def test_a_real_run_of_nested_planners_is_followed_to_its_end() -> None:
    view = asyncio.run(_real_run())
    assert set(statuses(view).values()) == {"completed"}
    assert view.finished() == {"a": "It is done", "b": "inner"}
    assert len(view.works) == 4
    assert view.answer == "The final answer"
    assert view.works["execute", "a"].written > 0
    assert view.state["status"] == "completed"
