"""A model endpoint on loopback that plays a whole team: it answers by what the prompt says, and notes who was asked."""

import json
from typing import Any

from agents.testing import FaultyProvider, Reply
from tests import roles
from tests.processes import Done, Processes
from tests.waiting import PATIENCE

PLAN = [
    {"id": "one", "agent": "writer", "task": "Write one", "dependencies": []},
    {"id": "two", "agent": "critic", "task": "Write two", "dependencies": ["one"]},
    {"id": "three", "agent": "writer", "task": "Write three", "dependencies": []},
]
MET = {"evidence": "it is so", "met": True}
VERDICT = {"criterion_1": MET, "criterion_2": MET}
_ROLES = {
    roles.TRIAGE: "triage",
    roles.PLANNER: "planner",
    roles.REVIEWER: "reviewer",
    roles.SYNTHESIZER: "synthesizer",
    roles.ROUTER: "router",
    roles.ASSISTANT: "assistant",
}


class Office(FaultyProvider):
    """`slow` names steps that take long, `route` whom the router chooses; `asked` lists who was asked, and steps."""

    def __init__(self, *, plan: list[dict[str, Any]] = PLAN, slow: str = "", route: str = "none") -> None:
        super().__init__()
        self.plan = plan
        self.slow = slow
        self.route = route
        self.asked: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_MODEL": "test"}

    def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Reply | str:
        super().reply_to(request, headers)
        prompt = "\n".join(str(message["content"]) for message in request["messages"])
        role = next((name for key, name in _ROLES.items() if key in prompt), "")
        task = prompt.rpartition("Your task: ")[2]
        step = next((item["id"] for item in self.plan if item["task"] in task), "")
        self.asked.append(role or step or "agent")
        if role:
            return self._said(role)
        return Reply("late", delay=PATIENCE) if step == self.slow and step else f"Text {step or 'of an agent'}"

    def _said(self, role: str) -> str:
        said: dict[str, Any] = {
            "triage": {"reason": "several parts", "small": False, "agent": "writer"},
            "planner": {"steps": self.plan},
            "reviewer": {"criteria": VERDICT, "feedback": ""},
            "router": {"reason": "it fits", "candidates": [{"agent": self.route, "confidence": 0.9}]},
            "synthesizer": "The *final* answer",
            "assistant": "All by myself",
        }
        return said[role] if isinstance(said[role], str) else json.dumps(said[role])


def listed(processes: Processes) -> list[dict[str, Any]]:
    """Return the stored runs."""
    found: list[dict[str, Any]] = json.loads(processes.podium("runs", "--json").out)
    return found


def latest(processes: Processes) -> str:
    """Return the id of the latest run."""
    return str(listed(processes)[0]["thread_id"])


def clean(done: Done) -> Done:
    """Return what a process wrote, if nothing went wrong in it."""
    assert "Traceback" not in done.told
    assert "Warning" not in done.told
    return done
