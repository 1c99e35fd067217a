"""The patterns of agent orchestration, each compiled to a LangGraph state machine.

    pattern.compile() -> build() -> PatternGraph, a StateGraph -> CompiledPattern -> invoke opens a record of the run
    node: ask(state) -> agent -> take(state, reply) -> update; route: state -> next node; the last node is `answer`

planner, router, workflow, supervisor, network, orchestrator: the patterns, a file each. An orchestrator is a supervisor
whose worker is one agent or a planner; the others do not import each other. errors: the tree of all errors.

The rooms, each with what it imports of this package:

engine       errors                            nodes, state, steps and graphs: what all patterns are made of
decisions    engine                            what patterns ask models to decide: plans, routes, verdicts, handoffs
people       engine                            what patterns ask people
patterns     engine, decisions, people         planner.py and the other five
storage      engine                            where runs are kept: checkpointers, history, forks, locks
show         engine                            what a person sees of a run: terminal, notebook, page
distributed  engine, decisions, storage, show  work beyond one process: steps on other machines, a queue of runs
evaluation   engine, patterns, show            which pattern is worth it, on cases with expected answers
server       engine, patterns                  the graphs that LangGraph Studio serves, and who may use them
cli          all others                        the `podium` command
"""

from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING


def _check_agents_package() -> None:
    """Refuse another distribution's `agents`, without importing it: that could run any code."""
    own = _Path(__file__).resolve().parents[1] / "agents" / "__init__.py"
    spec = _find_spec("agents")
    if spec is not None and _Path(spec.origin or "").resolve().with_suffix("") == own.with_suffix(""):
        return
    places = [] if spec is None else [spec.origin] if spec.has_location else spec.submodule_search_locations
    raise ImportError(
        f"Podium needs its own package 'agents', but Python found {next(iter(places or ()), 'none')}."
        " If it is your own file, rename it. PyPI's openai-agents, for one, installs a package of that name;"
        " put Podium into an environment without it, or its folder first on the path."
    )


_check_agents_package()

if TYPE_CHECKING:
    from graphs.decisions import EmbeddingClassifier, handoff_tool
    from graphs.engine import Pattern, Step, StepRecord
    from graphs.errors import (
        AgentError,
        ConfigurationError,
        DecisionError,
        InvalidPlanError,
        NoModelError,
        PodiumError,
        UnknownAgentError,
    )
    from graphs.evaluation import aevaluate, evaluate
    from graphs.network import Network, NetworkState
    from graphs.orchestrator import Orchestrator, OrchestratorState
    from graphs.planner import Planner, PlannerState
    from graphs.router import Router, RouterState
    from graphs.supervisor import Supervisor, SupervisorState
    from graphs.workflow import Workflow, WorkflowState

__all__ = [
    "AgentError",
    "ConfigurationError",
    "DecisionError",
    "EmbeddingClassifier",
    "InvalidPlanError",
    "Network",
    "NetworkState",
    "NoModelError",
    "Orchestrator",
    "OrchestratorState",
    "Pattern",
    "Planner",
    "PlannerState",
    "PodiumError",
    "Router",
    "RouterState",
    "Step",
    "StepRecord",
    "Supervisor",
    "SupervisorState",
    "UnknownAgentError",
    "Workflow",
    "WorkflowState",
    "aevaluate",
    "evaluate",
    "handoff_tool",
]


def __getattr__(name: str) -> object:
    """Load a name when it is first used (PEP 562): the `podium` command starts without LangGraph."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agents.runtime import lazily
    from graphs.engine import renderers

    if _pictures not in renderers:
        renderers.append(_pictures)
    return lazily(__name__)(name)


def _pictures(graph: object) -> dict[str, str]:
    from graphs.show import pictures

    return pictures(graph)
