"""A team and its plans for the tests of planners."""

from typing import Any

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel
from graphs import Planner

ASK = {"messages": "Compare red and blue"}
AT_ONCE = Retry(wait=0)
THREAD = {"configurable": {"thread_id": "1"}}


def plan(*steps: dict[str, Any]) -> Reply:
    return Reply(data={"steps": steps}, usage=(100, 10))


def step(id: str, *dependencies: str, agent: str = "ann", task: str = "") -> dict[str, Any]:  # noqa: A002
    return {"id": id, "agent": agent, "task": task or f"do {id}", "dependencies": list(dependencies)}


ANSWER = Reply("The answer.", usage=(50, 5))
SOUND = plan(step("red"), step("blue", agent="bob"), step("both", "red", "blue", task="{red} or {blue}"))
APART = plan(step("red"), step("blue", agent="bob"))
"""Two results, of which an answer has to be written."""
HALF = plan(step("red"), step("bad", task="fail"), step("end", "red", "bad"))


class Team:
    """Ann and Bob, who write down their tasks; a task with `fail` in it fails a number of times."""

    def __init__(self, failures: int = 99) -> None:
        self.tasks: list[str] = []
        self.failures = failures

    def work(self, task: str) -> str:
        self.tasks.append(task)
        if "fail" in task and self.failures > 0:
            self.failures -= 1
            raise ValueError("too hard")
        return f"[{task}]"

    def planner(self, *script: Any, **options: Any) -> Any:
        checkpointer = options.pop("checkpointer", None)
        self.model = ScriptedModel(list(script))
        agents = [Agent("ann", "Knows red.", function=self.work), Agent("bob", "Knows blue.", function=self.work)]
        return Planner(agents, model=self.model, **{"retry": AT_ONCE, **options}).compile(checkpointer)

    @property
    def prompts(self) -> list[str]:
        return [call.prompt for call in self.model.calls]


def statuses(state: Any) -> str:
    return " ".join(f"{key}:{record['status']}" for key, record in state["steps"].items())
