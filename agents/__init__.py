"""Agents do the work: every kind of worker behind one Runnable, from an assignment to an answer.

    Agent.invoke(assignment) -> checks of the input -> worker -> reply -> Answer -> checks of the answer
    worker: a chat model with its tools, a function, or a graph, which may be a pattern of `graphs`

agent            Agent, the worker with a name; conversion: an agent of anything that a user has
arguments        checks of what agents and patterns are built with
assignment       what an agent gets, and the messages of it for a chat model; answer: what an agent returns
settings         what the caller of a run may set
errors           what can go wrong; usage: model calls, tokens and cost as data

The rooms, each with what it imports of this package beside arguments, errors, settings and usage:

runtime    none                                            how calls run: sync and async, cancellation, retries, usage
tracing    runtime                                         OpenTelemetry spans of every run
models     runtime                                         chat models and embeddings; models.local: the local one
checks     runtime, assignment                             judgements without a model: of tasks, answers and requests
decisions  runtime, models                                 how a chat model is asked for data of a form
workers    runtime, models, checks, decisions, assignment  the work of an agent: a chat model, a function, a graph
tools      runtime, checks, workers                        tools for chat models
teams      runtime, tools, agent                           the default team, and team files
testing    runtime, models                                 models and a provider for tests

agent imports checks, workers and tools; assignment imports runtime. Nothing here imports `graphs`.
"""

import warnings as _warnings
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING

from agents.agent import Agent, Answer
from agents.assignment import Assignment, quote
from agents.conversion import AnyAgent, agent_of
from agents.decisions import Decided, Decision
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
    from agents.checks import as_requested
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
    "as_requested",
    "chat_model",
    "load_team",
    "quote",
    "team",
    "trace",
]

__getattr__ = lazily(__name__)

trace_as_set()

_found = _find_spec("graphs")  # looked up, not imported
if _found is not None and not _Path(_found.origin or "").resolve().is_relative_to(_Path(__file__).resolve().parents[1]):
    _warnings.warn(f"{_found.origin} hides Podium's package 'graphs'; give your own another name", stacklevel=2)
