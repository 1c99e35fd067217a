"""A workflow of dependent steps: check -> execute (each step as soon as its dependencies end) -> done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.graph import END, START

from agents.agent import Agent
from agents.runtime import Retry
from graphs.engine import (
    Box,
    Envelope,
    Execute,
    Input,
    Node,
    OnFailure,
    Pattern,
    PatternGraph,
    Problem,
    Step,
    StepRecord,
    by_name,
    closing,
    each,
    each_step,
    findings,
    read_plan,
)
from graphs.errors import InvalidPlanError

UNFINISHED = ("partial", "escalated", "needs_input")
"""Ends of a pattern that gave an answer, but not a complete one."""


class PlannedInput(Input, total=False):
    """The input of a workflow; `plan` only where the steps were not given when it was built."""

    plan: list[dict[str, Any]]


class WorkflowState(Envelope, PlannedInput, total=False):
    """The envelope, the steps to run and what became of them."""

    steps: dict[str, StepRecord]


class Workflow(Pattern):
    """Runs steps in parallel as far as their dependencies allow, without waiting for levels.

    Steps come from here or, where there are none, as `plan` (a list of `Step.as_dict()`) with each input.

    Args:
        steps: As `Step` or in its plain JSON form.
        agents: The team that the steps name.
        on_failure: When a step has failed, retries and fallback included. `skip`: its dependents are skipped, the
            rest goes on. `stop`: nothing new starts. `continue`: dependents run and are told what failed.
        max_parallel: Steps at work at once; None for as many as are ready. A caller's `max_concurrency` also counts.
        retry: For all steps that have none of their own; None for three attempts.

    Raises:
        ConfigurationError: The team is empty or a name taken twice, or a setting makes no sense.
        InvalidPlanError: The steps cannot be run; it names everything that is wrong with them.
    """

    name = "workflow"

    def __init__(
        self,
        steps: Iterable[Step | Mapping[str, Any]] = (),
        *,
        agents: Iterable[Agent],
        on_failure: OnFailure = "skip",
        max_parallel: int | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.agents = by_name(agents)
        self.steps, unreadable = read_plan(items := list(steps))
        if items and (flaws := unreadable or findings(self.steps, self.agents)):
            raise InvalidPlanError(flaws)
        self.execute = Execute(self.agents, on_failure=on_failure, max_parallel=max_parallel, retry=retry)

    def plan(self, state: WorkflowState) -> dict[str, Any]:
        """Take the steps from the constructor or else from the input, and refuse those that cannot be run."""
        plan = [step.as_dict() for step in self.steps] or state.get("plan") or []
        flaws = [] if self.steps else findings(plan, self.agents)
        if not flaws:
            return {"plan": plan}
        errors = [{"where": "check", "kind": "InvalidPlanError", "message": flaw} for flaw in flaws]
        return {"plan": plan, "errors": errors, "stop_reason": f"The steps cannot be run: {' '.join(flaws)}"}

    def sound(self, state: WorkflowState) -> Literal["execute", "done"]:
        """Run the steps only if nothing is wrong with them."""
        return "done" if state["stop_reason"] else "execute"

    def conclude(self, state: WorkflowState) -> dict[str, Any]:
        """Answer with the results that no other step uses, and say how it went."""
        steps = state["steps"]
        status, reason = judge(steps, state["stop_reason"])
        return {"status": status, "stop_reason": reason, "messages": [conclusion(state["messages"], steps, reason)]}

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, WorkflowState, input_schema=PlannedInput)
        graph.add_node("check", Node(after=self.plan, blank={"steps": {}}, unasked=True))
        graph.add_node("execute", self.execute)
        graph.add_node("done", Node(after=self.conclude))
        graph.add_edge(START, "check")
        graph.add_conditional_edges("check", self.sound)
        graph.add_edge("execute", "done")
        graph.add_edge("done", END)
        return graph

    def inside(self) -> dict[str, list[Box]]:
        """Draw the steps and their dependencies, or the team where the steps come with each input."""
        return {"execute": each_step(self.steps, self.agents) if self.steps else each(self.agents.values())}


def judge(steps: Mapping[str, StepRecord], stop_reason: str | None) -> tuple[str, str | None]:
    """Return the status of a run of steps, and the reason if it is not `completed`.

    A step whose agent is a pattern that ended as `partial`, `escalated` or `needs_input` makes the run partial; a run
    of that step alone ends as it did.
    """
    failed = [one for one in steps.values() if one["status"] == "failed"]
    done = [one for one in steps.values() if one["status"] == "completed"]
    unfinished = [(one["id"], told) for one in done for told in one["problems"] if _is_ending(one, told)]
    if not failed and not stop_reason and unfinished:
        step_id, told = unfinished[0]
        status = told["kind"] if len(steps) == 1 else "partial"
        return status, f"Step {step_id!r} ended as {told['kind']}: {told['message']}"
    if not failed and not stop_reason:
        return "completed", None
    reason = stop_reason or failed[0]["error"]
    if len(failed) > 1:
        reason = f"{len(failed)} of {len(steps)} steps failed; the first: {failed[0]['error']}"
    return ("partial" if done else "failed"), reason


def _is_ending(record: StepRecord, told: Problem) -> bool:
    return told["kind"] in UNFINISHED and told["where"] == f"{record['id']}/{record['answered_by']}"


def conclusion(messages: Sequence[Any], steps: Mapping[str, StepRecord], reason: str | None) -> AIMessage:
    """Return the message that a run of steps ends with: the results that no other step uses, or why there is none."""
    used = {one for record in steps.values() for one in record["dependencies"] if record["status"] == "completed"}
    last = [one for one in steps.values() if one["status"] == "completed" and one["id"] not in used]
    if len(last) == 1:
        return closing(messages, last[0]["result"] or "", last[0].get("message_id"))
    if last:
        return closing(messages, under_names(last))
    return closing(messages, reason or "No step had anything to do.")


def under_names(records: Iterable[StepRecord]) -> str:
    """List the results of those of some steps that are completed, each under its step's name."""
    done = [one for one in records if one["status"] == "completed"]
    return "\n\n".join(f"## {one['id']}\n\n{one['result']}" for one in done)
