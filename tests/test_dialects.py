"""The same patterns over the real wires of three providers, by LangChain's packages for them."""

import base64
import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from agents import Agent
from agents.testing import Reply
from graphs import Network, Planner, Router
from tests.dialects import Dialects

pytestmark = pytest.mark.parametrize("dialect", ["completions", "responses", "anthropic", "ollama"])

ASK = {"messages": "Write of rain"}
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()


def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} is wet"


def test_a_plan_is_made_and_carried_out(call: Any, dialect: str) -> None:
    steps = [
        {"id": "a", "agent": "ann", "task": "Find rain", "dependencies": []},
        {"id": "b", "agent": "ann", "task": "Write of rain", "dependencies": ["a"]},
    ]
    script = {"You are the planner": {"steps": steps}, "You write the final answer": "All of it.", "": "A part."}
    with Dialects(script) as provider:
        model = provider.model(dialect)
        state = call(Planner([Agent("ann", "Works.", instructions="Work.", model=model)], model=model).compile(), ASK)
    assert (state["status"], [record["result"] for record in state["steps"].values()]) == ("completed", ["A part."] * 2)
    assert (state["usage"]["input_tokens"], state["usage"]["output_tokens"]) == (2 * 3, 3 * 3)


def test_work_is_handed_over(call: Any, dialect: str) -> None:
    hand_over = Reply(tool_calls=[{"name": "handoff_to_bob", "args": {"task": "Write", "reason": "He can"}}])
    with Dialects([hand_over, "Rain is wet."]) as provider:
        model = provider.model(dialect)
        peers = [Agent(name, "Works.", instructions=f"I am {name}.", model=model) for name in ("ann", "bob")]
        state = call(Network(peers).compile(), ASK)
    assert (state["status"], state["active"], state["messages"][-1].text) == ("completed", "bob", "Rain is wet.")


def test_tools_are_called_and_their_errors_answered(call: Any, dialect: str) -> None:
    wrong = Reply("I look.", tool_calls=[{"name": "look_up", "args": {}}])
    both = Reply(tool_calls=[{"name": "look_up", "args": {"word": word}} for word in ("rain", "snow")])
    with Dialects([wrong, both, "Both are wet."]) as provider:
        agent = Agent("ann", instructions="Work.", model=provider.model(dialect), tools=[look_up])
        assert call(agent, "Rain and snow?")["text"] == "Both are wet."
    assert "word" in json.dumps(provider.requests[1])
    last = json.dumps(provider.requests[2])
    assert "rain is wet" in last
    assert "snow is wet" in last


class Report(BaseModel):
    words: int


def test_a_reply_has_a_form(call: Any, dialect: str) -> None:
    with Dialects(["Two words.", {"words": 2}]) as provider:
        model = provider.model(dialect)
        agent = Agent("ann", instructions="Count.", model=model, response_format=Report)
        assert call(agent, "Count: rain, snow")["data"] == {"words": 2}


def test_a_picture_reaches_the_model(call: Any, dialect: str) -> None:
    picture = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    message = HumanMessage([{"type": "text", "text": "What is it?"}, picture])
    with Dialects(["A pixel."]) as provider:
        agent = Agent("ann", instructions="Look.", model=provider.model(dialect))
        state = call(Router([agent], classifier=lambda text: "ann", model=False).compile(), {"messages": [message]})
    assert state["messages"][-1].text == "A pixel."
    assert PIXEL in json.dumps(provider.requests[0])


def test_words_stream(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    with Dialects("Rain is wet.", repeat=True) as provider:
        agent = Agent("ann", instructions="Work.", model=provider.model(dialect), tools=[look_up])
        *deltas, last = agent.stream("Rain?")
        router = Router([agent], classifier=lambda text: "ann", model=False).as_agent("outer", "Works.")
        graph = Router([router], classifier=lambda text: "outer", model=False).compile()
        pieces = [chunk.text for chunk, _ in graph.stream(ASK, stream_mode="messages")]
    assert [delta["delta"] for delta in deltas] == ["Rain", " is", " wet."]
    assert last["text"] == "Rain is wet."
    assert [piece for piece in pieces if piece] == ["Rain", " is", " wet."]
    assert last["usage"]["output_tokens"] == 3
    assert caplog.records == []
