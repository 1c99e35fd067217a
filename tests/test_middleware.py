"""LangChain's own middleware around an agent of ours, composed with ours."""

from typing import Any

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from agents import Agent, AgentError, ConfigurationError, Retry
from agents.runtime import Attempts
from agents.testing import Fault, FaultyProvider, Reply, ScriptedModel
from graphs import Network, Step, Workflow

LOOKING = Reply(tool_calls=[{"name": "look_up", "args": {"word": "rain"}, "id": "1"}])


def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} is wet"


def ask(call: Any, agent: Agent, task: Any = "What is rain?") -> Any:
    outcome = call(Attempts(agent, Retry(wait=0)), task)
    if outcome.error is not None:
        raise outcome.error
    return outcome.reply


def test_personal_data_reach_neither_model_nor_answer(call: Any) -> None:
    with FaultyProvider(["Write to bo@example.com."]) as provider:
        guards = [PIIMiddleware("email", apply_to_input=True, apply_to_output=True)]
        agent = Agent("a", instructions="Help.", model=provider.chat_model(), middleware=guards)
        assert ask(call, agent, "I am ann@example.com")["text"] == "Write to [REDACTED_EMAIL]."
    assert provider.requests[0]["messages"][-1]["content"] == "I am [REDACTED_EMAIL]"


def test_a_long_conversation_is_summarised(call: Any) -> None:
    summariser = ScriptedModel("They spoke of rain.")
    middleware = [SummarizationMiddleware(summariser, trigger=("messages", 4), keep=("messages", 1))]
    before = [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("Rain?"), AIMessage("Rain.")]
    with FaultyProvider(["Fine."]) as provider:
        agent = Agent("a", instructions="Help.", model=provider.chat_model(), middleware=middleware)
        assert ask(call, agent, {"task": "And now?", "conversation": before})["text"] == "Fine."
    assert len(summariser.calls) == 1
    assert "They spoke of rain." in provider.requests[0]["messages"][1]["content"]


@pytest.mark.parametrize(("decision", "told"), [("approve", "rain is wet"), ("reject", "No need.")])
def test_a_person_decides_on_a_tool_call(call: Any, decision: str, told: str) -> None:
    model = ScriptedModel([LOOKING, "Done."])
    ask_first = HumanInTheLoopMiddleware({"look_up": True})
    agent = Agent("a", instructions="Help.", model=model, tools=[look_up], middleware=[ask_first])
    graph = Workflow([Step("s", "a", "Look up")], agents=[agent]).compile(InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    call(graph, {"messages": "Rain?"}, thread)
    (asked,) = graph.get_state(thread).interrupts
    assert asked.value["action_requests"][0]["name"] == "look_up"
    choice = {"type": decision} | ({"message": "No need."} if decision == "reject" else {})
    state = call(graph, Command(resume={"decisions": [choice]}), thread)
    assert (state["status"], state["messages"][-1].text, len(model.calls)) == ("completed", "Done.", 2)
    assert told in model.calls[1].messages[-1].text


def test_outside_of_a_pattern_nobody_is_asked(call: Any) -> None:
    ask_first = HumanInTheLoopMiddleware({"look_up": True})
    agent = Agent("a", model=ScriptedModel([LOOKING, "Done."]), tools=[look_up], middleware=[ask_first])
    with pytest.raises(AgentError, match="'a' asks a person; let it work in a pattern compiled with a checkpointer"):
        call(agent, "Rain?")


def test_limits_of_calls_end_as_they_say(call: Any) -> None:
    model = ScriptedModel(LOOKING)
    limit: Any = ModelCallLimitMiddleware(run_limit=2)
    agent = Agent("a", model=model, tools=[look_up], middleware=[limit])
    assert "limit" in ask(call, agent)["text"]
    assert len(model.calls) == 2
    limited = ToolCallLimitMiddleware(run_limit=1, exit_behavior="error")
    with pytest.raises(Exception, match="limit"):
        ask(call, Agent("a", model=ScriptedModel(LOOKING), tools=[look_up], middleware=[limited]))


def test_a_fallback_takes_over_when_our_retries_are_used_up(call: Any) -> None:
    with FaultyProvider(Fault.of(503)) as broken, FaultyProvider([LOOKING, "Wet."]) as provider:
        fallback = ModelFallbackMiddleware(provider.chat_model())
        agent = Agent("a", model=broken.chat_model(), tools=[look_up], middleware=[fallback], instructions="Help.")
        assert ask(call, agent)["text"] == "Wet."
    assert (len(broken.requests), len(provider.requests)) == (6, 2)


class Report(BaseModel):
    words: int


class Noting(AgentMiddleware[Any, Any]):
    """Notes what passes: the model's exceptions after our retries, a tool's before it is an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.notes.append("model")
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        self.notes.append("model")
        return await handler(request)

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return handler(request)
        except Exception as error:
            self.notes.append(type(error).__name__)
            raise

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except Exception as error:
            self.notes.append(type(error).__name__)
            raise


def test_the_order_is_the_documented_one(call: Any) -> None:
    def fail() -> str:
        """Fail."""
        raise KeyError("none")

    noting = Noting()
    script = [ConnectionError("gone"), Reply(tool_calls=[{"name": "fail", "args": {}}]), {"words": 2}]
    agent = Agent("a", model=ScriptedModel(script), tools=[fail], middleware=[noting], response_format=Report)
    assert ask(call, agent)["data"] == {"words": 2}
    assert noting.notes == ["model", "KeyError", "model"]


def test_middleware_goes_with_an_agent_into_a_network(call: Any) -> None:
    noting = Noting()
    model = ScriptedModel([Reply(tool_calls=[{"name": "handoff_to_b", "args": {"task": "t", "reason": "r"}}])])
    peers = [Agent("a", model=model, middleware=[noting]), Agent("b", function=str.upper)]
    assert call(Network(peers).compile(), {"messages": "hi"})["messages"][-1].text == "T"
    assert noting.notes == ["model"]


def test_tools_and_middleware_need_a_model_that_calls_tools() -> None:
    model = ScriptedModel("x", profile={"tool_calling": False})
    with pytest.raises(ConfigurationError, match="need a model that calls tools"):
        Agent("a", model=model, tools=[look_up], middleware=[Noting()]).invoke("x")
    assert Agent("a", model=model, middleware=[Noting()]).invoke("x")["text"] == "x"


def test_an_error_of_middleware_is_an_error_of_the_agent(call: Any) -> None:
    guard = PIIMiddleware("email", strategy="block", apply_to_input=True)
    agent = Agent("a", instructions="Help.", model=ScriptedModel("x"), middleware=[guard])
    with pytest.raises(Exception, match="email") as caught:
        ask(call, agent, "I am ann@example.com")
    assert not isinstance(caught.value, AgentError)
