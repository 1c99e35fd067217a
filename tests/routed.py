"""Agents and decisions for the tests of routers."""

from typing import Any

from agents import Agent, Retry
from agents.testing import ScriptedModel
from graphs import Router

ASK = {"messages": "the request"}
THREAD = {"configurable": {"thread_id": "1"}}
AT_ONCE = Retry(wait=0)


def fail(task: str) -> str:
    raise ValueError(f"cannot do {task!r}")


def agent(name: str, *, fails: bool = False, **options: Any) -> Agent:
    return Agent(name, f"For {name}.", function=fail if fails else lambda task: f"{name}: {task}", **options)


BILLING, WEATHER, SPORTS, HELP = agent("billing"), agent("weather"), agent("sports"), agent("help")
BROKEN, BUST = agent("broken", fails=True), agent("bust", fails=True)
TEAM = [BILLING, WEATHER, SPORTS, BROKEN, BUST]


def ranking(**candidates: float) -> dict[str, Any]:
    named = [{"agent": key, "confidence": confidence} for key, confidence in candidates.items()]
    return {"reason": "because", "candidates": named}


def route(call: Any, *replies: Any, ask: Any = ASK, config: Any = None, **options: Any) -> Any:
    """Route a request by a model that answers with these rankings, errors or texts."""
    model = ScriptedModel([ranking(**reply) if isinstance(reply, dict) else reply for reply in replies])
    checkpointer = options.pop("checkpointer", None)
    router = Router(options.pop("agents", TEAM), model=model, retry=AT_ONCE, **options)
    return call(router.compile(checkpointer), ask, config)


def by_function(call: Any, said: Any, **options: Any) -> Any:
    router = Router(options.pop("agents", TEAM), classifier=lambda text: said, model=False, retry=AT_ONCE, **options)
    return call(router.compile(), ASK)


def text(state: Any) -> str:
    assert state["messages"][-1].type == "ai"
    return str(state["messages"][-1].text)


def outcome(state: Any) -> tuple[str, list[str], str]:
    return state["status"], state["route"]["chosen"], text(state)
