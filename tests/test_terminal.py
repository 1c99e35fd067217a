"""A run in the terminal: its picture at every size, its lines, and the timeline to scale."""

import re
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from rich.console import Console

from agents import Agent
from graphs import Step, Workflow
from graphs.engine import new_record
from graphs.show import watch
from graphs.show.live_state import Change, LiveState, LiveTask
from graphs.show.run_summary import RunSummary, Work
from graphs.show.terminal import drawn_live, news, print_timeline, timeline_lines
from tests.finished import finished, timed

ZERO = 1e9


def step(name: str, status: str = "completed", *, task: str = "Do it", **known: Any) -> LiveTask:
    record = new_record(Step(name, "worker", task), status, **known)  # type: ignore[arg-type]
    note = record["error"] or ""
    return LiveTask(name, "", 0, "worker", status, record["started"], record["ended"], note, record=record)


def live(*tasks: LiveTask, answer: str = "") -> LiveState:
    state = LiveState(ZERO)
    state.tasks = {f"{number}": task for number, task in enumerate(tasks)}
    state.answer = answer
    return state


def shown(state: LiveState, *, now: float = 2, width: int = 80, height: int = 24, ended: bool = False) -> str:
    console = Console(file=StringIO(), width=width, height=height, force_terminal=False)
    console.print(drawn_live(state, ZERO + now, console, ended=ended))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


TASKS = (
    step("a", started=ZERO, ended=ZERO + 1.5, usage={"calls": 1, "input_tokens": 9, "output_tokens": 42, "agents": {}}),
    step("b", "pending"),
    step("c", "failed", started=ZERO, ended=ZERO + 1, error="The disk is full"),
    LiveTask("d", "", 0, "worker", "running", ZERO, None, "no answer", failures=1, retry_at=ZERO + 5),
)


@pytest.mark.parametrize("width", [40, 80])
def test_the_picture_shows_every_task_with_time_and_reason(width: int) -> None:
    drawn = shown(live(*TASKS), width=width)
    for words in ("✓ a", "1.5 s", "· b", "pending", "✗ c", "The disk is full", "↻ d", "attempt 1 failed: no answer"):
        assert words in drawn
    assert ("42 tokens" in drawn, "worker" in drawn, "Do it" in drawn) == (width == 80,) * 3
    assert max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("height", [10, 24])
def test_the_picture_is_never_higher_than_the_screen(height: int) -> None:
    tasks = [step(f"s{number}", "running" if number == 40 else "pending") for number in range(50)]
    drawn = shown(live(*tasks, answer="line\n" * 100), height=height)
    assert drawn.count("\n") <= height
    assert "s40" in drawn
    assert "more" in drawn
    assert shown(live(*tasks), ended=True).count("worker") == 50


def test_texts_of_models_are_never_markup_or_control() -> None:
    evil = "[red]x[/red] \x1b[2J\x9b31m\u202e"
    drawn = shown(live(step("a", "pending", task=evil), answer=evil), width=120)
    assert drawn.count("[red]x[/red]") == 2
    assert not re.search("[\x1b\x9b\u202e]", drawn)


def test_lines_tell_what_has_changed() -> None:
    state = live()
    pending, running = step("a", "pending"), step("a", "running")
    failing = LiveTask("a", "", 0, "worker", "running", note="too\nslow", failures=1, record=running.record)
    done = step("a", started=ZERO, ended=ZERO + 2, result="long text")
    reviewed = LiveTask("review", "", 0, "judge", "sent back", ZERO, ZERO + 1, "Too short")
    quick = LiveTask("check", "", 0, "", "completed", ZERO, ZERO)
    steps = [(None, pending), (pending, running), (running, running), (running, failing), (failing, done)]
    changes = [*steps, (None, reviewed), (None, quick), (None, step("b", "failed", error="Gone\x1b"))]
    assert [line for before, after in changes for line in news(state, Change(before, after))] == [
        "a: running (worker)",
        "a: attempt 1 failed, trying again: too slow",
        "a: completed in 2.0 s",
        "review: sent back in 1.0 s: Too short",
        "b: failed: Gone\\x1b",
    ]


@pytest.mark.parametrize(
    ("started", "ended", "drawn"),
    [
        (0, 10, "██████████"),
        (5, 10, "     █████"),
        (2, 4, "  ██      "),
        (9.99, 10, "         █"),
        (-5, 20, "██████████"),
    ],
)
def test_a_bar_is_to_scale_and_never_empty(started: float, ended: float, drawn: str) -> None:
    summary = RunSummary.of({})
    work = Work("a", "w", started=started, ended=ended, critical=True)
    line = timeline_lines(RunSummary(**{**vars(summary), "work": (work,)}), 0, 10, 33)
    assert any(drawn in item for item in line)


def test_statuses_agents_and_the_critical_path_are_in_the_timeline() -> None:
    worked = [
        {"node": node, "agent": agent, "started": ZERO + start, "ended": ZERO + end}
        for node, agent, start, end in [("plan", "planner", 0, 2), ("approve", "", 6, 6)]
    ]
    result = timed(("a", 6, 8, []), ("beside", 6, 7, [])) | {"worked": worked}
    result["steps"]["never"] = new_record(Step("never", "worker", "x"), "skipped")
    result["steps"]["beside"] |= {"status": "failed", "answered_by": "deputy"}
    summary = RunSummary.of(result)
    drawn = timeline_lines(summary, summary.began, summary.ended, 80)
    assert max(map(len, drawn)) <= 80
    assert [re.sub(r"([ █▒·])\1+", r"\1", line) for line in drawn] == [
        "plan planner █ 2.0 s",
        "a worker █ 2.0 s",
        "beside deputy ▒ 1.0 s failed",
        "never worker skipped",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_timeline_of_a_run_fits_the_terminal_also_without_unicode(width: int) -> None:
    for encoding in ("utf-8", "ascii"):
        stream = TextIOWrapper(BytesIO(), encoding=encoding)
        console = Console(file=stream, width=width, force_terminal=False)
        print_timeline(RunSummary.of(finished("supervisor")), console)
        stream.seek(0)
        printed = stream.read()
        assert max(map(len, printed.splitlines())) <= width
        assert printed.isascii() == (encoding == "ascii")
        assert re.search(r"review 2 +", printed)


def test_the_cost_is_told_by_agent_and_in_all() -> None:
    counts = {"calls": 1, "input_tokens": 1200, "output_tokens": 30}
    usage = {"agents": {"writer": counts, "critic": counts, "critic/inside": {**counts, "cost": 0.5}}}
    stream = StringIO()
    print_timeline(RunSummary.of({"usage": usage}), Console(file=stream, width=80))
    assert [" ".join(line.split()) for line in stream.getvalue().splitlines()[3:]] == [
        "agent calls read written seconds",
        "critic 2 2,400 60",
        "writer 1 1,200 30",
        "in all 3 3,600 90",
        "Tokens read and written; cost in all: 0.5",
    ]


def test_ipython_in_a_terminal_is_not_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    shell = TerminalInteractiveShell.instance(simple_prompt=True)
    try:
        shell.history_manager.enabled = False
        watch(Workflow([Step("one", "shout", "hi")], agents=[Agent("shout", function=str.upper)]).compile(), "Go")
    finally:
        TerminalInteractiveShell.clear_instance()
    done = capsys.readouterr()
    assert (done.out, done.err.count("one: running (shout)")) == ("", 1)
