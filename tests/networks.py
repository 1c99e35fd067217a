"""Peers for the tests of networks."""

from typing import Any

from langchain_core.runnables import RunnableConfig

from agents import Agent, Retry
from agents.testing import Reply
from graphs import Network

ASK = {"messages": "the request"}
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}
AT_ONCE = Retry(wait=0)


def to(peer: str, task: str = "go on", reason: str = "because") -> dict[str, str]:
    return {"to": peer, "task": task, "reason": reason}


def says(name: str, *replies: Any) -> Agent:
    """Make a peer that is a function; it returns or raises these replies in turn, the last one for good."""
    left = list(replies)

    def speak(task: str) -> Any:
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    return Agent(name, f"Knows {name}.", function=speak)


def hands(peer: str, task: str = "go on", text: str = "", beside: Any = ()) -> Reply:
    handoff = {"name": f"handoff_to_{peer}", "args": {"task": task, "reason": "because"}}
    return Reply(text, tool_calls=[*beside, handoff])


def run(call: Any, *peers: Agent, ask: Any = ASK, config: Any = None, **options: Any) -> Any:
    checkpointer = options.pop("checkpointer", None)
    return call(Network(peers, retry=AT_ONCE, **options).compile(checkpointer), ask, config)


def text(state: Any) -> str:
    assert state["messages"][-1].type == "ai"
    return str(state["messages"][-1].text)


def outcome(state: Any) -> tuple[str, str, str]:
    return state["status"], state["active"], text(state)


def way(state: Any) -> list[str]:
    return [
        f"{handoff['by']}>{handoff['to']}" + (" refused" if "refused" in handoff else "")
        for handoff in state["handoffs"]
    ]
