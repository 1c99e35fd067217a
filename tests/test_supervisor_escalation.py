"""Work that is not accepted goes to another agent or to a person, who may decide after a restart."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Supervisor
from graphs.storage import sqlite
from tests.supervised import ASK, GOOD, THREAD, bad, critic, edited, ended, endless, in_turn, part, supervised, worker

# Escalation to an agent


def test_an_agent_takes_over_with_the_best_so_far_and_the_feedback(call: Any) -> None:
    model = ScriptedModel(["by the master"])
    master = Agent("master", instructions="Write well.", model=model)
    options: Any = {"escalate": master, "max_revisions": 1}
    state = call(supervised(endless(), critic(part(2, "a"), part(1, "b")), **options), ASK)
    assert ended(state) == ("escalated", "by the master")
    assert state["usage"]["agents"]["master"]["calls"] == 1
    for part_of_prompt in ("Not accepted after 1 revisions: b", "draft 1", "\nb\n", "Your task: Write a haiku."):
        assert part_of_prompt in model.calls[0].prompt


def test_a_function_takes_over_from_a_worker_that_failed(call: Any) -> None:
    master = Agent("master", function=lambda task, context: context["reason_for_escalation"])
    state = call(supervised(worker(ValueError("boom")), critic(), escalate=master), ASK)
    assert ended(state) == ("escalated", "'writer' failed: ValueError: boom")


@pytest.mark.parametrize(
    ("first", "end"), [("one", ("escalated", "one")), (ValueError("x"), ("failed", "'writer' failed: ValueError: x"))]
)
def test_when_the_agent_that_takes_over_fails_too_the_best_is_left(call: Any, first: Any, end: Any) -> None:
    master = in_turn("master", ValueError("ill"))
    state = call(supervised(worker(first), critic(bad()), escalate=master, max_revisions=0), ASK)
    assert ended(state) == end
    assert state["errors"][-1] == {"where": "escalate", "kind": "ValueError", "message": "ValueError: ill"}


# Escalation to a person


def asked(state: Any) -> Any:
    return state["__interrupt__"][0].value


def allowed(state: Any) -> list[str]:
    return asked(state)["review_configs"][0]["allowed_decisions"]


def at_a_person(call: Any, work: Agent | None = None, review: Agent | None = None, most: int = 0) -> Any:
    options: Any = {"checkpointer": InMemorySaver(), "escalate": "human", "max_revisions": most}
    graph = supervised(work or endless(), review or critic(bad("Shorter."), bad("Still."), GOOD), **options)
    return graph, call(graph, ASK, THREAD)


def decide(call: Any, graph: Any, decision: Any) -> Any:
    return call(graph, Command(resume=decision), THREAD)


def rejected(feedback: str) -> dict[str, str]:
    return {"type": "reject", "message": feedback}


def test_a_person_is_shown_the_case(call: Any) -> None:
    _, state = at_a_person(call)
    (action,) = asked(state)["action_requests"]
    assert (action["name"], action["args"]) == ("accept_work", {"text": "draft 1"})
    assert allowed(state) == ["approve", "edit", "reject"]
    assert action["description"] == (
        "Task:\nWrite a haiku.\n\n"
        "Reason for escalation:\nNot accepted after 0 revisions: Shorter.\n\n"
        "Best version:\ndraft 1\n\n"
        "Feedback:\nShorter."
    )


DECISIONS = [
    ({"decisions": [{"type": "approve"}]}, ("completed", "draft 1"), "approve"),
    (edited("mine"), ("completed", "mine"), "edit"),
    (rejected("Frogs."), ("completed", "draft 2"), "reject"),
    ({"type": "reject"}, ("failed", "draft 1"), "reject"),
]


@pytest.mark.parametrize(("decision", "end", "ruling"), DECISIONS, ids=str)
def test_a_person_decides(call: Any, decision: Any, end: tuple[str, str], ruling: str) -> None:
    graph, _ = at_a_person(call, review=critic(bad(), GOOD))
    state = decide(call, graph, decision)
    assert (ended(state), state["ruling"]) == (end, ruling)
    assert (state["stop_reason"] is None) == (end[0] == "completed")


def test_a_person_may_have_it_tried_again_with_their_feedback(call: Any) -> None:
    model = ScriptedModel(["one", "two"])
    graph, _ = at_a_person(call, Agent("writer", model=model), critic(bad("Shorter."), GOOD))
    state = decide(call, graph, rejected("Use frogs."))
    assert ended(state) == ("completed", "two")
    assert "Feedback:\n```\nUse frogs.\n```" in model.calls[1].prompt
    assert "Shorter." not in model.calls[1].prompt


def test_another_try_brings_as_many_revisions_as_there_were_and_then_a_person_again(call: Any) -> None:
    graph, _ = at_a_person(call, endless(), critic(*(bad(str(number)) for number in range(6))), most=1)
    state = decide(call, graph, rejected("Again."))
    assert "Not accepted after 3 revisions: 3" in asked(state)["description"]
    assert ended(decide(call, graph, "approve")) == ("completed", "draft 4")


def test_a_person_may_send_back_what_nobody_could_review(call: Any) -> None:
    work = Agent("writer", function=lambda task, context: context.get("feedback", "first"))
    graph, state = at_a_person(call, work, critic(ValueError("ill"), GOOD))
    assert asked(state)["action_requests"][0]["args"] == {"text": "first"}
    assert ended(decide(call, graph, rejected("Longer."))) == ("completed", "Longer.")


def test_a_person_may_help_a_worker_that_failed(call: Any) -> None:
    def write(task: str, context: dict[str, str]) -> str:
        return context["feedback"]

    graph, state = at_a_person(call, Agent("writer", function=write), critic(GOOD))
    assert allowed(state) == ["edit", "reject"]
    assert asked(decide(call, graph, "approve"))["description"].startswith("Answer with a decision of type edit or")
    state = decide(call, graph, rejected("Just write 'frog'."))
    assert (ended(state), state["revisions"]) == (("completed", "Just write 'frog'."), 0)


def test_stopping_without_any_work_says_why(call: Any) -> None:
    graph, _ = at_a_person(call, worker(ValueError("boom")))
    state = decide(call, graph, {"type": "reject"})
    assert ended(state) == ("failed", "A person stopped it. 'writer' failed: ValueError: boom")


def test_an_answer_that_cannot_be_used_is_asked_for_again(call: Any) -> None:
    graph, _ = at_a_person(call)
    state = decide(call, graph, "perhaps")
    assert asked(state)["description"].startswith("Answer with a decision of type approve, edit or reject.")
    assert asked(decide(call, graph, edited("  ")))["description"].startswith("An edit needs the edited text.")
    assert ended(decide(call, graph, edited("mine"))) == ("completed", "mine")


def test_a_new_message_drops_a_case_that_waits_for_a_person(call: Any) -> None:
    graph, _ = at_a_person(call, review=critic(bad(), GOOD))
    state = call(graph, {"messages": "Something else."}, THREAD)
    assert (ended(state), state["revisions"]) == (("completed", "draft 2"), 0)


def test_work_that_no_person_can_be_asked_about_is_kept(call: Any) -> None:
    graph = Supervisor(worker("one"), checks=[lambda text: "Shorter."], max_revisions=0, escalate="human").compile()
    state = call(graph, ASK)
    assert ended(state) == ("escalated", "one")
    assert [error["kind"] for error in state["errors"]] == ["ConfigurationError"]


# After a restart


def waiting(saver: Any, drafts: Iterator[int]) -> Any:
    """Build the whole graph as another process does."""
    work = Agent("writer", function=lambda task: f"draft {next(drafts)}")
    judge = Agent("critic", function=lambda task, context: GOOD if context["result"] == "draft 2" else bad())
    return supervised(work, judge, checkpointer=saver, escalate="human", max_revisions=0)


@pytest.mark.parametrize(("decision", "end", "ruling"), DECISIONS, ids=str)
def test_a_person_decides_after_a_restart(tmp_path: Path, decision: Any, end: Any, ruling: str) -> None:
    drafts = count(1)
    with sqlite(tmp_path / "runs.sqlite") as saver:
        waiting(saver, drafts).invoke(ASK, THREAD)
    with sqlite(tmp_path / "runs.sqlite") as saver:
        state = asyncio.run(waiting(saver, drafts).ainvoke(Command(resume=decision), THREAD))
    assert (ended(state), state["ruling"]) == (end, ruling)


def test_everything_in_the_state_is_plain_json(call: Any) -> None:
    graph, _ = at_a_person(call, endless(), critic(bad("a"), GOOD))
    state = decide(call, graph, {**rejected("x"), "by": b"a person"})
    json.dumps({key: value for key, value in state.items() if key != "messages"})
