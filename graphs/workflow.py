"""A workflow of dependent steps: check -> execute (each step as soon as its dependencies end) -> answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langgraph.graph import START

from agents import AnyAgent, Retry
from agents.assignment import History, check_history
from graphs.engine import (
    Conclusion,
    Execute,
    Input,
    OnFailure,
    Pattern,
    PatternGraph,
    PatternState,
    Step,
    StepRecord,
    Update,
    conclude_steps,
    findings,
    lacking_in_steps,
    read_plan,
    team_of,
)
from graphs.errors import InvalidPlanError


class PlannedInput(Input, total=False):
    """The input of a workflow; `plan` only where the steps were not passed to its constructor."""

    plan: list[dict[str, Any]]


class WorkflowState(PatternState):
    """The shared state, the steps to run, and their records."""

    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]


class Workflow(Pattern[WorkflowState]):
    """Runs steps in parallel as far as their dependencies allow, without waiting for levels.

    Steps come from the constructor or, where it has none, as `plan` (a list of `Step.as_dict()`) with each input.

    Args:
        steps: As `Step` or in its plain JSON form.
        agents: The team that the steps name.
        on_failure: When a step has failed, retries and fallback included. `skip`: its dependents are skipped, the
            rest goes on. `stop`: nothing new starts. `continue`: dependents run and learn what failed.
        max_parallel: Steps at work at once; None for as many as are ready. A caller's `max_concurrency` also counts.
        history: What agents see of the conversation before the request: `full`, `last`, a number of messages, or a
            function of the messages.
        retry: For all steps that have none of their own; None for three attempts.

    Raises:
        ConfigurationError: The team is empty or a name taken twice, or a setting makes no sense.
        InvalidPlanError: The steps cannot be run; it lists everything that is wrong with them.
    """

    name = "workflow"
    state_schema: type[Any] = WorkflowState
    record_schema: type[Any] = WorkflowState
    request_optional = True

    def __init__(
        self,
        steps: Iterable[Step | Mapping[str, object]] = (),
        *,
        agents: Iterable[AnyAgent],
        on_failure: OnFailure = "skip",
        max_parallel: int | None = None,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        self.agents = team_of(agents)
        self.steps, unreadable = read_plan(steps)
        if flaws := unreadable or (findings(self.steps, self.agents) if self.steps else []):
            raise InvalidPlanError(flaws)
        self.history, self.retry = check_history(history), retry
        self.execute = Execute(
            self.agents,
            steps=self.steps,
            on_failure=on_failure,
            max_parallel=max_parallel,
            retry=retry,
            assignment=self.assignment,
        )

    def check(self, state: WorkflowState) -> Update:
        """Take the steps from the constructor or else from the input, and refuse those that cannot be run."""
        plan = [step.as_dict() for step in self.steps] or state["plan"] or []
        flaws = [] if self.steps else findings(plan, self.agents)
        if self.steps and state["plan"] and state["plan"] != plan:
            flaws = ["This workflow has its own steps; pass a plan to a workflow without steps."]
        errors = [{"where": "check", "kind": "InvalidPlanError", "message": flaw} for flaw in flaws]
        return {"plan": plan, "errors": errors}

    def checked(self, state: WorkflowState) -> Literal["execute", "__end__"]:
        return "__end__" if state["errors"] else "execute"

    def conclude(self, state: WorkflowState) -> Conclusion:
        flaws = [] if state["steps"] else [error["message"] for error in state["errors"]]
        return conclude_steps(state["steps"], f"The steps cannot be run: {' '.join(flaws)}" if flaws else None)

    def build(self) -> PatternGraph[WorkflowState]:
        graph = PatternGraph(self, self.state_schema, input_schema=PlannedInput)
        graph.add_rule("check", self.check)
        graph.add_node("execute", self.execute)
        graph.add_edge(START, "check")
        graph.add_conditional_edges("check", self.checked)
        graph.add_edge("execute", "answer")
        return graph

    def known_tasks(self, value: object) -> Iterable[str]:
        plan = value.get("plan") if isinstance(value, dict) else None
        items = [*self.steps, *(plan if isinstance(plan, list) else ())]
        return [str(item.get("task") if isinstance(item, Mapping) else getattr(item, "task", "")) for item in items]

    def lacking(self, state: Mapping[str, Any], pending: Sequence[str]) -> list[str]:
        """Return the stored steps that this workflow cannot go on with; steps it has added come last."""
        return lacking_in_steps(state["plan"], state["steps"], self.agents, self.steps) if "execute" in pending else []
