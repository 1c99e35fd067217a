"""Run a compiled graph for a person: stream -> live state -> screen -> (ask, go on), then answer and exit code.

Progress goes to stderr and the answer to stdout, each with colours and movement only where that is a terminal.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from langgraph.types import Command

from agents.errors import StorageError
from graphs.cli.exit_codes import FAILED, OF_STATUS, TRACEBACK
from graphs.cli.options import Shown
from graphs.cli.outcome import as_record, final_state, open_questions, print_outcome
from graphs.cli.output import say, stderr
from graphs.cli.questions import ask_on_terminal, can_ask
from graphs.cli.signals import interrupted, note_signal, signals_to
from graphs.engine import StepRecord
from graphs.show import LiveState, RunSummary, follow, print_timeline, screen
from graphs.storage import State


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
