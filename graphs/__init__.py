"""The patterns of agent orchestration, each compiled to a LangGraph state machine."""

import graphs.own_agents  # noqa: F401 - first, because everything else imports `agents`

# isort: split
from graphs.classifiers import EmbeddingClassifier
from graphs.errors import (
    AgentError,
    ConfigurationError,
    DecisionError,
    InvalidPlanError,
    ModelNotFoundError,
    PodiumError,
    UnknownAgentError,
)
from graphs.handoff import handoff_tool
from graphs.network import Network
from graphs.orchestrator import Orchestrator
from graphs.pattern import Pattern
from graphs.planner import Planner
from graphs.router import Router
from graphs.steps import Step, StepRecord
from graphs.supervisor import Supervisor
from graphs.workflow import Workflow

__all__ = [
    "AgentError",
    "ConfigurationError",
    "DecisionError",
    "EmbeddingClassifier",
    "InvalidPlanError",
    "ModelNotFoundError",
    "Network",
    "Orchestrator",
    "Pattern",
    "Planner",
    "PodiumError",
    "Router",
    "Step",
    "StepRecord",
    "Supervisor",
    "UnknownAgentError",
    "Workflow",
    "handoff_tool",
]
