"""A team of agents: the default one, of default.toml, or one from a team file (see toml_file.py)."""

import sys
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool

from agents.agent import Agent
from agents.errors import TeamFileError
from agents.runtime import explain
from agents.teams.toml_file import MCP, TOOLS, AgentEntry, read_team_file
from agents.tools import MCPTools, can_search


def team(*, folder: Path | str | None = None, model: BaseChatModel | str | None = None) -> list[Agent]:
    """Return the default team: researcher, analyst, coder, writer and critic.

    Their file tools read `folder`, by default the current working directory; hidden files are never read. The
    researcher can search the web where `podium[web]` is installed. `model` is for all; None for that of the run.
    """
    entries = tomllib.loads(Path(__file__).with_name("default.toml").read_text(encoding="utf-8"))["agents"]
    left_out = () if can_search() else ("web_search",)
    for entry in entries:
        entry["tools"] = [name for name in entry["tools"] if name not in left_out]
    return [_agent(AgentEntry(**entry), model, Path(folder or "."), {}) for entry in entries]


def load_team(path: Path | str, *, model: BaseChatModel | str | None = None) -> list[Agent]:
    """Return the agents of the TOML team file at `path`; `model` is for those that name none.

    Functions and MCP servers that the file names run on this machine: load only files that you trust like a program.

    Raises:
        TeamFileError: The file cannot be used; every problem is a line of its own: file:line: what is wrong.
    """
    path = Path(path)
    file = read_team_file(path)
    named: dict[str, BaseTool | MCPTools] = {
        MCP + name: MCPTools(name, **entry.model_dump(), cwd=path.parent) for name, entry in file.mcp.items()
    }
    functions = {tool for entry in file.agents for tool in entry.tools if tool not in TOOLS and tool not in named}
    named |= {name: _function(path, name) for name in sorted(functions)}
    return [_agent(entry, entry.model or model, path.parent / file.folder, named) for entry in file.agents]


def _agent(
    entry: AgentEntry, model: BaseChatModel | str | None, folder: Path, named: Mapping[str, BaseTool | MCPTools]
) -> Agent:
    """Build an agent with Podium's tools, which may read `folder`, and those that the team file names itself."""
    tools: list[BaseTool | MCPTools] = []
    for name in dict.fromkeys(entry.tools):
        tools += [named[name]] if name in named else TOOLS[name](folder)
    return Agent(
        entry.name,
        entry.description,
        instructions=entry.instructions,
        model=model,
        tools=tools,
        examples=entry.examples,
    )


def _function(path: Path, name: str) -> BaseTool | MCPTools:
    """Import `module:function`, also from the team file's folder."""
    module, _, function = name.partition(":")
    if (folder := str(path.parent.resolve())) not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
    try:
        value = getattr(import_module(module), function)
        return value if isinstance(value, BaseTool | MCPTools) else tool(value)
    except (Exception, SystemExit) as error:  # of the user's own module, or of a function without a docstring
        raise TeamFileError(f"{path}: the tool {name!r} cannot be used: {explain(error)}") from error
