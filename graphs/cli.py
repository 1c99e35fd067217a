"""The `podium` command: a request goes to a team; `draw`, `team` and `model` show and prepare what there is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError
from langchain_core.language_models import BaseChatModel
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from agents.agent import Agent
from agents.errors import ConfigurationError, ModelNotFoundError, PodiumError
from agents.models import chat_model, model_name
from agents.team import load_team, team
from agents.weights import DEFAULT, MODELS, describe_download, find, installed
from graphs.network import Network
from graphs.orchestrator import Orchestrator
from graphs.pattern import Pattern
from graphs.planner import Planner
from graphs.router import Router
from graphs.run import BAD_USAGE, COMPLETED, FAILED, interrupted, leave, run
from graphs.supervisor import Supervisor

PATTERNS: dict[str, Callable[[list[Agent], BaseChatModel | None], Pattern]] = {
    "planner": lambda agents, model: Planner(agents, model=model),
    "router": lambda agents, model: Router(agents, model=model),
    "supervisor": lambda agents, model: Supervisor(Planner(agents, model=model).as_agent("team"), model=model),
    "network": lambda agents, model: Network(agents),
    "orchestrator": lambda agents, model: Orchestrator(agents, model=model),
}
"""What `--pattern` and `draw` know, by name; each is built from a team and the model of the whole run."""

HELP = f"""Give a request to a team of AI agents and get one answer.

For example:
  podium "Compare tea and coffee for a morning drink"
  podium "Sum up notes.txt" --json > result.json
  podium draw planner

The model is the one that --model or PODIUM_MODEL names, else OpenAI's or that of OPENAI_BASE_URL, else the local \
one: {DEFAULT}, which runs on this machine without a key; it is small, answers simply and sometimes wrongly.

The answer goes to stdout, everything else to stderr.
Exit codes: 0 completed, 1 failed, 2 bad usage, 3 partly done, escalated or interrupted, 4 needs input."""

_KNOWN_PATTERNS = f"How the agents are coordinated: {', '.join(PATTERNS)}."

TeamFile = Annotated[
    Path | None, Parameter("--team", help="TOML file with a team of agents instead of the default one.")
]
Pick = Annotated[str, Parameter(help=_KNOWN_PATTERNS)]
Flag = Parameter(negative="", show_default=False)


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


@app.default
def answer(
    request: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, help="What you want, in quotes; - reads it from stdin.")
    ] = None,
    /,
    *,
    pattern: Pick = "planner",
    team_file: TeamFile = None,
    model: Annotated[str | None, Parameter(help="Chat model as provider:model, or local.")] = None,
    as_json: Annotated[bool, Parameter("--json", help="Print the final state as JSON."), Flag] = False,
    quiet: Annotated[bool, Parameter(help="Print nothing but the answer."), Flag] = False,
) -> int:
    """Run a request."""
    text = _request(request)
    if text is None:
        app.help_print()
        return COMPLETED
    build = _builder(pattern)
    _team(team_file, None)  # a file that cannot be used is refused before the model is loaded
    chosen = _model(model, quiet=quiet)
    agents = _team(team_file, chosen)
    for agent in agents:
        chat_model(agent.role.model)  # a model that a team file names and that cannot be had is found before the run
    return run(build(agents, chosen).compile(), text, as_json=as_json, quiet=quiet)


@app.command
def draw(
    pattern: Pick = "planner",
    /,
    *,
    xray: Annotated[bool, Parameter(help="Show what is inside the nodes too."), Flag] = False,
    team_file: TeamFile = None,
) -> int:
    """Print a graph as Mermaid; needs no model."""
    graph = _builder(pattern)(_team(team_file, None), None).compile()
    _say(graph.get_graph(xray=xray).draw_mermaid())
    return COMPLETED


@app.command(name="team")
def show_team(*, team_file: TeamFile = None) -> int:
    """List the agents of the team with their tools."""
    table = Table("agent", "what it is for", "tools", box=None, pad_edge=False, header_style="bold")
    for agent in _team(team_file, None):
        tools = ", ".join(tool.name for tool in agent.role.tools)
        table.add_row(agent.name, Text(agent.description), Text(tools))
    Console().print(table)
    return COMPLETED


@models.command
def pull(name: Annotated[str, Parameter(help=f"One of: {', '.join(MODELS)}.")] = DEFAULT, /) -> int:
    """Fetch and verify the weights of a local model; goes on where an earlier pull stopped."""
    from agents.download import pull as fetch

    progress = Console(stderr=True, highlight=False)
    if path := find(name):
        _say(f"{name} is there: {path}")
        return COMPLETED
    progress.print(Text(describe_download(name)), soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress) as bars:
        bar = bars.add_task("connecting", total=MODELS[name].size)
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
    for one in installed():
        state = "ready" if one.verified else "not verified" if one.installed else "not fetched"
        table.add_row(one.name, f"{one.size / 1e9:.2f} GB", state, Text(str(one.path), overflow="fold"))
    Console().print(table)
    return COMPLETED


def _request(given: str | None) -> str | None:
    """Return the request; None if there is none and a person may want help instead."""
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        return None
    if given and given != "-" and given.startswith("-") and len(given.split()) == 1:
        raise ConfigurationError(f"Unknown option {given}; `podium --help` lists them")
    text = sys.stdin.read() if given in (None, "-") and sys.stdin is not None else given
    if not text or not text.strip():
        raise ConfigurationError('There is no request; write it in quotes: podium "Compare tea and coffee"')
    return text.strip()


def _builder(pattern: str) -> Callable[[list[Agent], BaseChatModel | None], Pattern]:
    if pattern not in PATTERNS:
        raise ConfigurationError(f"Unknown pattern {pattern!r}; known: {', '.join(PATTERNS)}")
    return PATTERNS[pattern]


def _team(file: Path | None, model: BaseChatModel | None) -> list[Agent]:
    return load_team(file, model=model) if file else team(model=model)


def _model(name: str | None, *, quiet: bool) -> BaseChatModel:
    """Get the model ready, which takes seconds if it is the local one, and say which it is."""
    from agents.local import PROFILE

    console = Console(stderr=True, highlight=False)
    with console.status("getting the model ready"):
        model = chat_model(name)
    if not quiet:
        local = ", small and on this machine; its answers may be wrong" if model.profile == PROFILE else ""
        console.print(Text(f"Model: {model_name(model)}{local}", "dim"), soft_wrap=True)
    return model


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
        return _complain(f"{error} Put the whole request in quotes.", BAD_USAGE)
    except (CycloptsError, ConfigurationError, ModelNotFoundError) as error:
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


if __name__ == "__main__":
    main()
