"""A person's decision about work that was escalated to them."""

from __future__ import annotations

from collections.abc import Mapping

from graphs.people.questions import HumanDecision, Question


def work_question(best: str, case: Mapping[str, str]) -> Question:
    """Return the question whether work is accepted.

    Args:
        best: The best version, empty if there is none.
        case: What the person is shown, by label.
    """
    shown = {label.replace("_", " ").capitalize(): text for label, text in case.items()}
    return {
        "action": "accept_work",
        "args": {"text": best},
        "description": "\n\n".join(f"{label}:\n{text}" for label, text in shown.items()),
        "allowed": ["approve", "edit", "reject"] if best else ["edit", "reject"],
        "check": _check,
    }


def _check(decision: HumanDecision) -> str | None:
    if decision["type"] == "edit" and not str(decision["args"].get("text") or "").strip():
        return "An edit needs the edited text."
    return None
