"""Prompts stay close to the words that they must hold, and begin with what stays the same."""

from typing import Any

import pytest

from agents import Agent
from agents.testing import ScriptedModel
from benchmarks.prompts import measured
from graphs import Planner, Router

MAX_RATIO = 1.5


def test_no_prompt_is_more_than_half_longer_than_its_bare_words() -> None:
    assert [row for row in measured() if row.ratio > MAX_RATIO] == []


def prompts(pattern: Any, script: list[Any], *requests: str) -> list[str]:
    model, worker = ScriptedModel(script), ScriptedModel(lambda messages: "Done.")
    agents = [Agent(name, f"Knows {name}.", instructions="Be brief.", model=worker) for name in ("ann", "bob")]
    graph = pattern(agents, model=model)
    for request in requests:
        graph.compile().invoke({"messages": request})
    return ["\n".join(str(message.text) for message in call.messages) for call in model.calls]


@pytest.mark.parametrize(
    ("pattern", "reply"),
    [
        (Planner, {"steps": [{"id": "s", "agent": "nobody", "task": "Do it", "dependencies": []}]}),
        (Router, {"reason": "fits", "candidates": [{"agent": "ann", "confidence": 0.9}]}),
    ],
    ids=["planner", "router"],
)
def test_prompts_for_two_requests_are_the_same_up_to_the_request(pattern: Any, reply: Any) -> None:
    written = prompts(pattern, [reply] * 6, "Zebras?", "Ostriches?")
    first = next(text for text in written if "Zebras?" in text)
    second = next(text for text in written if "Ostriches?" in text)
    assert second.startswith(first[: first.index("Zebras?")])


def test_a_corrected_plan_is_asked_for_behind_all_that_was_asked_before() -> None:
    reply = {"steps": [{"id": "s", "agent": "nobody", "task": "Do it", "dependencies": []}]}
    first, second, third = prompts(Planner, [reply] * 3, "Zebras?")
    assert second.startswith(first)
    assert third.startswith(first)
