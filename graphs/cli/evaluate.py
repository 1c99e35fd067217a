"""`podium eval`: patterns on cases with known answers, and cases from stored runs."""

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from langchain_core.language_models import BaseChatModel

from agents.errors import ConfigurationError
from graphs import storage as stored
from graphs.cli.exit_codes import COMPLETED, FAILED, PARTIAL
from graphs.cli.options import PATTERNS, AsJson, Choices, Flag
from graphs.cli.output import print_json, print_table, say, stderr, stdout
from graphs.cli.run_spec import RunSpec
from graphs.cli.runs import AsHtml, write_page
from graphs.cli.start import opened_storage, ready, run_id
from graphs.evaluation import Case, Evaluation, Outcome, case_of_run, evaluate, evaluation_page, read_cases, tables
from graphs.show import one_line
from graphs.storage import Storage


def eval_command(
    cases: Annotated[Path | None, Parameter(help="File of cases, one JSON object a line.")] = None,
    /,
    *,
    pattern: Annotated[
        str, Parameter(help=f"Patterns, with commas between: {', '.join(PATTERNS)}, or module:name.")
    ] = "orchestrator,baseline",
    choices: Choices = Choices(),  # noqa: B008 - frozen
    judge: Annotated[str | None, Parameter(help="Chat model that judges cases with a criterion.")] = None,
    max_concurrency: Annotated[int, Parameter(help="How many runs are at work at once.")] = 1,
    name: Annotated[str | None, Parameter(help="Name of the evaluation, also to go on with one.")] = None,
    from_run: Annotated[str | None, Parameter(help="Print a case from this stored run instead.")] = None,
    as_json: AsJson = False,
    as_html: AsHtml = None,
    quiet: Annotated[bool, Parameter(help="Print no progress."), Flag] = False,
) -> int:
    """Run patterns on cases with known answers; limits hold for all runs together."""
    if from_run is not None:
        _print_case(from_run)
        return COMPLETED
    if cases is None:
        raise ConfigurationError("podium eval needs a file of cases, or --from-run RUN; see docs/evaluate.md")
    read = _read(cases, (choices.folder or Path()).absolute())
    specs = _specs(pattern, choices)
    model = None if all(spec.is_own for spec in specs.values()) else ready(choices.model, quiet=quiet)
    with opened_storage() as storage:
        name = run_id(storage, name)
        if not quiet:
            say(stderr(), f"evaluation {name}; if it is interrupted, --name {name} goes on with it", "dim")
        evaluation = evaluate(
            read,
            {label: _graph(spec, model, storage) for label, spec in specs.items()},
            storage=storage,
            name=name,
            judge=judge or model,
            max_concurrency=max_concurrency,
            budget=next(iter(specs.values())).context(),
            on_outcome=_progress(len(read) * len(specs), quiet),
        )
    return _report(evaluation, as_json, as_html)


def _read(cases: Path, folder: Path) -> list[Case]:
    sys.path.append(str(folder))  # for functions that check answers
    return read_cases(cases, folder=folder)


def _specs(patterns: str, choices: Choices) -> dict[str, RunSpec]:
    """Return the checked specs of the patterns by label; that of a graph of the user's own is its name."""
    specs: dict[str, RunSpec] = {}
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        label = pattern.rpartition(":")[2]
        if label in specs:
            raise ConfigurationError(f"--pattern names {label!r} twice")
        specs[label] = RunSpec(pattern).with_choices(choices)
        specs[label].check()
    if not specs:
        raise ConfigurationError(f"--pattern needs at least one of {', '.join(PATTERNS)}, or module:name")
    return specs


def _graph(spec: RunSpec, model: BaseChatModel | None, storage: Storage) -> Any:
    """Compile a spec without the limits, which are those of the whole evaluation."""
    spec = replace(spec if spec.is_own or model is None else spec.with_model(model), settings={})
    return spec.compile(model, storage).with_config(metadata=spec.metadata())


def _print_case(run: str) -> None:
    with opened_storage(only_if_there=True) as storage:
        state = stored.state(storage, run)
    answered = state["values"].get("messages") if state["status"] == "completed" else None
    case = case_of_run(run, state["request"], answered or [])
    sys.stdout.write(json.dumps(case) + "\n")


def _progress(number: int, quiet: bool) -> Callable[[Outcome], None]:
    count = itertools.count(1)

    def show(outcome: Outcome) -> None:
        verdict = "right" if outcome["right"] else f"wrong: {'; '.join(outcome['wrong'])}"
        spent = f"{outcome['calls']} calls, {outcome['seconds']:.0f} s"
        line = f"{next(count)} of {number}  {outcome['run']}  {one_line(verdict, 120)}  ({spent})"
        say(stderr(), line, "" if outcome["right"] else "yellow")

    return (lambda outcome: None) if quiet else show


def _report(evaluation: Evaluation, as_json: bool, as_html: list[str] | None) -> int:
    if as_json:
        print_json(stdout(), evaluation.as_data())
    else:
        for title, table in tables(evaluation):
            say(stdout(), f"\n{title}", "bold")
            print_table(stdout(), table.head, table.rows, whole=table.head[:1])
    if as_html is not None:
        write_page(f"evaluation-{evaluation.name}", evaluation_page(evaluation), as_html)
    if evaluation.left:
        left = f"The budget is used up; {len(evaluation.left)} runs are left"
        say(stderr(), f"{left}, which --name {evaluation.name} with a larger one goes on with", "yellow")
        return PARTIAL
    return COMPLETED if evaluation.all_right else FAILED
