"""Work that is not accepted goes to another agent or to a person, who may rule after a restart."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from graphs.people.rulings import PEOPLE_MAY, unusable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from tests.supervised import ASK, GOOD, THREAD, bad, critic, ended, endless, in_turn, part, supervised, worker

# Escalation to an agent


def test_an_agent_takes_over_with_the_best_so_far_and_the_feedback(call: Any) -> None:
    model = ScriptedModel(["by the master"])
    master = Agent("master", instructions="Write well.", model=model)
    options: Any = {"escalate": master, "max_revisions": 1}
    state = call(supervised(endless(), critic(part(2, "a"), part(1, "b")), **options), ASK)
    assert ended(state) == ("escalated", "by the master")
    assert state["usage"]["agents"]["master"]["calls"] == 1
    for told in ("Not accepted after 1 revisions: b", "draft 1", "\nb\n", "Your task: Write a haiku."):
        assert told in model.calls[0].prompt


def test_an_agent_takes_over_from_a_worker_that_failed(call: Any) -> None:
    master = Agent("master", function=lambda task, context: context["why it comes to you"])
    state = call(supervised(worker(ValueError("boom")), critic(), escalate=master), ASK)
    assert ended(state) == ("escalated", "'writer' failed: ValueError: boom")


@pytest.mark.parametrize(
    ("first", "end"),
    [("one", ("escalated", "one")), (ValueError("x"), ("failed", "'writer' failed: ValueError: x"))],
)
def test_when_the_agent_that_takes_over_fails_too_the_best_is_left(call: Any, first: Any, end: Any) -> None:
    master = in_turn("master", ValueError("ill"))
    state = call(supervised(worker(first), critic(bad()), escalate=master, max_revisions=0), ASK)
    assert ended(state) == end
    assert state["errors"][-1] == {"where": "escalate", "kind": "ValueError", "message": "ValueError: ill"}


# Escalation to a person


def asked(state: Any) -> Any:
    return state["__interrupt__"][0].value


def at_a_person(call: Any, work: Agent | None = None, review: Agent | None = None, most: int = 0) -> Any:
    options: Any = {"checkpointer": InMemorySaver(), "escalate": "human", "max_revisions": most}
    graph = supervised(work or endless(), review or critic(bad("Shorter."), bad("Still."), GOOD), **options)
    return graph, call(graph, ASK, THREAD)


def answer(call: Any, graph: Any, ruling: Any) -> Any:
    return call(graph, Command(resume=ruling), THREAD)


def test_a_person_is_shown_the_case(call: Any) -> None:
    _, state = at_a_person(call)
    assert asked(state) == {
        "question": "Accept this work?",
        "task": "Write a haiku.",
        "why it comes to you": "Not accepted after 0 revisions: Shorter.",
        "the best version so far": "draft 1",
        "feedback": "Shorter.",
        "answers": ["accept", "edit", "retry", "abort"],
    }


@pytest.mark.parametrize(
    ("ruling", "end"),
    [
        ("accept", ("completed", "draft 1")),
        ({"type": "accept"}, ("completed", "draft 1")),
        ({"type": "edit", "text": "mine"}, ("completed", "mine")),
        ({"type": "abort"}, ("failed", "draft 1")),
    ],
)
def test_a_person_rules(call: Any, ruling: Any, end: tuple[str, str]) -> None:
    graph, _ = at_a_person(call)
    state = answer(call, graph, ruling)
    assert ended(state) == end
    assert (state["stop_reason"] is None) == (end[0] == "completed")
    assert state["revisions"] == 0


def test_a_person_may_have_it_tried_again_with_their_feedback(call: Any) -> None:
    model = ScriptedModel(["one", "two"])
    graph, _ = at_a_person(call, Agent("writer", model=model), critic(bad("Shorter."), GOOD))
    state = answer(call, graph, {"type": "retry", "feedback": "Use frogs."})
    assert ended(state) == ("completed", "two")
    assert "Feedback:\n```\nUse frogs.\n```" in model.calls[1].prompt
    assert "Shorter." not in model.calls[1].prompt
    assert state["stop_reason"] is None


def test_a_retry_brings_as_many_revisions_as_there_were_and_then_a_person_again(call: Any) -> None:
    graph, _ = at_a_person(call, endless(), critic(*(bad(str(one)) for one in range(6))), most=1)
    state = answer(call, graph, {"type": "retry", "feedback": "Again."})
    assert asked(state)["why it comes to you"] == "Not accepted after 3 revisions: 3"
    assert ended(answer(call, graph, "accept")) == ("completed", "draft 4")


def test_a_person_may_send_back_what_nobody_could_review(call: Any) -> None:
    work = Agent("writer", function=lambda task, context: context.get("feedback", "first"))
    graph, state = at_a_person(call, work, critic(ValueError("ill"), GOOD))
    assert asked(state)["the best version so far"] == "first"
    assert ended(answer(call, graph, {"type": "retry", "feedback": "Longer."})) == ("completed", "Longer.")


def test_a_person_may_help_a_worker_that_failed(call: Any) -> None:
    def write(task: str, context: dict[str, str]) -> str:
        return context["feedback"]

    graph, state = at_a_person(call, Agent("writer", function=write), critic(GOOD))
    assert asked(state)["answers"] == ["edit", "retry", "abort"]
    state = answer(call, graph, {"type": "retry", "feedback": "Just write 'frog'."})
    assert (ended(state), state["revisions"]) == (("completed", "Just write 'frog'."), 0)


def test_aborting_without_any_work_says_why(call: Any) -> None:
    graph, _ = at_a_person(call, worker(ValueError("boom")))
    assert ended(answer(call, graph, "abort")) == (
        "failed",
        "A person stopped it. 'writer' failed: ValueError: boom",
    )


UNUSABLE: list[tuple[Any, str]] = [
    (None, "Answer with a 'type' of accept, edit, retry, abort."),
    ("yes", "Answer with a 'type' of accept, edit, retry, abort."),
    ([], "Answer with a 'type' of accept, edit, retry, abort."),
    ({"type": ["accept"]}, "Answer with a 'type' of accept, edit, retry, abort."),
    ({"type": "edit"}, "An answer of type 'edit' needs 'text', a text."),
    ({"type": "edit", "text": "  "}, "An answer of type 'edit' needs 'text', a text."),
    ({"type": "edit", "text": 5}, "An answer of type 'edit' needs 'text', a text."),
    ({"type": "retry", "feedback": None}, "An answer of type 'retry' needs 'feedback', a text."),
]


@pytest.mark.parametrize(("ruling", "note"), UNUSABLE, ids=str)
def test_what_is_wrong_with_a_ruling(ruling: Any, note: str) -> None:
    assert unusable(ruling) == note


@pytest.mark.parametrize("ruling", ["accept", "abort", {"type": "edit", "text": "x"}])
def test_nothing_is_wrong_with_a_good_ruling(ruling: Any) -> None:
    assert unusable({"type": ruling} if isinstance(ruling, str) else ruling, PEOPLE_MAY) is None


def test_an_answer_that_cannot_be_used_is_asked_for_again(call: Any) -> None:
    graph, _ = at_a_person(call)
    for ruling, note in UNUSABLE[1:4]:
        assert asked(answer(call, graph, ruling))["note"] == note
    assert ended(answer(call, graph, {"type": "edit", "text": "mine"})) == ("completed", "mine")


def test_accepting_nothing_is_not_possible(call: Any) -> None:
    graph, _ = at_a_person(call, worker(ValueError("boom")))
    assert asked(answer(call, graph, "accept"))["note"] == "Answer with a 'type' of edit, retry, abort."


def test_a_new_message_drops_a_case_that_waits_for_a_person(call: Any) -> None:
    graph, _ = at_a_person(call, review=critic(bad(), GOOD))
    state = call(graph, {"messages": "Something else."}, THREAD)
    assert (ended(state), state["revisions"]) == (("completed", "draft 2"), 0)


# A person rules after a restart


def waiting(saver: Any, drafts: Iterator[int]) -> Any:
    """Build the whole graph anew, as another process does."""
    work = Agent("writer", function=lambda task: f"draft {next(drafts)}")
    judge = Agent("critic", function=lambda task, context: GOOD if context["result"] == "draft 2" else bad())
    return supervised(work, judge, checkpointer=saver, escalate="human", max_revisions=0)


RULINGS = [
    ("accept", ("completed", "draft 1")),
    ({"type": "edit", "text": "mine"}, ("completed", "mine")),
    ({"type": "retry", "feedback": "Frogs."}, ("completed", "draft 2")),
    ("abort", ("failed", "draft 1")),
]


@pytest.mark.parametrize(("ruling", "end"), RULINGS, ids=str)
def test_a_person_rules_after_a_restart(tmp_path: Path, ruling: Any, end: Any) -> None:
    drafts = count(1)
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        waiting(saver, drafts).invoke(ASK, THREAD)
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        assert ended(waiting(saver, drafts).invoke(Command(resume=ruling), THREAD)) == end


def test_a_person_rules_after_a_restart_in_async_code(tmp_path: Path) -> None:
    drafts = count(1)

    async def process(given: Any) -> Any:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
            return await waiting(saver, drafts).ainvoke(given, THREAD)

    assert asked(asyncio.run(process(ASK)))["the best version so far"] == "draft 1"
    state = asyncio.run(process(Command(resume={"type": "retry", "feedback": "Frogs."})))
    assert ended(state) == ("completed", "draft 2")


def test_everything_in_the_state_is_plain_json(call: Any) -> None:
    graph, _ = at_a_person(call, endless(), critic(bad("a"), GOOD))
    state = answer(call, graph, {"type": "retry", "feedback": "x", "by": b"a person"})
    json.dumps({key: value for key, value in state.items() if key != "messages"})
