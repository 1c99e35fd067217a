"""Agents: whatever does work in Podium, behind one Runnable."""

from typing import TYPE_CHECKING

from agents.agent import Agent, Answer
from agents.assignment import Assignment, quote
from agents.conversion import AnyAgent, agent_of
from agents.errors import (
    AgentError,
    ConfigurationError,
    DecisionError,
    EmptyReplyError,
    NoModelError,
    PodiumError,
    TeamFileError,
    TransientError,
    UnknownAgentError,
)
from agents.runtime import Retry, lazily
from agents.settings import Settings
from agents.tracing import trace, trace_as_set

if TYPE_CHECKING:
    from agents.decisions import Decided, Decision
    from agents.models import chat_model
    from agents.teams import load_team, team

__all__ = [
    "Agent",
    "AgentError",
    "Answer",
    "AnyAgent",
    "Assignment",
    "ConfigurationError",
    "Decided",
    "Decision",
    "DecisionError",
    "EmptyReplyError",
    "NoModelError",
    "PodiumError",
    "Retry",
    "Settings",
    "TeamFileError",
    "TransientError",
    "UnknownAgentError",
    "agent_of",
    "chat_model",
    "load_team",
    "quote",
    "team",
    "trace",
]

__getattr__ = lazily(
    __name__,
    {"Decided": "decisions", "Decision": "decisions", "chat_model": "models", "load_team": "teams", "team": "teams"},
)

trace_as_set()
