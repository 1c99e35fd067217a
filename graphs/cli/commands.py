"""The `podium` command: a request goes to a team; `draw`, `team` and `model` show and prepare what there is.

The commands about stored runs are in runs.py.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from agents.errors import ConfigurationError, NoModelError, PodiumError
from agents.models.local import DEFAULT, describe_download, known_weights
from agents.models.local import find as find_weights
from graphs.cli import runs
from graphs.cli.background import interrupted, leave
from graphs.cli.recipe import PATTERNS, Choices, Flag, Recipe, TeamFile, known_patterns
from graphs.cli.run import BAD_USAGE, COMPLETED, FAILED
from graphs.cli.start import Shown, begin, check_name, find, new_id, opened
from graphs.engine import CompiledPattern
from graphs.storage import State

DEFAULT_PATTERN = "orchestrator"

HELP = f"""Give a request to a team of AI agents and get one answer.

For example:
  podium "Compare tea and coffee for a morning drink"
  podium "Sum up notes.txt" --json > result.json
  podium draw planner
  podium runs; podium show RUN; podium resume RUN

The model is the one that --model or PODIUM_MODEL names, else OpenAI's or that of OPENAI_BASE_URL, else the local \
one: {DEFAULT}, which runs on this machine without a key; it is small, answers simply and sometimes wrongly.

Every run is stored (in the file that PODIUM_RUNS names, else among the user's data) under the id that is printed when \
it starts. One that was killed, interrupted or asks something goes on with `podium resume RUN`; nothing that was \
finished runs again. --thread NAME continues a conversation.

The answer goes to stdout, everything else to stderr.
Exit codes: 0 completed, 1 failed, 2 bad usage, 3 partly done, escalated or interrupted, 4 needs input."""

Pick = Annotated[str | None, Parameter(help=known_patterns())]
Drawn = Annotated[str, Parameter(help=known_patterns([*PATTERNS, "workflow"]))]


def _version() -> str:
    try:
        return version("podium")
    except PackageNotFoundError:
        return "not installed as a package"


app = App(
    name="podium",
    help=HELP,
    help_format="plaintext",
    version=_version,
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
models = App(name="model", help="Fetch and list the local models, which need no key.", help_format="plaintext")
app.command(models)
runs.add_to(app)


@app.default
def answer(
    request: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, help="What you want, in quotes; - reads it from stdin.")
    ] = None,
    /,
    *,
    pattern: Pick = None,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    baseline: Annotated[bool, Parameter(help="Answer with a single agent, for comparison."), Flag] = False,
    thread: Annotated[str | None, Parameter(help="Conversation to continue, or to begin under this name.")] = None,
    no_store: Annotated[bool, Parameter(help="Do not store the run."), Flag] = False,
    as_json: Annotated[bool, Parameter("--json", help="Print the final state as JSON."), Flag] = False,
    quiet: Annotated[bool, Parameter(help="Print nothing but the answer."), Flag] = False,
) -> int:
    """Run a request."""
    text = _request(request)
    if text is None:
        app.help_print()
        return COMPLETED
    if thread and no_store:
        raise ConfigurationError("--thread continues what is stored; leave --no-store out")
    recipe = Recipe(pattern=pattern or DEFAULT_PATTERN, baseline=baseline).with_choices(choices)
    given, shown = {"messages": text}, Shown(as_json, quiet)
    if no_store:
        return begin(recipe, given, shown)
    with opened() as runs:
        name = check_name(thread) if thread else new_id(runs)
        with runs.lock_thread(name, "refuse") as lock:
            if before := find(runs, name):
                recipe = _continued(name, before, pattern, baseline).with_choices(choices)
            return begin(recipe, given, shown, runs=runs, lock=lock, name=name)


def _continued(thread: str, before: State, pattern: str | None, baseline: bool) -> Recipe:
    """Return the recipe of a conversation, in which the last run must have ended."""
    if before["ended"] is None:
        raise ConfigurationError(f"The last run of {thread} has not ended; go on with it first: podium resume {thread}")
    recipe = Recipe.of(thread, before["metadata"])
    if pattern not in (None, recipe.pattern) or baseline > recipe.baseline:
        raise ConfigurationError(f"The conversation {thread} goes on with its pattern, {recipe.pattern}")
    return recipe


@app.command
def draw(
    pattern: Drawn = DEFAULT_PATTERN,
    /,
    *,
    xray: Annotated[bool, Parameter(help="Show what is inside the nodes too."), Flag] = False,
    team_file: TeamFile = None,
) -> int:
    """Print a graph as Mermaid; needs no model."""
    recipe = None if pattern == "workflow" else _recipe(pattern, team_file)
    graph = recipe.build(recipe.agents(None), None).compile() if recipe else _example()
    _say(graph.get_graph(xray=xray).draw_mermaid())
    return COMPLETED


def _example() -> CompiledPattern[Any]:
    from graphs.server import workflow

    return workflow


def _recipe(pattern: str, file: Path | None) -> Recipe:
    return Recipe(pattern=pattern).with_choices(Choices(team_file=file))


@app.command(name="team")
def show_team(*, team_file: TeamFile = None) -> int:
    """List the agents of the team with their tools."""
    table = Table("agent", "what it is for", "tools", box=None, pad_edge=False, header_style="bold")
    for agent in _recipe(DEFAULT_PATTERN, team_file).agents(None):
        tools = ", ".join(tool.name for tool in agent.tools)
        table.add_row(agent.name, Text(agent.description), Text(tools))
    Console().print(table)
    return COMPLETED


@models.command
def pull(name: Annotated[str, Parameter(help=f"One of: {', '.join(known_weights())}.")] = DEFAULT, /) -> int:
    """Fetch and verify the weights of a local model; goes on where an earlier pull stopped."""
    from agents.models.local import pull as fetch

    progress = Console(stderr=True, highlight=False)
    if path := find_weights(name):
        _say(f"{name} is there: {path}")
        return COMPLETED
    progress.print(Text(describe_download(name)), soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress) as bars:
        bar = bars.add_task("connecting", total=known_weights()[name].size)
        path = fetch(
            name,
            progress=lambda done, total, source: bars.update(bar, completed=done, total=total, description=source),
        )
    _say(f"{name} is there: {path}")
    return COMPLETED


@models.command(name="list")
def list_models() -> int:
    """List the local models, and which of them are on this machine."""
    table = Table("model", "size", "state", "file", box=None, pad_edge=False, header_style="bold")
    for weights in known_weights().values():
        state = "ready" if weights.is_verified else "not verified" if weights.path.is_file() else "not fetched"
        table.add_row(weights.name, f"{weights.size / 1e9:.2f} GB", state, Text(str(weights.path), overflow="fold"))
    Console().print(table)
    return COMPLETED


def _request(given: str | None) -> str | None:
    """Return the request; None if there is none and a person may want help instead."""
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        return None
    if given and given != "-" and given.startswith("-") and len(given.split()) == 1:
        raise ConfigurationError(_misspelt([given]) or f"Unknown option {given}; `podium --help` lists them")
    text = sys.stdin.read() if given in (None, "-") and sys.stdin is not None else given
    if not text or not text.strip():
        raise ConfigurationError('There is no request; write it in quotes: podium "Compare tea and coffee"')
    return text.strip()


def _misspelt(arguments: Sequence[str]) -> str:
    """Say which option there is not, where it was taken for the request; else nothing."""
    for option in arguments:
        if option.startswith("--") and len(option.split()) == 1:
            try:
                app.parse_args(["-", option], exit_on_error=False, print_error=False)
            except UnknownOptionError as error:
                return f"{error} `podium --help` lists them."
            except CycloptsError:  # a known one, without its value
                continue
    return ""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    leave(command(arguments))


def command(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; what went wrong is a line on stderr, never a traceback."""
    try:
        code = app(arguments)
    except UnusedCliTokensError as error:
        misspelt = _misspelt(sys.argv[1:] if arguments is None else arguments)
        return _complain(misspelt or f"{error} Put the whole request in quotes.", BAD_USAGE)
    except (CycloptsError, ConfigurationError, NoModelError) as error:
        return _complain(str(error), BAD_USAGE)
    except PodiumError as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        interrupted.set()
        return _complain("interrupted", FAILED)
    except BrokenPipeError:  # whoever read the output has had enough
        return FAILED
    except OSError as error:
        return _complain(str(error), FAILED)
    return code or COMPLETED


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"podium: {message}\n")
    return code
