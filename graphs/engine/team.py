"""Teams: agents by name, from anything that `agent_of` takes."""

from collections.abc import Iterable, Mapping

from agents import Agent, AnyAgent, agent_of
from graphs.errors import ConfigurationError, UnknownAgentError


def team_of(agents: Iterable[AnyAgent]) -> dict[str, Agent]:
    """Index a team by name.

    Raises:
        ConfigurationError: The team is empty, two agents have one name, or something in it cannot be an agent.
    """
    if isinstance(agents, str | Mapping) or not isinstance(agents, Iterable):
        raise ConfigurationError(f"agents must be a list of agents, not {type(agents).__name__}")
    team: dict[str, Agent] = {}
    for agent in map(agent_of, agents):
        if agent.name in team:
            raise ConfigurationError(f"Two agents are called {agent.name!r}; names must be unique in a team")
        team[agent.name] = agent
    if not team:
        raise ConfigurationError("A team needs at least one agent")
    return team


def member(agent: AnyAgent | str, team: Mapping[str, Agent], *, role: str) -> Agent:
    """Return an agent, which may be named by its name in the team.

    Raises:
        UnknownAgentError: Nobody in the team has that name.
        ConfigurationError: It cannot be an agent.
    """
    if not isinstance(agent, str):
        return agent_of(agent)
    if agent not in team:
        raise UnknownAgentError(f"The {role} {agent!r} is not in the team; known: {', '.join(sorted(team))}")
    return team[agent]


def describe(team: Iterable[Agent]) -> str:
    """List a team for a prompt."""
    words = {agent.name: agent.description or next(iter(agent.examples), "no description") for agent in team}
    return "\n".join(f"- {name}: {about}" for name, about in words.items())
