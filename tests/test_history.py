"""Every agent of every pattern knows the conversation before the request, and no thread dies of its length."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from agents import Agent, Settings
from agents.assignment import count_tokens
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow

WINDOW = 8192
MET = {"evidence": "It does.", "met": True}
DECIDED = {
    "reason": "",
    "small": True,
    "agent": "ann",
    "candidates": [{"agent": "ann", "confidence": 1}],
    "steps": [{"id": item, "agent": "ann", "task": "Answer", "dependencies": []} for item in ("a", "b")],
    "criteria": {"criterion_1": MET, "criterion_2": MET},
    "feedback": "",
}


def small_model(script: Any) -> ScriptedModel:
    return ScriptedModel(script, profile={"tool_calling": True, "structured_output": True, "max_input_tokens": WINDOW})


def patterns(agent: Agent, model: ScriptedModel, **options: Any) -> dict[str, Any]:
    return {
        "workflow": Workflow([Step("a", "ann", "Answer {request}")], agents=[agent], **options),
        "planner": Planner([agent], model=model, synthesizer=agent, **options),
        "router": Router([agent], model=model, **options),
        "supervisor": Supervisor(agent, model=model, **options),
        "network": Network([agent], **options),
        "orchestrator": Orchestrator([agent], model=model, **options),
    }


NAMES = list(patterns(Agent("ann", function=str.upper), ScriptedModel()))


def said(turns: int, words: int = 0) -> list[BaseMessage]:
    exchange = [(HumanMessage(f"question {n}"), AIMessage(f"answer {n} {'word ' * words}")) for n in range(turns)]
    return [message for pair in exchange for message in pair]


def asked(name: str, conversation: list[BaseMessage], context: Any = None, **options: Any) -> list[list[BaseMessage]]:
    """Return the prompts of the agent, and of the models that decide, behind a conversation."""
    talk, decide = small_model("fine"), small_model(lambda messages: DECIDED)
    pattern = patterns(Agent("ann", instructions="Talk.", model=talk), decide, **options)[name]
    request = HumanMessage("What is my name?")
    state = pattern.compile().invoke({"messages": [*conversation, request]}, context=context)
    assert state["status"] == "completed", state["errors"]
    return [call.messages for call in (*talk.calls, *decide.calls)]


def text_of(messages: list[BaseMessage]) -> str:
    return "\n".join(message.text for message in messages)


@pytest.mark.parametrize("name", NAMES)
def test_every_agent_knows_the_conversation_in_its_roles(name: str) -> None:
    rule = SystemMessage("Answer in French")
    prompts = asked(name, [rule, HumanMessage("My name is Bo"), AIMessage("Hello Bo")])
    talks = [prompt for prompt in prompts if prompt[0].text.startswith("Talk.")]
    assert talks
    for prompt in talks:
        system = [message.text for message in prompt if message.type == "system"]
        others = [(message.type, message.text) for message in prompt if message.type != "system"]
        assert "Answer in French" in "\n".join(system)
        assert others[:2] == [("human", "My name is Bo"), ("ai", "Hello Bo")]


@pytest.mark.parametrize("name", NAMES)
def test_two_hundred_turns_fit_a_small_model(name: str) -> None:
    for prompt in asked(name, said(200, words=100)):
        assert count_tokens(prompt) < WINDOW
        knows = "question" in text_of(prompt)
        assert not knows or ("question 199" in text_of(prompt) and "question 100" not in text_of(prompt))


@pytest.mark.parametrize("name", NAMES)
def test_history_and_its_limit_are_as_set(name: str) -> None:
    for prompt in asked(name, said(9), history="last"):
        assert "question 8" not in text_of(prompt)
    talks = [text_of(prompt) for prompt in asked(name, said(9), history=2) if prompt[0].text.startswith("Talk.")]
    assert all("question 8" in text and "question 7" not in text for text in talks)
    for prompt in asked(name, said(90), Settings(max_history_tokens=100)):
        assert "question 70" not in text_of(prompt)
