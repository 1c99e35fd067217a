"""What a run was started with, kept as plain JSON beside its checkpoints, so that any process builds the same graph."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from langchain_core.language_models import BaseChatModel

from agents.agent import Agent
from agents.errors import ConfigurationError, StorageError
from agents.models import model_name
from agents.settings import Settings
from agents.teams import load_team, team
from graphs.engine import Pattern
from graphs.network import Network
from graphs.orchestrator import Orchestrator
from graphs.planner import Planner
from graphs.router import Router
from graphs.supervisor import Supervisor

PATTERNS: dict[str, Callable[[list[Agent], BaseChatModel | None], Pattern[Any]]] = {
    "orchestrator": lambda agents, model: Orchestrator(agents, model=model),
    "planner": lambda agents, model: Planner(agents, model=model),
    "router": lambda agents, model: Router(agents, model=model),
    "supervisor": lambda agents, model: Supervisor(Planner(agents, model=model).as_agent("team"), model=model),
    "network": lambda agents, model: Network(agents),
}
"""What `--pattern` knows, by name; each is built from a team and the model of the whole run."""

METADATA = "podium"
"""The key of the metadata under which a recipe is kept."""

Flag = Parameter(negative="", show_default=False)
Number = Parameter(show_default=False)
TeamFile = Annotated[
    Path | None, Parameter("--team", help="TOML file with a team of agents instead of the default one.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Choices:
    """Options of a run that may also be changed when it is resumed."""

    team_file: TeamFile = None
    model: Annotated[str | None, Parameter(help="Chat model as provider:model, or local.")] = None
    approve: Annotated[bool, Parameter(help="Ask before a plan is run."), Flag] = False
    max_calls: Annotated[int | None, Number, Parameter(help="Model calls in the whole run.")] = None
    max_tokens: Annotated[int | None, Number, Parameter(help="Tokens read and written in all.")] = None
    max_seconds: Annotated[float | None, Number, Parameter(help="Seconds of work.")] = None
    max_cost: Annotated[float | None, Number, Parameter(help="Cost by the prices.")] = None
    price: Annotated[
        tuple[str, ...],
        Parameter(help="Prices per million tokens, as model=in,out; * for all.", negative="", show_default=False),
    ] = ()

    def settings(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of earlier with what is chosen anew."""
        chosen = {one: getattr(self, one) for one in ("max_calls", "max_tokens", "max_seconds", "max_cost")}
        changed = {name: value for name, value in chosen.items() if value is not None}
        prices = {**before.get("prices", {}), **dict(map(_price, self.price))}
        approval = {"approval": True} if self.approve else {}
        return {**before, **changed, **approval, **({"prices": prices} if prices else {})}


def _price(written: str) -> tuple[str, list[float]]:
    model, _, pair = written.rpartition("=")
    try:
        read, wrote = map(float, pair.split(","))
    except ValueError:
        raise ConfigurationError(f"A price is written model=in,out, per million tokens; not {written!r}") from None
    return model or "*", [read, wrote]


@dataclass(frozen=True)
class Recipe:
    """What a graph is built from."""

    pattern: str
    baseline: bool = False
    model: str = ""
    """As `--model` takes it; empty until the model is known."""
    team: str = ""
    """Absolute path of the team file; empty for the default team."""
    digest: str = ""
    """Of the team file."""
    folder: str = ""
    """The folder that the default team's tools read."""
    settings: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    """Of which run it is a copy."""

    def __post_init__(self) -> None:
        if self.pattern == "workflow":
            raise ConfigurationError("A workflow has steps of its own: use it from Python (docs/workflow.md) or Studio")
        if self.pattern not in PATTERNS:
            raise ConfigurationError(f"Unknown pattern {self.pattern!r}; known: {', '.join(PATTERNS)}")
        if self.baseline and self.pattern != "orchestrator":
            raise ConfigurationError("--baseline goes with the pattern orchestrator only")
        self.context()

    def context(self) -> Settings:
        """Return the settings of the run."""
        return Settings(**self.settings)

    def with_choices(self, choices: Choices) -> Recipe:
        """Return the recipe with what was chosen anew."""
        changed = replace(self, settings=choices.settings(self.settings), model=choices.model or self.model)
        if choices.team_file is None:
            return changed if self.team else replace(changed, folder=self.folder or str(Path.cwd()))
        file = choices.team_file.absolute()
        return replace(changed, team=str(file), digest=_digest(file))

    def with_model(self, model: BaseChatModel) -> Recipe:
        """Return the recipe with the name by which the model is found again."""
        from agents.models.local import PROFILE

        named = self.model or os.environ.get("PODIUM_MODEL")
        return replace(self, model=named or ("local" if model.profile == PROFILE else f"openai:{model_name(model)}"))

    def agents(self, model: BaseChatModel | None) -> list[Agent]:
        """Return the team.

        Raises:
            ConfigurationError: The team file is missing, cannot be used, or is not the one the run began with.
        """
        if not self.team:
            return team(folder=self.folder or None, model=model)
        if _digest(Path(self.team)) != self.digest:
            raise ConfigurationError(
                f"The team file {self.team} has changed since the run began; restore it, or say --team {self.team}"
                " to go on with it as it is"
            )
        return load_team(self.team, model=model)

    def check(self) -> None:
        """Refuse a team file that cannot be used, before anything slow begins."""
        if self.team:
            self.agents(None)

    def build(self, agents: list[Agent], model: BaseChatModel | None) -> Pattern[Any]:
        """Return the pattern."""
        single = partial(Orchestrator, baseline=True)
        return single(agents, model=model) if self.baseline else PATTERNS[self.pattern](agents, model)

    def metadata(self) -> dict[str, Any]:
        """Return what is kept with the run: LangGraph keeps texts and numbers only."""
        return {"pattern": self.pattern, METADATA: json.dumps(asdict(self))}

    @classmethod
    def of(cls, name: str, metadata: Mapping[str, Any]) -> Recipe:
        """Read the recipe of a stored run.

        Raises:
            StorageError: It has none, or one of another release.
        """
        if METADATA not in metadata:
            raise StorageError(f"The run {name} was not started by `podium`, which cannot build its graph")
        try:
            kept = json.loads(metadata[METADATA])
            return cls(**{one.name: kept[one.name] for one in fields(cls) if one.name in kept})
        except (TypeError, ValueError) as error:
            raise StorageError(f"The run {name} was started by another release: {error}") from error


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigurationError(f"The team file {file} cannot be read: {error.strerror}") from error


def known_patterns(names: Sequence[str] = tuple(PATTERNS)) -> str:
    """List the patterns for a help text."""
    return f"How the agents are coordinated: {', '.join(names)}."
