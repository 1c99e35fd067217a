"""A run for a person: stream -> live state -> screen -> (ask, go on), then answer, verdict, questions, timeline, cost.

Progress goes to stderr and the answer to stdout, each with colours and movement only where that is a terminal.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.types import Command
from rich.console import Console

from agents.errors import StorageError
from agents.runtime import explain
from agents.usage import no_usage, sum_usage
from graphs.cli.exit_codes import FAILED, OF_STATUS, TRACEBACK
from graphs.cli.options import Shown
from graphs.cli.output import print_answer, print_json, say, stderr, stdout
from graphs.cli.questions import ShownQuestion, ask_on_terminal, can_ask
from graphs.cli.signals import interrupted, note_signal, signals_to
from graphs.engine import StepRecord, record_of
from graphs.show import LiveState, RunSummary, follow, one_line, print_timeline, screen
from graphs.storage import State

_MAX_ERRORS = 10
_FACTS = ("thread_id", "pattern", "request", "started", "ended")
"""Columns of a list of runs, beside the status."""
_EMPTY: Mapping[str, Any] = {"stop_reason": None, "errors": [], "messages": [], "usage": no_usage(), "steps": {}}
_INTERNAL = ("assignment", "code", "since_request")
"""Keys of a state that only the graph itself reads."""
_WITHOUT_STATE = "The graph ended without a state; `podium show` shows what is stored of the run"


def run(
    graph: Any,
    value: Any,
    *,
    config: Mapping[str, Any] | None = None,
    context: object = None,
    stored_as: str | None = None,
    finished: Mapping[str, StepRecord] | None = None,
    shown: Shown = Shown(),  # noqa: B008 - frozen
    stored: Callable[[], State] | None = None,
) -> int:
    """Run any compiled graph and return the exit code; at a terminal a person is asked what the run asks.

    The value is a request, an input, None to go on where the run stopped, or a `Command` with answers; `stored_as` the
    run's id, None if it is not stored; `finished` the steps that an earlier process has finished.
    """
    live, drafts = LiveState(time.time(), finished), dict[str, str]()
    value = {"messages": value} if isinstance(value, str) else value
    while True:
        fault = _fault(partial(follow, graph, value, config, context), live, shown)
        state = final_state(live, fault, time.time())
        questions = open_questions(state) if fault is None and graph.checkpointer and can_ask() else ()
        answers = ask_on_terminal(questions, stderr(), drafts) if questions else None
        if answers is None:
            break
        value = resumption(answers)
    print_outcome(state, run=stored_as, shown=shown, stored=stored)
    if fault and os.environ.get(TRACEBACK):
        say(stderr(), "".join(traceback.format_exception(fault)))
    if fault and stored_as and not isinstance(fault, StorageError):
        say(stderr(), f"`podium resume {stored_as}` continues it; what was finished is kept.")
    if not shown.quiet:
        now, steps = time.time(), {**live.records(), **as_record(state)["steps"]}
        print_timeline(RunSummary.of({**state, "steps": steps}, now), stderr(), began=live.began, until=now)
    return FAILED if isinstance(fault, StorageError) else OF_STATUS.get(state["status"], FAILED)


def _fault(follow: Callable[..., None], live: LiveState, shown: Shown) -> BaseException | None:
    """Show how a run goes; return what ended it, if it did not end by itself."""
    with signals_to(note_signal), redirect_stdout(sys.stderr), screen(live, stderr(), quiet=shown.quiet) as show:
        try:  # agents may print from here on
            follow(state=live, show=show, stop=interrupted.is_set)
        except (Exception, KeyboardInterrupt) as error:
            return error
    return None


def resumption(answers: Mapping[str, object]) -> Any:
    """Return the input with which a run goes on after answers, by the ids of their questions."""
    return {"messages": answers[""]} if "" in answers else Command(resume=dict(answers))


def final_state(live: LiveState, fault: BaseException | None, now: float) -> dict[str, Any]:
    """Return the state a run ended with; of one that was cut short the part that was finished, in the same form."""
    record = {**_EMPTY, **record_of(live.values)}
    state: dict[str, Any] = {**_EMPTY, **live.values, "questions": []}
    questions = [ShownQuestion(item.id, item.value) for item in state.pop("__interrupt__", ())]
    if fault is None and not live.values:
        return {**state, "status": "failed", "stop_reason": _WITHOUT_STATE}
    if fault is None and questions:
        reason = "; ".join(question.headline() for question in questions)
        return {**state, "status": "needs_input", "stop_reason": reason, "questions": [*map(vars, questions)]}
    if fault is None:
        return {**state, "status": record.get("status", "completed")}
    records = live.records()
    finished = {name: record["result"] or "" for name, record in records.items() if record["status"] == "completed"}
    counted = record["steps"]
    done = f"{len(finished)} of {len(records)} steps were finished" if records else "no step had begun"
    ending = "Interrupted" if isinstance(fault, KeyboardInterrupt) else f"Broken off ({explain(fault)})"
    uncounted = [record["usage"] for name, record in records.items() if name not in counted]
    results = "\n\n".join(f"## {name}\n\n{result}" for name, result in finished.items())
    return {
        **state,
        "status": "partial" if finished else "failed",
        "stop_reason": f"{ending} after {now - live.began:.0f} s; {done}.",
        "steps": {**counted, **records},
        "usage": sum_usage([record["usage"], *uncounted]),
        "messages": [*record["messages"], *([AIMessage(results)] if results else [])],
    }


def finished_steps(state: State) -> dict[str, StepRecord]:
    """Return the records of steps that have ended; an item of a `for_each` step has no times."""
    return {record["id"]: record for record in state["finished"] if record.get("ended")}


def as_result(state: State) -> dict[str, Any]:
    """Return a stored run in the form of its graph's result, as far as it has come."""
    values = state["values"]
    steps = {**record_of(values).get("steps", {}), **finished_steps(state)}
    facts = {"questions": state["questions"], "status": state["status"]}
    return {**values, **facts, "steps": steps or values.get("steps") or {}}


def as_record(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with a record's keys in a record's form, whatever its graph may call so."""
    return {**_EMPTY, **record_of(result), "status": result["status"], "questions": result["questions"]}


def run_json(result: Mapping[str, object], stored: State | None) -> Mapping[str, object]:
    """Return a run as `--json` prints it everywhere: what a list says of it, then its graph's result."""
    run: Mapping[str, object] = stored or {}
    facts = {"run": run.get("thread_id"), **{fact: run.get(fact) for fact in _FACTS}}
    return facts | {key: value for key, value in result.items() if key not in _INTERNAL}


def open_questions(state: Mapping[str, Any]) -> list[ShownQuestion]:
    """Return the questions that a run waits for: its interrupts, or the question that it ended with."""
    record = as_record(state)
    questions = [ShownQuestion(item["id"], item["value"]) for item in record["questions"]]
    if not questions and record["status"] == "needs_input" and (answer := _answer(record)) is not None:
        return [ShownQuestion("", answer)]
    return questions


def _answer(record: Mapping[str, Any]) -> str | None:
    """Return the text of the last message, if it is one of the graph's."""
    last = next(reversed(record["messages"]), None)
    return last.text if isinstance(last, AIMessage) else None


def print_outcome(
    result: Mapping[str, Any], *, run: str | None, shown: Shown, stored: Callable[[], State] | None = None
) -> None:
    """Print how a run ended: the answer on stdout, everything else on stderr."""
    record = as_record(result)
    if shown.as_json:
        print_json(stdout(), run_json(result, stored() if stored else None))
    elif record["status"] != "failed" and not record["questions"] and (answer := _answer(record)) is not None:
        print_answer(stdout(), answer)  # while a person is asked, the last message is a draft
    _print_verdict(record, stderr())
    print_questions(open_questions(result), run, stderr())


def _print_verdict(state: Mapping[str, Any], console: Console) -> None:
    """Say how a run ended, unless it was completed, and what went wrong."""
    if state["status"] == "completed":
        return
    reason = one_line(state["stop_reason"] or "without a reason")
    style = "red" if state["status"] == "failed" else "yellow"
    say(console, f"\n{state['status'].replace('_', ' ').capitalize()}: {reason}", style, wrap=True)
    errors = [error for error in state["errors"] if not error.get("recovered") and error["message"] not in reason]
    for error in errors[:_MAX_ERRORS]:
        say(console, f"- {error['where']}: {one_line(error['message'])}", "dim", wrap=True)
    if len(errors) > _MAX_ERRORS:
        say(console, f"- and {len(errors) - _MAX_ERRORS} more", "dim")


def print_questions(
    questions: Sequence[ShownQuestion], run: str | None, console: Console, *, answer_shown: bool = True
) -> None:
    """Print open questions, and the command that answers them, if the run has an id by which it is stored.

    A question without id is the answer with which the run ended, which may have been printed already.
    """
    several = len(questions) > 1
    for question in questions:
        if question.id:
            say(console, f"\nQuestion{f' {question.short_id}' if several else ''}:", "bold yellow")
            for item in question.items():
                say(console, item.text)
            say(console, question.hint().capitalize(), "dim")
        elif not answer_shown:
            say(console, str(question.value))
    if questions and run is None:
        say(console, "The run was not stored, so it cannot be answered.")
    elif questions:
        answers = [f"--answer {item.short_id}=…" if several else "--answer …" for item in questions]
        say(console, f"Answer with: podium resume {run} {' '.join(answers)}")
