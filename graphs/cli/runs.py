"""The commands about stored runs: `runs` and `show` read them, `resume` goes on with one, `fork` starts one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.errors import ConfigurationError
from agents.runtime import visible
from graphs import storage as stored
from graphs.cli.outcome import open_questions, print_json, print_questions
from graphs.cli.questions import Question, ask, can_ask, read_answers
from graphs.cli.recipe import METADATA, Choices, Flag, Recipe
from graphs.cli.report import AsHtml, as_result, write
from graphs.cli.run import COMPLETED, NEEDS_INPUT, resumption
from graphs.cli.start import Shown, begin, new_id, opened, say
from graphs.engine import ThreadLock
from graphs.show import RunSummary, one_line, print_timeline
from graphs.storage import ForkPoint, State, Storage

AsJson = Annotated[bool, Parameter("--json", help="Print JSON."), Flag]
Quiet = Annotated[bool, Parameter(help="Print nothing but the answer."), Flag]
Name = Annotated[str, Parameter(help="Its id, as `podium runs` lists it, or the name of a conversation.")]


_UNCUT = 1_000_000
"""Columns of what is no terminal."""


def add_to(app: App) -> None:
    """Add the commands."""
    for command in (runs, show, resume, fork):
        app.command(command)


def runs(*, as_json: AsJson = False, most: Annotated[int, Parameter(help="How many of the latest runs.")] = 50) -> int:
    """List the stored runs, newest first."""
    console = Console(highlight=False)
    with opened(only_if_there=True) as storage:
        found = stored.runs(storage, most=most)
    if as_json:
        print_json(found, console)
        return COMPLETED
    list_runs(found, console)
    return COMPLETED


def list_runs(found: Sequence[stored.Run], console: Console) -> None:
    """Print runs, one to a line; in a terminal the requests are cut to its width, elsewhere nothing is."""
    if not console.is_terminal:
        console.width = _UNCUT
    table = Table("run", "when", "pattern", "status", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    # The one flexible column: without it all of them would be narrowed in proportion.
    table.add_column("request", ratio=1, no_wrap=True, overflow="ellipsis")
    table.expand = console.is_terminal
    for one in found:
        cells = (one["thread_id"], _when(one["started"]), one["pattern"], one["status"], one["request"])
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    console.print(table)


def show(run: Name, /, *, as_json: AsJson = False, as_html: AsHtml = None) -> int:
    """Show what is stored of a run: its plan, steps, reviews, route, handoffs, errors, cost and answer."""
    console = Console(highlight=False)
    with opened(only_if_there=True) as storage:
        state = stored.state(storage, run)
        plan = [one.step for one in stored.fork_points(storage, run) if one.kind == "step"]
    if as_json:
        print_json(state, console)
        return COMPLETED
    state["values"] = {**state["values"], "plan": state["values"].get("plan") or plan}
    if as_html is not None:
        write(state, as_html)
        return COMPLETED
    for line in _head(state):
        console.print(Text(visible(line)), soft_wrap=True)
    _show_record(state, console)
    if state["ended"]:
        console.print(Text(f"\n{visible(state['values']['messages'][-1].text)}"), soft_wrap=True)
    print_questions(open_questions(_asking(state)), run, console)
    if state["status"] == "stopped":
        console.print(f"\nContinue it with: podium resume {run}", soft_wrap=True)
    return COMPLETED


def resume(
    run: Name,
    /,
    *,
    answer: Annotated[
        tuple[str, ...],
        Parameter(
            help="What to answer to its question: approve, accept, abort, reject:why, retry:feedback, edit:@file, JSON"
            " or a text; ID=… where several are open.",
            negative="",
            show_default=False,
            allow_leading_hyphen=True,
        ),
    ] = (),
    choices: Choices = Choices(),  # noqa: B008 - frozen
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a run that was killed or interrupted, or that waits for a person."""
    with opened(only_if_there=True) as storage, storage.lock_thread(run, "refuse") as lock:
        state = stored.state(storage, run)
        return _resume(storage, lock, state, answer, choices, Shown(as_json, quiet))


def _resume(
    storage: Storage, lock: ThreadLock, state: State, answers: Sequence[str], choices: Choices, shown: Shown
) -> int:
    run = state["thread_id"]
    if state["status"] not in ("running", "stopped", "needs_input"):
        raise ConfigurationError(
            f"The run {run} has ended ({state['status']}); `podium show {run}` shows it,"
            f" `podium fork {run}` lists from where it can start again"
        )
    recipe = Recipe.of(run, state["metadata"]).with_choices(choices)
    questions = open_questions(_asking(state))
    if answers and not questions:
        raise ConfigurationError(f"The run {run} waits for no answer; leave --answer out to go on with it")
    given = resumption(read_answers(questions, answers)) if answers else None
    if given is None and state["ended"]:  # it ended with a question; without an answer there is nothing to do
        given = _asked_again(run, questions)
        if given is None:
            return NEEDS_INPUT
    return begin(recipe, given, shown, runs=storage, lock=lock, name=run, before=state)


def _asked_again(run: str, questions: Sequence[Question]) -> Any:
    """Put the question that a run has ended with once more; return None if nobody answers."""
    console = Console(stderr=True, highlight=False)
    if can_ask() and (answers := ask(questions, console)) is not None:
        return resumption(answers)
    console.print(Text(visible(str(questions[0].value))), soft_wrap=True)
    print_questions(questions, run, console)
    return None


def fork(
    run: Name,
    /,
    *,
    at: Annotated[str | None, Parameter(help="The step or node that runs again; without it they are listed.")] = None,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Start a copy of a run again from a point; what was finished before it keeps its results."""
    with opened(only_if_there=True) as storage:
        state = stored.state(storage, run)
        found = stored.fork_points(storage, run)
        if at is None:
            _list_points(run, found, Console(highlight=False))
            return COMPLETED
        point = stored.find_point(found, at)
        recipe = Recipe.of(run, state["metadata"]).with_choices(choices)
        recipe = replace(recipe, origin=f"copy of {run} from {at} on")
        recipe.check()  # nothing is copied for a team that cannot be used
        name = new_id(storage)
        stored.copy_run(storage, point, name, recipe.metadata())
        if not quiet:
            say(f"copied {run} to {name}, from {at} on; kept: {', '.join(point.kept) or 'what came before'}")
        with storage.lock_thread(name, "refuse") as lock:
            before = stored.state(storage, name)
            return begin(recipe, None, Shown(as_json, quiet), runs=storage, lock=lock, name=name, before=before)


def _list_points(run: str, found: Sequence[ForkPoint], console: Console) -> None:
    table = Table("at", "what", "what runs again", box=None, pad_edge=False, header_style="bold")
    for one in found:
        again = "it and all that came after it"
        if one.kind == "step":
            again = ", ".join(dict.fromkeys([one.name, *one.rerun])) + ", and the answer"
        table.add_row(Text(one.name), one.kind, Text(again))
    console.print(table)
    console.print(f"\nStart a copy of the run again with: podium fork {run} --at …", soft_wrap=True)


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}" if moment else ""


def _asking(state: State) -> dict[str, Any]:
    """Return a stored run as its graph's result would be."""
    return {**state["values"], "questions": state["questions"], "status": state["status"]}


def _head(state: State) -> list[str]:
    told = {
        "run": state["thread_id"],
        "origin": Recipe.of(state["thread_id"], state["metadata"]).origin if METADATA in state["metadata"] else "",
        "when": _when(state["started"]) + (f" to {_when(state['ended'])}" if state["ended"] else ""),
        "pattern": state["pattern"],
        "status": state["status"],
        "reason": one_line(state["values"].get("stop_reason") or ""),
        "request": state["request"],
    }
    return [f"{name:8} {text}" for name, text in told.items() if text]


def _show_record(state: State, console: Console) -> None:
    """Show what the graph has recorded, and its timeline."""
    values = state["values"]
    for title, lines in _sections(values):
        console.print(Text(f"\n{title}", "bold"))
        for line in lines:
            console.print(Text(f"  {one_line(line)}"), soft_wrap=True)
    print_timeline(RunSummary.of(as_result(state)), console)


def _sections(values: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the parts of a record that it has, each as lines."""
    triage, route = values.get("triage") or {}, values.get("route") or {}
    small = f"to {triage.get('agent')}" if triage.get("small") else "to a plan"
    plan = [
        f"{one['id']} ({one['agent']}): {one['task']}"
        + (f" [after {', '.join(one['dependencies'])}]" if one["dependencies"] else "")
        for one in values.get("plan") or ()
    ]
    reviews = [
        f"{one['revision']}: {'accepted' if one['acceptable'] else 'sent back: ' + one['feedback']} ({one['by']})"
        for one in values.get("reviews") or ()
    ]
    parts = {
        "Triage": [f"{small}: {triage.get('reason', '')}"] if triage else [],
        "Route": [f"to {', '.join(route.get('chosen', ())) or 'nobody'}: {route.get('reason', '')}"] if route else [],
        "Plan": plan,
        "Results": [f"{one['id']}: {one['result']}" for one in (values.get("steps") or {}).values() if one["result"]],
        "Abandoned": [f"{one['id']}: {one['error']}" for one in values.get("abandoned") or ()],
        "Reviews": reviews,
        "Handoffs": [f"{one['by']} to {one['to']}: {one['reason']}" for one in values.get("handoffs") or ()],
        "Errors": [f"{one['where']}: {one['message']}" for one in values.get("errors") or ()],
    }
    return [(title, lines) for title, lines in parts.items() if lines]
