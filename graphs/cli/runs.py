"""The commands on stored runs: they list, show and prune them, go on with one, or start a copy of it again."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from agents.errors import ConfigurationError, StorageError
from graphs import storage as stored
from graphs.cli.exit_codes import COMPLETED, NEEDS_INPUT
from graphs.cli.options import AsJson, Choices, Flag, RunArgument, Shown
from graphs.cli.output import print_json, print_table, say, stderr, stdout
from graphs.cli.questions import ShownQuestion, ask_on_terminal, can_ask, read_answers
from graphs.cli.queued import ACTIVE, is_queued, jobs, put_again, queue, state_of, with_jobs
from graphs.cli.run import as_record, as_result, open_questions, print_questions, resumption, run_json
from graphs.cli.run_spec import RunSpec, origin_of
from graphs.cli.start import begin, opened_storage, run_id
from graphs.show import RunSummary, decisions, is_page, one_line, page, print_timeline, table_of
from graphs.storage import ForkPoint, State

AsHtml = Annotated[
    list[str] | None,
    Flag,
    Parameter(
        "--html",
        help="Write it as a web page to a file, RUN.html in this folder if none is named; - prints the page.",
        consume_multiple=(0, 1),
        allow_leading_hyphen=True,
    ),
]
_MAX_DAYS = 100_000
_HEAD = 2_000
"""Characters of a file that tell what it is."""
_NOT_IN_NAMES = re.compile(r"[^\w.\-]+")
Answers = Annotated[
    tuple[str, ...],
    Flag,
    Parameter(
        help="Answer to its question: approve, reject:why, edit:@file, respond:text, JSON or a text; ID=… where several"
        " are open.",
        allow_leading_hyphen=True,
    ),
]


def runs_command(
    *, as_json: AsJson = False, most: Annotated[int, Parameter(help="How many of the latest runs.")] = 50
) -> None:
    """List the stored runs, newest first."""
    if most < 1:
        raise ConfigurationError(f"--most must be a number from 1 up, not {most}")
    with opened_storage(only_if_there=True) as storage:
        latest = with_jobs(stored.runs(storage, most=most), most)
    if as_json:
        print_json(stdout(), [{"run": run["thread_id"], **run} for run in latest])
    else:
        print_runs(latest, stdout())


def print_runs(runs: Sequence[stored.StoredRun], console: Console) -> None:
    """Print runs; requests are cut, ids never."""
    head = ("run", "when", "pattern", "status", "request")
    table = [(run["thread_id"], _when(run["started"]), run["pattern"], run["status"], run["request"]) for run in runs]
    print_table(console, head, table, whole=head[:-1], cut="request")


def show_command(run: RunArgument | None = None, /, *, as_json: AsJson = False, as_html: AsHtml = None) -> None:
    """Show a stored run, or the last one: its plan, steps, reviews, route, handoffs, errors, cost and answer."""
    with opened_storage(only_if_there=True) as storage:
        if run is None and not (threads := storage.threads()):
            raise StorageError("No runs are stored yet")
        state = state_of(storage, run or threads[0][0])
        plan = [point.step for point in stored.fork_points(storage, state["thread_id"]) if point.kind == "step"]
    result = as_result(state)
    if as_json:
        print_json(stdout(), run_json(result, state))
        return
    result["plan"] = result.get("plan") or plan
    if as_html is None:
        _print_run(state, result, stdout())
    else:
        origin = {name: state[name] for name in ("thread_id", "pattern", "started")}
        write_page(state["thread_id"], page({**origin, **result}), as_html)


def _print_run(state: State, result: dict[str, Any], console: Console) -> None:
    run = state["thread_id"]
    facts = {
        "run": run,
        "origin": origin_of(state["metadata"]),
        "when": _when(state["started"]) + (f" to {_when(state['ended'])}" if state["ended"] else ""),
        "pattern": state["pattern"],
        "status": state["status"],
        "reason": one_line(as_record(result)["stop_reason"] or ""),
        "request": state["request"],
    }
    for name, fact in facts.items():
        if fact:
            say(console, f"{name:8} {fact}")
    tables = [*decisions(result), ("Results", table_of("steps", result["steps"]))]
    for title, table in [*tables, ("Errors", table_of("errors", result.get("errors")))]:
        if table is not None:
            say(console, f"\n{title}", "bold")
            print_table(console, table.head, table.rows)
    print_timeline(RunSummary.of(result), console)
    if state["ended"]:
        say(console, f"\n{as_record(result)['messages'][-1].text}")
    print_questions(open_questions(result), run, console)
    if state["status"] in ("stopped", "cancelled") or (state["status"] == "failed" and not state["ended"]):
        say(console, f"\nContinue it with: podium resume {run}")


def write_page(run: str, report: str, named: Sequence[str]) -> None:
    """Write a run's page for its user only, and say where; another page of ours is replaced, another file refused."""
    if list(named) == ["-"]:
        sys.stdout.buffer.write(report.encode())
        return
    path = Path(named[0] if named else f"{_NOT_IN_NAMES.sub('_', run)}.html")
    if str(path).startswith("-"):
        raise ConfigurationError(f"{str(path)!r} cannot name a file; put other options before --html")
    if path.is_file() and not is_page(path.read_text(encoding="utf-8", errors="replace")[:_HEAD]):
        raise ConfigurationError(f"There is another file {path} already; name another")
    path.touch(mode=0o600)
    stored.make_private(path)
    path.write_text(report, encoding="utf-8")
    say(stdout(), f"written to {path.resolve()}")


def inbox_command(*, as_json: AsJson = False) -> None:
    """List the questions of all stored runs that wait for a person."""
    with opened_storage(only_if_there=True) as storage:
        queued = {run for run, job in jobs().items() if job["status"] in ACTIVE}  # answered, or at work again
        waiting = [item for item in stored.inbox(storage) if item["thread_id"] not in queued]
    if as_json:
        print_json(stdout(), [{"run": item["thread_id"], **item} for item in waiting])
        return
    if not waiting:
        say(stdout(), "No run waits for a person.")
    for run in dict.fromkeys(item["thread_id"] for item in waiting):
        items = [item for item in waiting if item["thread_id"] == run]
        say(stdout(), f"\n{run} ({items[0]['pattern']}): {one_line(items[0]['request'], 200)}", "bold")
        questions = [ShownQuestion(item["id"], item["value"]) for item in items]
        print_questions(questions, run, stdout(), answer_shown=False)


def prune_command(
    *,
    older_than: Annotated[float | None, Parameter(help="Delete runs that ended more than so many days ago.")] = None,
) -> None:
    """Reduce stored runs that have ended to their result; they can then no longer be forked."""
    if older_than is not None and not 0 <= older_than <= _MAX_DAYS:
        raise ConfigurationError(f"--older-than must be a number of days from 0 to {_MAX_DAYS}, not {older_than}")
    with opened_storage(only_if_there=True) as storage:
        ended = {run["thread_id"]: run["ended"] for run in stored.runs(storage, most=None) if run["ended"]}
        limit = None if older_than is None else datetime.now(UTC) - timedelta(days=older_than)
        done: Counter[str] = Counter()
        for run, moment in ended.items():
            is_old = limit is not None and datetime.fromisoformat(moment) < limit
            if not storage.is_locked(run):  # else its conversation goes on
                storage.prune([run], strategy="delete" if is_old else "keep_latest")
                done["deleted" if is_old else "reduced"] += 1
        storage.compact()
    if limit and (there := queue()):
        there.prune(limit)
    say(stdout(), f"{done['deleted']} runs deleted, {done['reduced']} reduced to their result")


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}" if moment else ""


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
            if (value := _input(state, answer, must_answer=True)) is ...:
                return NEEDS_INPUT
            put_again(run, state["pattern"], value)
            return COMPLETED
        with storage.lock_thread(run, "refuse") as lock:
            state = stored.state(storage, run)
            _check_open(state)
            spec = RunSpec.of(run, state["metadata"], choices)
            # A run that has ended with a question has nothing to do without an answer; others ask again.
            if (value := _input(state, answer, must_answer=state["ended"] is not None)) is ...:
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
    """Return the input with which a run goes on: the answers to its questions, None without any, `...` for not now."""
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
    return ...


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
            rows = [(point.name, point.kind, _rerun(point)) for point in points]
            print_table(stdout(), ("at", "kind", "runs again"), rows)
            say(stdout(), f"\nStart a copy of the run again with: podium fork {run} --at …")
            return COMPLETED
        point = stored.find_point(points, at)
        spec = replace(RunSpec.of(run, state["metadata"], choices), origin=f"copy of {run} from {at} on")
        spec.check()  # nothing is copied for a team that cannot be used
        name = run_id(storage)
        stored.copy_run(storage, point, name, spec.metadata())
        if not shown.quiet:
            kept = ", ".join(point.kept) or "everything before it"
            say(stderr(), f"copied {run} to {name}, from {at} on; kept: {kept}", "dim")
        with storage.lock_thread(name, "refuse") as lock:
            copied = stored.state(storage, name)
            return begin(spec, None, shown, storage=storage, lock=lock, run=name, before=copied)


def _rerun(point: ForkPoint) -> str:
    if point.kind == "node":
        return "it and everything after it"
    return ", ".join(dict.fromkeys([point.name, *point.rerun])) + ", and the answer"
