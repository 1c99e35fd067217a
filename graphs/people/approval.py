"""A person's approval of a plan: approve it, edit it, or reject it with feedback, in LangChain's decision shapes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from agents.runtime import Effects, SyncAsyncRunnable, Usage, clean_data, no_usage
from graphs.engine import findings, read_plan
from graphs.people.questions import ask_person

ACTION = "run_plan"
MAY = ["approve", "edit", "reject"]


class Proposal(TypedDict):
    """A plan to be approved, and the one that was approved before it (empty at first)."""

    plan: list[dict[str, Any]]
    approved: list[dict[str, Any]]
    wanted: bool
    """Whether a person is to be asked at all."""
    done: list[str]
    """The ids of its finished steps, which can no longer be changed."""


class Approval(TypedDict):
    """What was decided: `type` is `approve`, `edit` or `reject`."""

    type: str
    plan: list[dict[str, Any]]
    """The plan to run, edited or not."""
    message: str
    """Why it was rejected."""
    usage: Usage


class AskApproval(SyncAsyncRunnable[Proposal, Approval]):
    """Interrupts the run with a plan, and asks again until the answer can be used.

    The interrupt's value is LangChain's human-in-the-loop request: one action `run_plan` with `{"steps": [...]}`, whose
    description shows the plan, or how it differs from the one that was approved. Resume with `{"decisions": [one]}` or
    the decision alone: `{"type": "approve"}`, `{"type": "edit", "edited_action": {"name": "run_plan", "args": {"steps":
    [...]}}}`, or `{"type": "reject", "message": why}`. Nobody is asked about a plan that has not changed, or is done.

    The request has the form of LangGraph's Agent Inbox too, which chat front ends before that of LangChain 1.0 show,
    and their answers are read: `[{"type": "accept" | "edit" | "response", "args": ...}]`.
    """

    def __init__(self, agents: Collection[str], most: int) -> None:
        self.agents = agents
        self.most = most

    async def run(self, effects: Effects, value: Proposal, config: RunnableConfig) -> Approval:
        """Return the decision."""
        as_it_is: Approval = {"type": "approve", "plan": value["plan"], "message": "", "usage": no_usage()}
        over = value["plan"] == value["approved"] or {one["id"] for one in value["plan"]} <= {*value["done"]}
        if over or not value["wanted"]:
            return as_it_is
        note = ""
        while True:
            said = _decision(clean_data(ask_person(request_for(value, note))))
            if said.get("type") == "approve":
                return as_it_is
            if said.get("type") == "reject" and str(said.get("message") or "").strip():
                return {**as_it_is, "type": "reject", "message": str(said["message"])}
            if said.get("type") == "edit":
                steps = _edited(said)
                plan = [step.as_dict() for step in read_plan(steps)[0]]
                flaws = findings(steps, self.agents, most=self.most) + _changes_of_done(value, plan)
                if not flaws:
                    return {**as_it_is, "type": "edit", "plan": plan}
                note = f"The edited plan cannot be run: {' '.join(flaws)}"
            else:
                note = "Answer with a 'type' of approve, edit (with edited_action) or reject (with message)."


def request_for(value: Proposal, note: str) -> dict[str, Any]:
    """Return the human-in-the-loop request for a plan."""
    shown = "\n".join(lines(value["plan"]))
    if value["approved"]:
        difference = difflib.ndiff(lines(value["approved"]), lines(value["plan"]))
        shown = "The plan has changed since it was approved:\n" + "\n".join(
            line for line in difference if not line.startswith("?")
        )
    description = f"{note}\n\n{shown}".strip()
    args = {"steps": value["plan"]}
    return {
        "action_requests": [{"name": ACTION, "args": args, "description": description}],
        "review_configs": [{"action_name": ACTION, "allowed_decisions": MAY}],
        "action_request": {"action": ACTION, "args": args},
        "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": False},
        "description": description,
    }


def lines(plan: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a plan as text, a line per step."""
    return [
        f"{step['id']} ({step['agent']}): {step['task']}"
        + (f"  [after {', '.join(step['dependencies'])}]" if step.get("dependencies") else "")
        for step in plan
    ]


def _changes_of_done(value: Proposal, plan: Sequence[Mapping[str, Any]]) -> list[str]:
    edited = {step["id"]: step for step in plan}
    done = [step for step in value["plan"] if step["id"] in value["done"]]
    return [
        f"Step {step['id']!r} is done and cannot be changed; add a new one."
        for step in done
        if edited.get(step["id"], step) != step
    ]


def _edited(said: dict[str, Any]) -> list[Any]:
    """Return the steps of an edited plan, none if the answer has another form."""
    action = said.get("edited_action")
    arguments = action.get("args") if isinstance(action, dict) else None
    steps = arguments.get("steps") if isinstance(arguments, dict) else None
    if isinstance(steps, str):  # Agent Inbox edits JSON as text
        try:
            steps = json.loads(steps)
        except ValueError:
            return []
    return steps if isinstance(steps, list) else []


def _decision(said: Any) -> dict[str, Any]:
    if isinstance(said, str):
        return {"type": said}
    if isinstance(said, dict) and isinstance(said.get("decisions"), list):
        said = said["decisions"]
    if isinstance(said, list) and said:
        said = said[0]
    return _as_decision(said) if isinstance(said, dict) else {}


def _as_decision(said: dict[str, Any]) -> dict[str, Any]:
    """Read an answer of Agent Inbox as a decision; others stay as they are."""
    args = said.get("args")
    if said.get("type") == "accept":
        return {"type": "approve"}
    if said.get("type") == "response":
        return {"type": "reject", "message": args}
    if said.get("type") == "edit" and isinstance(args, dict):
        return {"type": "edit", "edited_action": {"name": ACTION, "args": args.get("args")}}
    return said
