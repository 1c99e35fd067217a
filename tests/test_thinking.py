"""Thinking that a model writes into its reply is neither an answer nor streamed, nor sent back."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents import Agent
from agents.models.thinking import VisibleText, without_thinking
from agents.testing import FaultyProvider
from graphs import Step, Workflow
from tests.chat import answer
from tests.tables import each


@each(
    ("said", "text"),
    [
        ("<think>a</think>\n\nTen.", "Ten."),
        ("<think>a</think><think>b</think> Ten.", "Ten."),
        ("hm</think>Ten.", "Ten."),
        ("[THINK]hm[/THINK]Ten.", "Ten."),
        ("<think>without an end", ""),
        ("The mark <think> opens and </think> closes.", "The mark <think> opens and </think> closes."),
        ("```\n<think>\nx\n</think>\n```", "```\n<think>\nx\n</think>\n```"),
    ],
)
def test_thinking_is_not_an_answer(said: str, text: str) -> None:
    assert without_thinking(said) == text


@given(st.sampled_from(["", "<think>a < b</think>", "<think>a</think>\n<think>b</think>"]), st.integers(1, 9))
def test_thinking_is_not_streamed(thinking: str, size: int) -> None:
    said = f"{thinking}Ten is < 11."
    visible = VisibleText()
    shown = "".join(visible.see(said[place : place + size]) for place in range(0, len(said), size))
    assert shown.strip() == "Ten is < 11."


def test_thinking_reaches_neither_the_answer_nor_the_next_prompt(ask: Any) -> None:
    with FaultyProvider(["<think>only</think>", "<think>hm</think>Ten."]) as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model())
        assert answer(ask(agent)) == ("completed", "Ten.")
    with FaultyProvider("<think>hm</think>Ten.") as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model())
        assert "".join(chunk.get("delta", "") for chunk in agent.stream("x")) == "Ten."
        steps = [Step("one", "a", "Say ten"), Step("two", "a", "{one} again", ["one"])]
        Workflow(steps, agents=[agent]).compile().invoke({"messages": "x"})
    assert "<think>" not in json.dumps(provider.requests)
