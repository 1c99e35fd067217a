"""`podium model`: the local models, and their weights."""

from typing import Annotated, Any

from cyclopts import Parameter
from langchain_core.messages import BaseMessage
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from agents.models.local import DEFAULT, PROFILE, available, describe_download, find, known_weights, prepare
from agents.models.local import pull as fetch
from agents.teams import team
from agents.testing import ScriptedModel
from graphs.cli.output import print_table, say, stderr, stdout
from graphs.orchestrator import Orchestrator
from graphs.planner import Planner

SUM = "What do 2 chairs at 30 and a table at 50 cost?"
SUM_PLAN = {"steps": [{"id": "sum", "task": SUM, "agent": "analyst"}]}
SUM_CHOICE = {"agent": "analyst", "small": True}


def pull_command(
    name: Annotated[str | None, Parameter(help="Its name, as `podium model list` shows it.")] = None, /
) -> None:
    """Fetch and verify the weights of a local model; goes on where an earlier pull stopped.

    The model then reads the instructions and examples of the default team, so that no later run waits for that.
    """
    name = name or DEFAULT
    path = find(name)
    if path is None:
        say(stderr(), describe_download(name))
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=stderr()) as bars:
            bar = bars.add_task("connecting", total=known_weights()[name].size)
            path = fetch(
                name,
                progress=lambda done, total, source: bars.update(bar, completed=done, total=total, description=source),
            )
    if available(name) and path == known_weights()[name].path:  # not a file of the user's own
        _read_prompts(name)
    say(stdout(), f"{name} is there: {path}")


def _read_prompts(name: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr()) as bars:
        bar = bars.add_task("reading the team's instructions in advance, once", total=None)
        prepare(stable_prompts(), name, progress=lambda done, total: bars.update(bar, completed=done, total=total))


def stable_prompts() -> list[list[BaseMessage]]:
    """Return what comes before the request in the prompts of a planner, an orchestrator and a calculation."""
    prompts: list[list[BaseMessage]] = []
    for pattern, decision in ((Planner, SUM_PLAN), (Orchestrator, SUM_CHOICE)):
        model = ScriptedModel([decision, "total = 2 * 30 + 50"], default="110", profile=PROFILE)
        pattern(team(model=model), model=model).compile().invoke({"messages": SUM})
        prompts += [list(call.messages[:-1]) for call in model.calls[:2]]
    return [prompt for number, prompt in enumerate(prompts) if prompt not in prompts[:number]]


def list_command() -> None:
    """List the local models, and which of them are on this machine."""
    rows = [
        (weights.name, f"{weights.size / 1e9:.2f} GB", _state(weights), str(weights.path))
        for weights in known_weights().values()
    ]
    print_table(stdout(), ("model", "size", "state", "file"), rows)


def _state(weights: Any) -> str:
    return "ready" if weights.is_verified else "not verified" if weights.path.is_file() else "not fetched"
