"""`podium model`: the local models, and their weights."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from agents.models.local import DEFAULT, describe_download, find, known_weights
from agents.models.local import pull as fetch
from graphs.cli.output import print_table, say, stderr, stdout


def pull_command(
    name: Annotated[str | None, Parameter(help="Its name, as `podium model list` shows it.")] = None, /
) -> None:
    """Fetch and verify the weights of a local model; goes on where an earlier pull stopped."""
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
    say(stdout(), f"{name} is there: {path}")


def list_command() -> None:
    """List the local models, and which of them are on this machine."""
    rows = [
        (weights.name, f"{weights.size / 1e9:.2f} GB", _state(weights), str(weights.path))
        for weights in known_weights().values()
    ]
    print_table(stdout(), ("model", "size", "state", "file"), rows)


def _state(weights: Any) -> str:
    return "ready" if weights.is_verified else "not verified" if weights.path.is_file() else "not fetched"
