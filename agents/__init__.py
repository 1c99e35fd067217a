"""Agents: whatever does work in Podium, behind one Runnable."""

from agents.agent import Agent, Answer
from agents.assignment import Assignment
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
from agents.models import chat_model
from agents.runtime import Retry
from agents.settings import Settings
from agents.teams import load_team, team
from agents.tracing import trace, trace_as_set

__all__ = [
    "Agent",
    "AgentError",
    "Answer",
    "Assignment",
    "ConfigurationError",
    "DecisionError",
    "EmptyReplyError",
    "NoModelError",
    "PodiumError",
    "Retry",
    "Settings",
    "TeamFileError",
    "TransientError",
    "UnknownAgentError",
    "chat_model",
    "load_team",
    "team",
    "trace",
]

trace_as_set()
