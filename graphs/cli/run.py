"""Run a compiled graph for a person: stream -> live state -> screen -> (ask, go on), then answer and exit code.

Progress goes to stderr and the answer to stdout, each with colours and movement only where that is a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.types import Command
from rich.console import Console
from rich.text import Text

from agents.errors import StorageError
from graphs.cli.background import interrupted, noting_signals
from graphs.cli.outcome import (
    final_state,
    open_questions,
    print_answer,
    print_json,
    print_questions,
    print_verdict,
    show_timeline,
)
from graphs.cli.questions import ask, can_ask
from graphs.engine import StepRecord
from graphs.show import BackgroundRun, LiveState, screen

COMPLETED, FAILED, BAD_USAGE, PARTIAL, NEEDS_INPUT = range(5)
"""Exit codes. An interrupted run is partial if a step was finished, else failed; 130 is left to shells."""

_CODES = {
    "completed": COMPLETED,
    "failed": FAILED,
    "partial": PARTIAL,
    "escalated": PARTIAL,
    "needs_input": NEEDS_INPUT,
}


@dataclass(frozen=True)
class Job:
    """A graph to run, on what, and how to show it."""

    graph: Any
    given: Any
    """A request; None to go on where the run stopped; a `Command` with answers."""
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Any = None
    name: str | None = None
    """Under which the run is stored; None if it is not."""
    known: Mapping[str, StepRecord] = field(default_factory=dict)
    """Steps that an earlier process has finished."""
    as_json: bool = False
    """Print the final state as one JSON object instead of the answer."""
    quiet: bool = False
    """Print nothing but the answer, and what is wrong."""


def run(graph: Any, request: str, **options: Any) -> int:
    """Run any compiled graph on a request, show how it goes and what comes out, and return the exit code."""
    return work(Job(graph, {"messages": request}, **options))


def work(job: Job) -> int:
    """Do a job and return the exit code; in a terminal a person is asked what the run asks."""
    out, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    live = LiveState(time.time(), job.known)
    while True:
        background, fault = _watched(job, live, progress)
        state = final_state(live, fault, time.time())
        answered = None if fault else _answered(job, state, progress)
        if answered is None:
            break
        job = replace(job, given=answered)
    _show(job, live, state, fault, out, progress)
    background.close()
    return FAILED if isinstance(fault, StorageError) else _CODES.get(state["status"], FAILED)


def _watched(job: Job, live: LiveState, progress: Console) -> tuple[BackgroundRun, BaseException | None]:
    """Run the graph and show how it goes; return what ended it, if it did not end by itself."""
    background = BackgroundRun(job.graph, job.given, job.config, job.context)
    with noting_signals(), redirect_stdout(sys.stderr), screen(live, progress, quiet=job.quiet) as show:
        try:
            background.follow(live, show, stop=interrupted.is_set)
        except (Exception, KeyboardInterrupt) as error:
            return background, error
    return background, None


def _answered(job: Job, state: Mapping[str, Any], progress: Console) -> Any:
    """Ask a person what the run asks; return what it goes on with, None if it asks nothing or nobody answers."""
    questions = open_questions(state)
    if not questions or not job.graph.checkpointer or not can_ask():
        return None
    answers = ask(questions, progress)
    return None if answers is None else resumption(answers)


def resumption(answers: Mapping[str, Any]) -> Any:
    """Return what a run goes on with after answers, by the ids of their questions."""
    return {"messages": answers[""]} if "" in answers else Command(resume=dict(answers))


def _show(
    job: Job, live: LiveState, state: dict[str, Any], fault: BaseException | None, out: Console, progress: Console
) -> None:
    """Print what the run has come to."""
    if job.as_json:
        print_json({**({"run": job.name} if job.name else {}), **state}, out)
    else:
        print_answer(state, out)
    print_verdict(state, progress)
    print_questions(open_questions(state) if fault is None else (), job.name, progress)
    if fault and job.name and not isinstance(fault, StorageError):
        progress.print(Text(f"`podium resume {job.name}` continues it; what was finished is kept."), soft_wrap=True)
    if not job.quiet:
        show_timeline(live, state, time.time(), progress)
