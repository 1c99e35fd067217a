"""Approvals by people: of a plan before it runs, and of work that was escalated to them."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from graphs.engine import Plan, Step, findings, read_plan
from graphs.people.questions import HumanDecision, Question

RUN_PLAN = "run_plan"


def plan_question(
    plan: Plan, *, approved: Plan, done: Collection[str], agents: Collection[str], max_steps: int
) -> Question:
    """Return the question whether a plan may run.

    Args:
        plan: The steps, in their JSON form.
        approved: The plan that was approved before, empty at first; the question then shows what has changed.
        done: The ids of finished steps, which cannot be changed.
        agents: The names that steps may use.
        max_steps: Steps that an edited plan may have.
    """

    def check(decision: HumanDecision) -> str | None:
        if decision["type"] == "reject" and not decision["message"]:
            return "A rejection needs a 'message' that says what the plan should do differently."
        if decision["type"] != "edit":
            return None
        flaws = [*findings(decision["args"]["steps"], agents, most=max_steps), *_changes(decision, plan, done)]
        return f"The edited plan cannot be run: {' '.join(flaws)}" if flaws else None

    return {
        "action": RUN_PLAN,
        "args": {"steps": [_essentials(step) for step in plan]},
        "description": _description(plan, approved),
        "allowed": ["approve", "edit", "reject"],
        "check": check,
    }


def edited_plan(decision: HumanDecision) -> list[dict[str, Any]]:
    """Return the steps of a decision, as the state keeps them."""
    return [step.as_dict() for step in read_plan(decision["args"]["steps"])[0]]


def plan_lines(plan: Plan) -> list[str]:
    """Return a plan as text, a line per step."""
    return [
        f"{step['id']} ({step['agent']}): {step['task']}"
        + (f"  [after {', '.join(step['dependencies'])}]" if step.get("dependencies") else "")
        for step in plan
    ]


def _essentials(step: Mapping[str, object]) -> dict[str, object]:
    """Return a step without the fields that are as they always are; an edited plan may leave them out, too."""
    usual = {**Step("", "", "").as_dict(), "dependencies": None}
    return {name: value for name, value in step.items() if name not in usual or value != usual[name]}


def _description(plan: Plan, approved: Plan) -> str:
    if not approved:
        return "\n".join(plan_lines(plan))
    difference = difflib.ndiff(plan_lines(approved), plan_lines(plan))
    changed = "\n".join(line for line in difference if not line.startswith("?"))
    return f"The plan has changed since it was approved:\n{changed}"


def _changes(decision: HumanDecision, plan: Plan, done: Collection[str]) -> list[str]:
    edited = {step["id"]: step for step in edited_plan(decision)}
    return [
        f"Step {step['id']!r} is done and cannot be changed; add a new one."
        for step in plan
        if step["id"] in done and edited.get(step["id"], step) != step
    ]


def work_question(best: str, case: Mapping[str, str]) -> Question:
    """Return the question whether work is accepted.

    Args:
        best: The best version; empty without one.
        case: The texts that the person is shown, by label.
    """
    shown = {label.replace("_", " ").capitalize(): text for label, text in case.items()}
    return {
        "action": "accept_work",
        "args": {"text": best},
        "description": "\n\n".join(f"{label}:\n{text}" for label, text in shown.items()),
        "allowed": ["approve", "edit", "reject"] if best else ["edit", "reject"],
        "check": _flaw_of_ruling,
    }


def _flaw_of_ruling(decision: HumanDecision) -> str | None:
    if decision["type"] == "edit" and not str(decision["args"].get("text") or "").strip():
        return "An edit needs the edited text."
    return None
