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
from graphs.cli.questions import ShownQuestion, ask_on_terminal, can_ask, read_answers
from graphs.cli.queued import ACTIVE, is_queued, put_again, state_of
from graphs.cli.run import resumption
from graphs.cli.run_spec import RunSpec
from graphs.cli.start import begin, new_id, opened_storage
from graphs.engine import ThreadLock
from graphs.storage import ForkPoint, State, Storage

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
            return _resume_on_worker(state, answer)
        with storage.lock_thread(run, "refuse") as lock:
            state = stored.state(storage, run)
            _check_open(state)
            return _resume(storage, lock, state, answer, RunSpec.of(run, state["metadata"], choices), shown)


def _check_open(state: State) -> None:
    run = state["thread_id"]
    if state["ended"] and state["status"] != "needs_input":
        raise ConfigurationError(
            f"The run {run} has ended ({state['status']}); `podium show {run}` shows it,"
            f" `podium fork {run}` lists from where it can start again"
        )


def _resume_on_worker(state: State, answers: Sequence[str]) -> int:
    """Queue a run again, with the answers to its questions."""
    run, asked = state["thread_id"], open_questions(as_result(state))
    if state["status"] in ACTIVE:
        raise ConfigurationError(f"The run {run} is {state['status']} already; `podium watch {run}` follows it")
    _check_open(state)
    value = _answered(run, asked, answers)
    if value is None and asked and (value := _asked_again(run, asked)) is None:
        return NEEDS_INPUT
    put_again(run, state["pattern"], value)
    return COMPLETED


def _answered(run: str, questions: Sequence[ShownQuestion], answers: Sequence[str]) -> object:
    """Return the input with which a run goes on after answers; None without any."""
    if answers and not questions:
        raise ConfigurationError(f"The run {run} waits for no answer; leave --answer out to go on with it")
    return resumption(read_answers(questions, answers)) if answers else None


def _resume(
    storage: Storage, lock: ThreadLock, state: State, answers: Sequence[str], spec: RunSpec, shown: Shown
) -> int:
    run = state["thread_id"]
    questions = open_questions(as_result(state))
    value = _answered(run, questions, answers)
    if value is None and state["ended"]:  # it ended with a question; without an answer there is nothing to do
        value = _asked_again(run, questions)
        if value is None:
            return NEEDS_INPUT
    return begin(spec, value, shown, storage=storage, lock=lock, run=run, before=state)


def _asked_again(run: str, questions: Sequence[ShownQuestion]) -> object:
    """Ask the question that a run has ended with once more; return None without an answer."""
    if can_ask() and (answers := ask_on_terminal(questions, stderr(), {})) is not None:
        return resumption(answers)
    print_questions(questions, run, stderr(), answer_shown=False)
    return None


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
