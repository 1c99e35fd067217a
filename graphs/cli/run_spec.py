"""Everything that a run is built from, stored beside its checkpoints, so that any process builds the same graph."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents import Agent, ConfigurationError, Settings
from agents.errors import StorageError
from agents.models import model_name
from agents.settings import capped
from agents.teams import load_team, team
from graphs.cli.options import PATTERNS, Choices
from graphs.engine import Pattern, compiled, load_named
from graphs.network import Network
from graphs.orchestrator import Orchestrator
from graphs.planner import Planner
from graphs.router import Router
from graphs.supervisor import Supervisor

METADATA = "podium"
"""The key of the metadata under which a spec is stored."""

_BUILD: dict[str, Callable[[list[Agent], BaseChatModel | None], Pattern[Any]]] = {
    "orchestrator": lambda agents, model: Orchestrator(agents, model=model),
    "planner": lambda agents, model: Planner(agents, model=model),
    "router": lambda agents, model: Router(agents, model=model),
    "supervisor": lambda agents, model: Supervisor(Planner(agents, model=model).as_agent("team"), model=model),
    "network": lambda agents, model: Network(agents),
    "baseline": lambda agents, model: Orchestrator(agents, model=model, baseline=True),
}


@dataclass(frozen=True)
class RunSpec:
    """Everything that a run's graph is built from."""

    pattern: str
    """A pattern's name, or a graph of the user's own as `module:name` or `file.py:name`."""
    model: str = ""
    """Model as `--model` takes it; empty until the model is chosen."""
    team: str = ""
    """Absolute path of the team file; empty for the default team."""
    digest: str = ""
    """SHA-256 of the team file."""
    folder: str = ""
    """The folder that the default team's tools read, and that own graphs are imported from."""
    settings: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    """The run of which this one is a copy."""

    def __post_init__(self) -> None:
        if self.pattern == "workflow":
            raise ConfigurationError("A workflow has steps of its own: podium run my_team:graph, or docs/workflow.md")
        if self.pattern not in PATTERNS and not self.is_own:
            raise ConfigurationError(f"Unknown pattern {self.pattern!r}; known: {', '.join(PATTERNS)}, or module:name")
        self.context()

    @property
    def is_own(self) -> bool:
        return ":" in self.pattern

    def context(self) -> Settings:
        return Settings(**self.settings)

    def with_choices(self, choices: Choices) -> RunSpec:
        """Return the spec, overridden by the options given now."""
        changed = replace(self, settings=_settings(choices, self.settings), model=choices.model or self.model)
        if choices.team_file is not None:
            file = choices.team_file.absolute()
            return replace(changed, team=str(file), digest=_digest(file))
        if choices.folder is not None:
            return replace(changed, folder=str(choices.folder.absolute()))
        return changed if self.team else replace(changed, folder=self.folder or str(Path.cwd()))

    def with_model(self, model: BaseChatModel) -> RunSpec:
        """Return the spec with the name by which the model is found again."""
        from agents.models.local import PROFILE

        named = self.model or os.environ.get("PODIUM_MODEL")
        return replace(self, model=named or ("local" if model.profile == PROFILE else f"openai:{model_name(model)}"))

    def agents(self, model: BaseChatModel | None) -> list[Agent]:
        """Return the team, of a file that must be the one the run began with."""
        if not self.team:
            return team(folder=self.folder or None, model=model)
        if _digest(Path(self.team)) != self.digest:
            raise ConfigurationError(
                f"The team file {self.team} has changed since the run began; restore it, or say --team {self.team}"
                " to go on with it as it is"
            )
        return load_team(self.team, model=model)

    def check(self) -> None:
        """Refuse a team file or an operator's ceiling that cannot be used, before anything slow begins."""
        capped(self.context())
        if self.team:
            self.agents(None)

    def compile(self, model: BaseChatModel | None, checkpointer: object = None) -> Any:
        """Return the compiled graph; raise `ConfigurationError` if it is the user's own and cannot be loaded."""
        if self.is_own:
            return compiled(load_named(self.pattern, self.folder), checkpointer)
        return _BUILD[self.pattern](self.agents(model), model).compile(checkpointer)

    def metadata(self) -> dict[str, Any]:
        """Return what is stored with the run: LangGraph keeps texts and numbers only."""
        return {"pattern": self.pattern, METADATA: json.dumps(asdict(self))}

    @classmethod
    def of(cls, run: str, metadata: Mapping[str, Any], choices: Choices | None = None) -> RunSpec:
        """Return the spec of a stored run, overridden by the options given now; other folders need `--folder`."""
        choices = choices or Choices()
        if METADATA not in metadata:
            raise StorageError(f"The run {run} was not started by `podium`, which cannot build its graph")
        try:
            stored = json.loads(metadata[METADATA])
            spec = cls(**{item.name: stored[item.name] for item in fields(cls) if item.name in stored})
        except (TypeError, ValueError) as error:
            raise StorageError(f"The run {run} was started by another release: {error}") from error
        if not spec.team and choices.folder is None and not _is_confined(spec.folder):
            raise ConfigurationError(
                f"The run {run} works on the folder {spec.folder}; use the command there, or say --folder {spec.folder}"
            )
        return spec.with_choices(choices)


def origin_of(metadata: Mapping[str, Any]) -> str:
    """Return the run of which a stored one is a copy; empty if it is none."""
    try:
        return str(json.loads(metadata[METADATA])["origin"])
    except (KeyError, TypeError, ValueError):
        return ""


def _is_confined(folder: str) -> bool:
    """Tell whether a stored run's folder is the one that the command runs in, or in it and not hidden."""
    here, there = Path.cwd().resolve(), Path(folder or ".").resolve()
    return there.is_relative_to(here) and not any(part.startswith(".") for part in there.relative_to(here).parts)


def _settings(choices: Choices, before: Mapping[str, Any]) -> dict[str, object]:
    limits = {name: getattr(choices, name) for name in ("max_calls", "max_tokens", "max_seconds", "max_cost")}
    changed = {name: value for name, value in limits.items() if value is not None}
    prices = {**before.get("prices", {}), **dict(map(_price, choices.price))}
    approval = {"approval": True} if choices.approve else {}
    return {**before, **changed, **approval, **({"prices": prices} if prices else {})}


def _price(written: str) -> tuple[str, list[float]]:
    model, _, pair = written.rpartition("=")
    try:
        read, wrote = map(float, pair.split(","))
    except ValueError:
        raise ConfigurationError(f"A price is written model=in,out, per million tokens; not {written!r}") from None
    return model or "*", [read, wrote]


def _digest(file: Path) -> str:
    if file.exists() and not file.is_file():  # a pipe would be waited for, a device read without end
        raise ConfigurationError(f"The team file {file} cannot be read: it is not a file")
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"The team file {file} cannot be read: {getattr(error, 'strerror', error)}") from error
