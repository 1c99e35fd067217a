"""Options that commands share; importing this loads nothing that a run needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

PATTERNS = ("orchestrator", "planner", "router", "supervisor", "network", "baseline")
"""Patterns that `--pattern` knows: `baseline` is a single agent with all tools; a workflow has steps of its own."""

Flag = Parameter(negative="", show_default=False)
Number = Parameter(show_default=False)

PatternOption = Annotated[
    str | None,
    Parameter(help=f"How the agents are coordinated: {', '.join(PATTERNS)} (a single agent, for comparison)."),
]
TeamFileOption = Annotated[
    Path | None, Parameter("--team", help="TOML file with a team of agents instead of the default one.")
]
Request = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="What you want, in quotes; - reads it from stdin.")
]
RunArgument = Annotated[str, Parameter(help="Its id, as `podium runs` lists it, or the name of a conversation.")]
AsJson = Annotated[bool, Parameter("--json", help="Print JSON."), Flag]


@Parameter(name="*")
@dataclass(frozen=True)
class Shown:
    """Options of the output of a run."""

    as_json: AsJson = False
    quiet: Annotated[bool, Parameter(help="Print nothing but the answer."), Flag] = False


@Parameter(name="*")
@dataclass(frozen=True)
class Choices:
    """Options of a run that may also be changed when it is resumed."""

    team_file: TeamFileOption = None
    folder: Annotated[Path | None, Parameter(help="Folder that the default team may read, if not this one.")] = None
    model: Annotated[str | None, Parameter(help="Chat model as provider:model, or local.")] = None
    approve: Annotated[bool, Parameter(help="Ask before a plan is run."), Flag] = False
    max_calls: Annotated[int | None, Number, Parameter(help="Model calls in the whole run.")] = None
    max_tokens: Annotated[int | None, Number, Parameter(help="Tokens read and written in all.")] = None
    max_seconds: Annotated[float | None, Number, Parameter(help="Seconds of work.")] = None
    max_cost: Annotated[float | None, Number, Parameter(help="Cost by the prices.")] = None
    price: Annotated[
        tuple[str, ...], Flag, Parameter(help="Prices per million tokens, as model=in,out; * for all.")
    ] = ()


@Parameter(name="*")
@dataclass(frozen=True)
class Thread:
    """Options of the storage of a new run."""

    thread: Annotated[str | None, Parameter(help="Conversation to continue, or to begin under this name.")] = None
    no_store: Annotated[bool, Parameter(help="Do not store the run."), Flag] = False
