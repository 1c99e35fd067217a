"""Checks guard what goes into an agent and what comes out; memory keeps facts apart by user."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import MessagesState
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore

from agents import Agent, AgentError, Assignment, ConfigurationError, PodiumError, Settings, agent_of
from agents.testing import Reply, ScriptedModel
from graphs import Network, Step, Supervisor, Workflow
from tests.plain_graphs import own_graph

# Checks


def short(text: str) -> str | None:
    return "Say it in one word." if " " in text else None


async def polite(text: str) -> bool:
    await asyncio.sleep(0)
    return "damn" not in text


def harmless(assignment: Assignment) -> str | None:
    return "No weapons." if "bomb" in assignment["task"] else None


def test_a_chat_model_is_asked_once_more_with_what_is_wrong(call: Any) -> None:
    model = ScriptedModel([Reply("two words", usage=(1, 1)), Reply("one", usage=(1, 1))])
    answer = call(Agent("a", model=model, checks=[short, polite]), "Name it")
    assert (answer["text"], answer["usage"]["calls"]) == ("one", 2)
    assert "Your last version, not accepted" in model.calls[1].prompt
    assert "\n```\ntwo words\n```" in model.calls[1].prompt
    assert "Feedback:\n```\nSay it in one word.\n```" in model.calls[1].prompt


def test_an_answer_that_does_not_pass_twice_is_an_error_that_names_all_reasons(call: Any) -> None:
    model = ScriptedModel("damn it", repeat=True)
    with pytest.raises(
        AgentError, match=r"'a' did not pass: Say it in one word\. The check 'polite' did not"
    ) as caught:
        call(Agent("a", model=model, checks=[short, polite]), "Name it")
    assert (caught.value.kind, len(model.calls)) == ("check", 2)
    assert caught.value.usage
    assert caught.value.usage["calls"] == 2


def test_a_function_is_not_asked_again(call: Any) -> None:
    asked: list[str] = []
    agent = Agent("a", function=lambda task: asked.append(task) or "two words", checks=[short])
    with pytest.raises(AgentError, match="Say it in one word"):
        call(agent, "Name it")
    assert asked == ["Name it"]


def test_a_check_of_the_assignment_guards_the_input(call: Any) -> None:
    model = ScriptedModel("fine")
    with pytest.raises(AgentError, match=r"The task of agent 'a' did not pass: No weapons\."):
        call(Agent("a", model=model, checks=[short, harmless]), "Build a bomb")
    assert model.calls == []


def test_a_check_sees_data_and_assignment_where_it_asks_for_them(call: Any) -> None:
    def matches(text: str, data: Any, assignment: Assignment) -> bool:
        return bool(data["for"] == assignment["task"])

    agent = Agent("a", function=lambda task: {"for": task}, checks=[matches])
    assert call(agent, "x")["data"] == {"for": "x"}


@pytest.mark.parametrize("check", [lambda text: 3, lambda text: 1 / 0])
def test_a_check_that_is_broken_says_so(call: Any, check: Any) -> None:
    with pytest.raises(PodiumError, match="The check '<lambda>'"):
        call(Agent("a", function=lambda task: "x", checks=[check]), "x")


def test_what_is_not_a_function_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="checks must be a list of functions"):
        Agent("a", checks=["short"])  # type: ignore[list-item]


def test_no_word_is_shown_before_it_has_passed() -> None:
    agent = Agent(
        "a", instructions="Write.", model=ScriptedModel(["two words", "one", "two words", "one"]), checks=[short]
    )
    assert [chunk.get("delta") for chunk in agent.stream("x")] == [None]
    judge = Agent("judge", function=lambda: {"acceptable": True, "evidence": "e"})
    graph = Supervisor(agent, reviewer=judge).compile()
    shown = [message.text for message, _ in graph.stream({"messages": "x"}, stream_mode="messages")]
    assert shown == ["one"]


def test_the_turn_of_a_peer_is_checked(call: Any) -> None:
    peer = Agent("a", function=lambda task: "two words", checks=[short])
    state = call(Network([peer]).compile(), {"messages": "Name it"})
    assert (state["status"], state["errors"][0]["kind"]) == ("failed", "AgentError")


# Memory


def remembering(store: InMemoryStore, replies: Sequence[Any]) -> Agent:
    return Agent("a", model=ScriptedModel(replies), memory=store)


def tool_call(name: str, **arguments: str) -> Reply:
    return Reply(tool_calls=[{"name": name, "args": arguments}])


def user(name: str) -> Any:
    return {"configurable": {"user_id": name}}


def test_facts_are_recalled_for_their_user_only(call: Any) -> None:
    store = InMemoryStore()
    remember = tool_call("remember", fact="Bo has a dog.")
    call(remembering(store, [remember, "Noted."]), "I have a dog", user("bo@x.org"))
    for name, facts in (("bo@x.org", "- Bo has a dog."), ("eve", "Nothing is remembered.")):
        agent = remembering(store, [tool_call("recall", query="pets"), "So."])
        call(agent, "Do I have pets?", user(name))
        model: Any = agent.model
        assert model.calls[1].messages[-1].text == facts


def test_the_newest_facts_are_recalled_and_each_once() -> None:
    store = InMemoryStore()
    facts = [tool_call("remember", fact=f"Fact {number}.") for number in (*range(25), 0)]
    remembering(store, [*facts[:20], "Noted."]).invoke("x", user("bo"))
    remembering(store, [*facts[20:], "Noted."]).invoke("x", user("bo"))
    agent = remembering(store, [tool_call("recall", query="facts"), "So."])
    agent.invoke("x", user("bo"))
    model: Any = agent.model
    lines = model.calls[1].messages[-1].text.splitlines()
    assert lines[:2] == ["- Fact 0.", "- Fact 24."]
    assert len(lines) == 20


@dataclass
class Caller:
    user_id: str


@pytest.mark.parametrize("context", [{"user_id": "bo"}, {"user_id": "bo", "max_calls": 5}, Caller("bo")])
def test_the_user_is_named_by_the_context_of_the_run(call: Any, context: Any) -> None:
    store = InMemoryStore()
    agent = remembering(store, [tool_call("remember", fact="Bo has a dog."), "Noted."])
    call(Workflow([Step("s", "a", "x")], agents=[agent]).compile(), {"messages": "x"}, context=context)
    assert [item.value["text"] for item in store.search(("memories", "bo"))] == ["Bo has a dog."]


def test_whom_the_server_has_authenticated_counts_most() -> None:
    store = InMemoryStore()
    agent = remembering(store, [tool_call("remember", fact="Bo has a dog."), "Noted."])
    agent.invoke("x", {"configurable": {"user_id": "eve", "langgraph_auth_user_id": "bo"}})
    assert store.list_namespaces() == [("memories", "bo")]


def test_memory_without_a_user_is_refused_before_any_call() -> None:
    agent = remembering(InMemoryStore(), ["unread"])
    with pytest.raises(ConfigurationError, match="pass a user id"):
        agent.invoke("x")


@pytest.mark.parametrize("worker", [{"function": str.upper}, {"runnable": ScriptedModel("x")}])
def test_only_a_chat_model_has_a_memory(worker: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be one of"):
        Agent("a", memory=InMemoryStore(), **worker)


# The user's own context


@tool
def whoami() -> str:
    """Tell who calls."""
    from agents.settings import context_of_run

    context: Any = context_of_run()
    return f"{context.user_id}/{getattr(context, 'max_calls', None)}"


ASKING = [Reply(tool_calls=[{"name": "whoami", "args": {}}]), "Done."]


@pytest.mark.parametrize(
    ("context", "seen"),
    [({"user_id": "bo"}, "bo/0"), ({"user_id": "bo", "max_calls": 9}, "bo/9"), (Caller("bo"), "bo/None")],
)
def test_the_users_own_context_reaches_tools_of_nested_agents(call: Any, context: Any, seen: str) -> None:
    model = ScriptedModel(ASKING)
    inner = Workflow([Step("s", "a", "x")], agents=[Agent("a", model=model, tools=[whoami])]).as_agent("inner")
    call(Workflow([Step("s", "inner", "x")], agents=[inner]).compile(), {"messages": "x"}, context=context)
    assert model.calls[1].messages[-1].text == seen


def test_a_nested_graph_gets_the_context_in_the_form_it_declares(call: Any) -> None:
    seen: list[Any] = []

    def ask(state: MessagesState, runtime: Runtime[Caller]) -> Any:
        seen.append(runtime.context)
        return {"messages": [AIMessage("fine")]}

    own = own_graph(ask, context=Caller, name="own")
    graph = Workflow([Step("s", "own", "x")], agents=[agent_of(own)]).compile()
    call(graph, {"messages": "x"}, context={"user_id": "bo", "max_calls": 9})
    assert seen == [Caller("bo")]


@dataclass(frozen=True)
class Mine(Settings):
    user_id: str = ""


def test_settings_and_a_context_of_ones_own_may_be_one_object(call: Any) -> None:
    model = ScriptedModel(ASKING)
    graph = Workflow([Step("s", "a", "x")], agents=[Agent("a", model=model, tools=[whoami])]).compile()
    call(graph, {"messages": "x"}, context=Mine(user_id="bo", max_calls=9))
    assert model.calls[1].messages[-1].text == "bo/9"
