"""Run a compiled graph for a person: stream -> live state -> screen -> (ask, go on), then answer and exit code.

Progress goes to stderr and the answer to stdout, each with colours and movement only where that is a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.types import Command

from agents.errors import StorageError
from graphs.cli.exit_codes import FAILED, OF_STATUS
from graphs.cli.options import Shown
from graphs.cli.outcome import final_state, open_questions, print_outcome
from graphs.cli.output import stderr
from graphs.cli.questions import ask_on_terminal, can_ask
from graphs.cli.signals import interrupted, noting_signals
from graphs.engine import StepRecord
from graphs.show import BackgroundRun, LiveState, screen
from graphs.storage import State


@dataclass(frozen=True)
class Job:
    """A graph to run, its input, and how to show it."""

    graph: Any
    value: Any
    """The input; None to go on where the run stopped; a `Command` with answers."""
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Any = None
    run: str | None = None
    """The id under which the run is stored; None if it is not."""
    finished: Mapping[str, StepRecord] = field(default_factory=dict)
    """Steps that an earlier process has finished."""
    shown: Shown = field(default_factory=Shown)
    stored: Callable[[], State] | None = None
    """Reads the run as it is stored."""


def run(graph: Any, request: str, *, as_json: bool = False, quiet: bool = False, **options: Any) -> int:
    """Run any compiled graph on a request, show how it goes and what comes out, and return the exit code."""
    return work(Job(graph, {"messages": request}, shown=Shown(as_json, quiet), **options))


def work(job: Job) -> int:
    """Do a job and return the exit code; at a terminal a person is asked what the run asks."""
    live = LiveState(time.time(), job.finished)
    drafts: dict[str, str] = {}
    while True:
        background, fault = _watched(job, live)
        state = final_state(live, fault, time.time())
        answers = None if fault else _answers(job, state, drafts)
        if answers is None:
            break
        job = replace(job, value=resumption(answers))
    print_outcome(state, live, fault, run=job.run, shown=job.shown, stored=job.stored)
    background.close()
    return FAILED if isinstance(fault, StorageError) else OF_STATUS.get(state["status"], FAILED)


def _watched(job: Job, live: LiveState) -> tuple[BackgroundRun, BaseException | None]:
    """Run the graph and show how it goes; return what ended it, if it did not end by itself."""
    with noting_signals(), redirect_stdout(sys.stderr), screen(live, stderr(), quiet=job.shown.quiet) as show:
        background = BackgroundRun(job.graph, job.value, job.config, job.context)  # agents may print from here on
        try:
            background.follow(live, show, stop=interrupted.is_set)
        except (Exception, KeyboardInterrupt) as error:
            return background, error
    return background, None


def _answers(job: Job, state: Mapping[str, object], drafts: dict[str, str]) -> Mapping[str, object] | None:
    """Ask a person what the run asks; return None without a question or an answer."""
    questions = open_questions(state)
    return ask_on_terminal(questions, stderr(), drafts) if questions and job.graph.checkpointer and can_ask() else None


def resumption(answers: Mapping[str, object]) -> Any:
    """Return the input with which a run goes on after answers, by the ids of their questions."""
    return {"messages": answers[""]} if "" in answers else Command(resume=dict(answers))
