"""One turn of an agent: it answers, or hands over by a tool, a function's reply or a command."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.types import Command, Send

from agents import Agent, AgentError, EmptyReplyError
from agents.runtime import Effects
from agents.testing import Reply, ScriptedModel
from agents.usage import Tally
from graphs import handoff_tool
from graphs.decisions.handoffs import FINISH, HANDOFF, TakeTurn, Turn, finish_tool

TOOLS = [handoff_tool("bob", "Knows numbers."), handoff_tool("eve")]
TO_BOB = {"to": "bob", "task": "add them", "reason": "numbers"}
TO_EVE = {"to": "eve", "task": "write", "reason": "words"}


@tool
def look_up(order: int) -> str:
    """Look up an order."""
    return f"order {order} is on its way"


def handing(*handoffs: dict[str, str], text: str = "", beside: Any = ()) -> Reply:
    calls = [
        {"name": f"handoff_to_{to_agent['to']}", "args": {"task": to_agent["task"], "reason": to_agent["reason"]}}
        for to_agent in handoffs
    ]
    return Reply(text, tool_calls=[*beside, *calls])


LOOK_UP = {"name": "look_up", "args": {"order": 5}}


def role(*replies: Any, **options: Any) -> Agent:
    return Agent("ann", model=ScriptedModel(list(replies)), **options)


def graph(*replies: Any, tools: Any = TOOLS) -> Agent:
    return Agent("ann", runnable=create_agent(ScriptedModel(list(replies)), [*tools, look_up]))


def take(call: Any, agent: Agent, tools: Any = TOOLS) -> Turn:
    turn: Turn = call(TakeTurn(agent, tools), "the task")
    return turn


@pytest.fixture(params=[role, graph])
def peer(request: pytest.FixtureRequest) -> Any:
    """Make a peer of both kinds that can have tools: a role, and a graph that a user has built."""
    return lambda *replies: request.param(*replies, **({"tools": [look_up]} if request.param is role else {}))


# By a tool


def test_a_peer_answers(call: Any, peer: Any) -> None:
    turn = take(call, peer("the answer"))
    assert (turn["text"], turn["handoff"], turn["status"], turn["usage"]["calls"]) == (
        "the answer",
        None,
        "completed",
        1,
    )


def test_a_peer_hands_over_in_one_call(call: Any, peer: Any) -> None:
    turn = take(call, peer(handing(TO_BOB, text="Bob knows.")))
    assert (turn["text"], turn["handoff"], turn["ignored"]) == ("Bob knows.", TO_BOB, [])
    assert turn["usage"]["calls"] == 1


def test_the_first_of_several_handoffs_wins(call: Any, peer: Any) -> None:
    turn = take(call, peer(handing(TO_EVE, TO_BOB)))
    assert (turn["handoff"], turn["ignored"], turn["usage"]["calls"]) == (TO_EVE, [TO_BOB], 1)


def test_a_tool_beside_a_handoff_runs_and_ends_the_turn_of_a_role(call: Any) -> None:
    turn = take(call, role(handing(TO_BOB, beside=[LOOK_UP], text="One moment."), tools=[look_up]))
    assert (turn["handoff"], turn["usage"]["calls"]) == (TO_BOB, 1)
    assert turn["text"] == "One moment.\n\nlook_up: order 5 is on its way"


def test_a_tool_that_failed_beside_a_handoff_is_not_passed_on(call: Any) -> None:
    unknown = {"name": "look_down", "args": {}}
    turn = take(call, role(handing(TO_BOB, beside=[unknown], text="One moment.")))
    assert (turn["handoff"], turn["text"]) == (TO_BOB, "One moment.")


def test_a_handoff_counts_though_a_users_graph_goes_on(call: Any) -> None:
    turn = take(call, graph(handing(TO_BOB, beside=[LOOK_UP]), "Bob will tell you about order 5."))
    assert (turn["handoff"], turn["text"]) == (TO_BOB, "Bob will tell you about order 5.")


def test_a_handoff_after_other_tools_counts(call: Any, peer: Any) -> None:
    turn = take(call, peer(Reply(tool_calls=[LOOK_UP]), handing(TO_BOB)))
    assert (turn["handoff"], turn["text"], turn["usage"]["calls"]) == (TO_BOB, "", 2)


def test_a_tool_that_does_not_exist_is_the_models_to_mend(call: Any, peer: Any) -> None:
    nobody = Reply(tool_calls=[{"name": "handoff_to_nobody", "args": {"task": "x", "reason": "y"}}])
    turn = take(call, peer(nobody, "Then I answer myself."))
    assert (turn["handoff"], turn["text"]) == (None, "Then I answer myself.")


@pytest.mark.parametrize("arguments", [{}, {"task": "x"}, {"task": ["x"], "reason": "y"}])
def test_a_handoff_with_wrong_arguments_is_no_answer(call: Any, peer: Any, arguments: Any) -> None:
    with pytest.raises(EmptyReplyError, match="handoff_to_bob") as caught:
        take(call, peer(Reply(tool_calls=[{"name": "handoff_to_bob", "args": arguments}])))
    assert caught.value.usage is not None
    assert caught.value.usage["calls"] == 1


def test_a_role_without_tools_of_its_own_takes_its_turn(call: Any) -> None:
    nobody = Reply(tool_calls=[{"name": "handoff_to_nobody", "args": {}}])
    turn = take(call, role(nobody, handing(TO_BOB)))
    assert (turn["handoff"], turn["usage"]["calls"]) == (TO_BOB, 2)
    assert take(call, role("the answer"))["text"] == "the answer"
    with pytest.raises(EmptyReplyError, match="handoff_to_bob"):
        take(call, role(Reply(tool_calls=[{"name": "handoff_to_bob", "args": {}}])))


def test_another_tool_of_the_same_turn_does_not_hide_a_wrong_handoff(call: Any, peer: Any) -> None:
    wrong = {"name": "handoff_to_bob", "args": {}}
    turn = take(call, peer(Reply(tool_calls=[wrong, LOOK_UP]), handing(TO_BOB)))
    assert turn["handoff"] == TO_BOB


def test_tools_that_are_the_answer_by_themselves_still_are(call: Any) -> None:
    @tool(return_direct=True)
    def direct() -> str:
        """Answer."""
        return "as it is"

    turn = take(call, role(Reply(tool_calls=[{"name": "direct", "args": {}}]), tools=[direct]))
    assert (turn["text"], turn["handoff"]) == ("as it is", None)


def test_every_tool_call_is_answered() -> None:
    turn = TakeTurn(role(handing(TO_EVE, TO_BOB, beside=[LOOK_UP]), tools=[look_up]), TOOLS)
    messages = asyncio.run(turn.agent.reply(Effects(), {"task": "the task"}, {}, Tally()))["messages"]
    (asked,) = [message for message in messages if isinstance(message, AIMessage)]
    answered = {message.tool_call_id: message.text for message in messages if isinstance(message, ToolMessage)}
    assert [answered[str(call["id"])] for call in asked.tool_calls] == [
        "order 5 is on its way",
        "Handed over to eve.",
        "Handed over to bob.",
    ]


def test_a_peer_is_offered_its_own_tools_and_the_networks_each_once() -> None:
    model = ScriptedModel("x")
    take(TakeTurn.invoke, Agent("ann", model=model, tools=[look_up, handoff_tool("bob", "Mine.")]))
    assert sorted(model.calls[0].tools) == ["handoff_to_bob", "handoff_to_eve", "look_up"]


def test_a_handoff_tool_says_what_it_is_for() -> None:
    bob = handoff_tool("bob", "Knows numbers.")
    assert (bob.name, "Hand the work over to bob. Knows numbers." in bob.description) == ("handoff_to_bob", True)
    assert bob.args.keys() == {"task", "reason"}
    call = {"name": bob.name, "args": {"task": "t", "reason": "r"}, "id": "1", "type": "tool_call"}
    assert bob.invoke(call).artifact == {HANDOFF: {"to": "bob", "task": "t", "reason": "r"}}


def test_a_peer_of_a_group_chat_finishes(call: Any) -> None:
    turn = take(call, role(Reply("So:", tool_calls=[{"name": "finish", "args": {"answer": "42"}}])), [finish_tool()])
    assert (turn["text"], turn["handoff"]) == ("So:", {"to": FINISH, "task": "42", "reason": "finished"})


# By models that cannot call tools


def unable(*script: Any) -> Agent:
    return Agent("ann", model=ScriptedModel(list(script), profile={"tool_calling": False}), tools=[look_up])


def test_a_model_without_tool_calls_hands_over_by_its_choice_alone(call: Any) -> None:
    arguments = {"task": "add them", "reason": "numbers"}
    turn = take(call, unable({"choice": {"tool": "handoff_to_bob", "arguments": arguments}}))
    assert (turn["handoff"], turn["text"], turn["usage"]["calls"]) == (TO_BOB, "", 1)


def test_a_model_without_tool_calls_answers_after_other_tools(call: Any) -> None:
    turn = take(call, unable({"choice": {"tool": "look_up", "arguments": {"order": 5}}}, "It is on its way."))
    assert (turn["handoff"], turn["text"], turn["usage"]["calls"]) == (None, "It is on its way.", 2)


def test_a_model_without_tool_calls_cannot_choose_a_stranger(call: Any) -> None:
    stranger = {"choice": {"tool": "handoff_to_nobody", "arguments": {"task": "x", "reason": "y"}}}
    turn = take(call, unable(stranger, {"choice": {"tool": "none"}}, "I do it."))
    assert (turn["handoff"], turn["text"]) == (None, "I do it.")


# By what a function returns


@pytest.mark.parametrize(
    ("said", "handoff"),
    [
        ({"to": "bob"}, {"to": "bob", "task": "", "reason": ""}),
        ({"to": "nobody", "task": "t", "reason": "r"}, {"to": "nobody", "task": "t", "reason": "r"}),
        ({"to": "bob", "task": 5}, {"to": "bob", "task": "5", "reason": ""}),
        ({"from": "bob"}, None),
        ("to", None),
    ],
)
def test_a_function_hands_over_by_a_dict(call: Any, said: Any, handoff: Any) -> None:
    assert take(call, Agent("ann", function=lambda task: said))["handoff"] == handoff


@pytest.mark.parametrize("to", [None, 5, ["bob"]])
def test_a_function_must_name_one_peer(call: Any, to: Any) -> None:
    with pytest.raises(AgentError, match="which is not a name"):
        take(call, Agent("ann", function=lambda task: {"to": to}))


# By a command, as the handoff tools of langgraph-swarm do


def going(goto: Any) -> Agent:
    @tool
    def transfer() -> Command[Any]:
        """Transfer to another agent."""
        return Command(goto=goto, graph=Command.PARENT, update={"active_agent": "bob"})

    model = ScriptedModel([Reply(tool_calls=[{"name": "transfer", "args": {}}])])
    return Agent("ann", runnable=create_agent(model, [transfer]))


@pytest.mark.parametrize(
    ("goto", "to", "ignored"), [("bob", "bob", []), (Send("bob", {}), "bob", []), (["bob", "eve"], "bob", ["eve"])]
)
def test_a_command_to_the_graph_around_is_a_handoff(call: Any, goto: Any, to: str, ignored: list[str]) -> None:
    turn = take(call, going(goto))
    assert (turn["handoff"], turn["usage"]["calls"]) == ({"to": to, "task": "", "reason": ""}, 1)
    assert [item["to"] for item in turn["ignored"]] == ignored


# What else a turn tells


def test_a_failing_peer_raises_with_what_it_cost(call: Any, peer: Any) -> None:
    with pytest.raises(AgentError, match="refused") as caught:
        take(call, peer(Reply(tool_calls=[LOOK_UP]), Reply(refusal="No.")))
    assert caught.value.usage is not None
    assert caught.value.usage["calls"] == 2
