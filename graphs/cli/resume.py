"""Going on with a stored run: from where it stopped, with answers to its questions, or from an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from agents.errors import ConfigurationError
from graphs import storage as stored
from graphs.cli.exit_codes import COMPLETED, NEEDS_INPUT
from graphs.cli.options import Choices, RunArgument, Shown
from graphs.cli.outcome import as_result, open_questions, print_questions
from graphs.cli.output import print_table, say, stderr, stdout
from graphs.cli.questions import ask_on_terminal, can_ask, read_answers
from graphs.cli.queued import ACTIVE, is_queued, put_again, state_of
from graphs.cli.run import resumption
from graphs.cli.run_spec import RunSpec
from graphs.cli.start import begin, new_id, opened_storage
from graphs.storage import ForkPoint, State

_UNANSWERED = object()
"""The question of a run was asked again, and not answered."""

Answers = Annotated[
    tuple[str, ...],
    Parameter(
        help="Answer to its question: approve, reject:why, edit:@file, respond:text, JSON or a text; ID=… where several"
        " are open.",
        negative="",
        show_default=False,
        allow_leading_hyphen=True,
    ),
]


def resume_command(
    run: RunArgument,
    /,
    *,
    answer: Answers = (),
    choices: Choices = Choices(),  # noqa: B008 - frozen
    shown: Shown = Shown(),  # noqa: B008 - frozen
) -> int:
    """Go on with a run that was killed or interrupted, or that waits for a person."""
    with opened_storage(only_if_there=True) as storage:
        state = state_of(storage, run)
        if is_queued(state):
            _check_open(state)
            if (value := _input(state, answer, must_answer=True)) is _UNANSWERED:
                return NEEDS_INPUT
            put_again(run, state["pattern"], value)
            return COMPLETED
        with storage.lock_thread(run, "refuse") as lock:
            state = stored.state(storage, run)
            _check_open(state)
            spec = RunSpec.of(run, state["metadata"], choices)
            # A run that has ended with a question has nothing to do without an answer; others ask again.
            if (value := _input(state, answer, must_answer=state["ended"] is not None)) is _UNANSWERED:
                return NEEDS_INPUT
            return begin(spec, value, shown, storage=storage, lock=lock, run=run, before=state)


def _check_open(state: State) -> None:
    run, status = state["thread_id"], state["status"]
    if status in ACTIVE and is_queued(state):
        raise ConfigurationError(f"The run {run} is {status} already; `podium watch {run}` follows it")
    if state["ended"] and status != "needs_input":
        raise ConfigurationError(
            f"The run {run} has ended ({status}); `podium show {run}` shows it,"
            f" `podium fork {run}` lists from where it can start again"
        )


def _input(state: State, written: Sequence[str], *, must_answer: bool) -> object:
    """Return the input with which a run goes on: the answers to its questions, None without any."""
    run, questions = state["thread_id"], open_questions(as_result(state))
    if written and not questions:
        raise ConfigurationError(f"The run {run} waits for no answer; leave --answer out to go on with it")
    if written:
        return resumption(read_answers(questions, written))
    if not questions or not must_answer:
        return None
    if can_ask() and (answers := ask_on_terminal(questions, stderr(), {})) is not None:
        return resumption(answers)
    print_questions(questions, run, stderr(), answer_shown=False)
    return _UNANSWERED


def fork_command(
    run: RunArgument,
    /,
    *,
    at: Annotated[str | None, Parameter(help="The step or node that runs again; without it they are listed.")] = None,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    shown: Shown = Shown(),  # noqa: B008 - frozen
) -> int:
    """Start a copy of a run again from a point; what was finished before it keeps its results."""
    with opened_storage(only_if_there=True) as storage:
        state = stored.state(storage, run)
        points = stored.fork_points(storage, run)
        if at is None:
            print_table(
                stdout(), ("at", "kind", "runs again"), [(point.name, point.kind, _rerun(point)) for point in points]
            )
            say(stdout(), f"\nStart a copy of the run again with: podium fork {run} --at …")
            return COMPLETED
        point = stored.find_point(points, at)
        spec = replace(RunSpec.of(run, state["metadata"], choices), origin=f"copy of {run} from {at} on")
        spec.check()  # nothing is copied for a team that cannot be used
        name = new_id(storage)
        stored.copy_run(storage, point, name, spec.metadata())
        if not shown.quiet:
            kept = ", ".join(point.kept) or "everything before it"
            say(stderr(), f"copied {run} to {name}, from {at} on; kept: {kept}", "dim")
        with storage.lock_thread(name, "refuse") as lock:
            before = stored.state(storage, name)
            return begin(spec, None, shown, storage=storage, lock=lock, run=name, before=before)


def _rerun(point: ForkPoint) -> str:
    if point.kind == "node":
        return "it and everything after it"
    return ", ".join(dict.fromkeys([point.name, *point.rerun])) + ", and the answer"
