"""The patterns of agent orchestration, each compiled to a LangGraph state machine."""

import agents

if not hasattr(agents, "__podium__"):
    raise ImportError(
        f"Podium needs its own package 'agents', but Python found another one at {agents.__path__[0]}."
        " PyPI's openai-agents, for one, installs a package of that name;"
        " put Podium into an environment without it, or its folder first on the path."
    )

from graphs.errors import (
    AgentError,
    ConfigurationError,
    DecisionError,
    InvalidPlanError,
    ModelNotFoundError,
    PodiumError,
    UnknownAgentError,
)
from graphs.classifiers import EmbeddingClassifier
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
