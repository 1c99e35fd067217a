"""Questions to people: LangChain's requests and decisions, and what else is read as a decision."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner
from graphs.people import Question
from graphs.people.questions import read_decision, request_for
from tests.tables import each

EVERY = ("approve", "edit", "reject", "respond")
ARGS = {"text": "draft"}
EDITED = {"name": "act", "args": {"text": "mine"}}


def question(*allowed: Any, **args: Any) -> Question:
    return {"action": "act", "args": args or ARGS, "description": "Well?", "allowed": allowed or EVERY}


def read(answer: Any, *allowed: Any, **args: Any) -> Any:
    decision = read_decision(answer, question(*allowed, **args))
    return decision and (decision["type"], decision["args"], decision["message"])


@each(
    ("answer", "decision"),
    [
        ({"decisions": [{"type": "approve"}]}, ("approve", ARGS, "")),
        ({"type": "approve"}, ("approve", ARGS, "")),
        (" Approve ", ("approve", ARGS, "")),
        ("yes", ("approve", ARGS, "")),
        ([{"type": "accept", "args": None}], ("approve", ARGS, "")),
        ({"type": "reject", "message": "No."}, ("reject", ARGS, "No.")),
        ({"type": "retry", "feedback": "Again."}, ("reject", ARGS, "Again.")),
        ("abort", ("reject", ARGS, "")),
        ({"type": "edit", "edited_action": EDITED}, ("edit", {"text": "mine"}, "")),
        ({"type": "edit", "args": EDITED}, ("edit", {"text": "mine"}, "")),
        ({"type": "edit", "text": "mine"}, ("edit", {"text": "mine"}, "")),
        ({"type": "respond", "message": "Blue."}, ("respond", ARGS, "Blue.")),
        ({"type": "response", "args": "Blue."}, ("respond", ARGS, "Blue.")),
        ('{"type": "approve"}', ("approve", ARGS, "")),
        (True, ("approve", ARGS, "")),
        ("OK!", ("approve", ARGS, "")),
        ("No, too long.", ("reject", ARGS, "too long.")),
        ("reject: too long", ("reject", ARGS, "too long")),
        ({"type": "Approve"}, ("approve", ARGS, "")),
        ({"type": "reject", "reason": "Too long."}, ("reject", ARGS, "Too long.")),
        ({"type": "edit", "args": {"text": "mine"}}, ("edit", {"text": "mine"}, "")),
        ({"type": "edit", "args": "mine"}, ("edit", {"text": "mine"}, "")),
        ({"type": "edit", "text": "[1]"}, ("edit", {"text": "[1]"}, "")),
    ],
)
def test_what_is_read_as_a_decision(answer: Any, decision: Any) -> None:
    assert read(answer) == decision


NO_DECISIONS: list[Any] = [None, 5, [], "perhaps", {}, {"type": ["approve"]}, {"type": "ignore"}, {"decisions": []}]
NO_DECISIONS += ["yes, but not now", {"type": "edit", "args": {"other": 1}}, {"type": "edit", "args": {"text": 1}}]
NO_DECISIONS += [{"type": "edit"}, {"type": "edit", "edited_action": 7}, {"type": "respond", "message": " "}]


@each("answer", NO_DECISIONS)
def test_what_is_not_read_as_one(answer: Any) -> None:
    assert read(answer) is None


def test_only_what_is_allowed_counts() -> None:
    assert read("approve", "edit", "reject") is None
    assert read({"type": "response", "args": "No."}, "approve", "reject") == ("reject", ARGS, "No.")
    assert read(["Blue."], "respond") == read({"message": "Blue."}, "respond") == ("respond", ARGS, "Blue.")
    assert read('{"type": "respond", "message": "Blue."}', "respond") == ("respond", ARGS, "Blue.")
    assert read('{"type": "object"}', "respond") == ("respond", ARGS, '{"type": "object"}')


TEXTS = st.text("aB 9_\n\t\"'\\{}[]`é\u2028\u3000😀")


@given(TEXTS)
def test_where_only_a_text_is_asked_for_every_text_is_the_response(text: str) -> None:
    expected = ("respond", ARGS, text.strip()) if text.strip() else None
    assert read(text, "respond") == expected


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda x: st.lists(x) | st.dictionaries(TEXTS, x))
)
def test_no_answer_breaks_the_reading(answer: Any) -> None:
    read({"type": "edit", "args": answer})
    assert read({"type": answer}) in (None, ("approve", ARGS, ""), ("reject", ARGS, ""))
    read(answer)


def test_an_edit_keeps_arguments_that_it_does_not_name_and_no_others() -> None:
    edited = {"type": "edit", "edited_action": {"args": {"b": "[1]", "c": 3}}}
    assert read(edited, a=1, b=2) == ("edit", {"a": 1, "b": [1]}, "")


def test_a_request_has_the_forms_of_langchain_and_agent_inbox() -> None:
    request = request_for(question("approve", "edit"), "Not so.")
    assert request["action_requests"] == [{"name": "act", "args": ARGS, "description": "Not so.\n\nWell?"}]
    assert request["review_configs"] == [{"action_name": "act", "allowed_decisions": ["approve", "edit"]}]
    assert request["action_request"] == {"action": "act", "args": ARGS}
    assert [name for name, may in request["config"].items() if may] == ["allow_accept", "allow_edit"]
    json.dumps(request)


def test_an_answer_that_cannot_be_stored_is_asked_for_again() -> None:
    edit = {"type": "edit", "edited_action": {"args": {"steps": [{"id": "a", "agent": "w", "task": "t", "x": 2**70}]}}}
    plan = {"steps": [{"id": "a", "agent": "w", "task": "t", "dependencies": []}]}
    team = [Agent("w", function=str.upper)]
    graph = Planner(team, model=ScriptedModel([plan, plan]), approval=True).compile(InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"messages": "x"}, thread)
    asked = graph.invoke(Command(resume=json.dumps(edit)), thread)["__interrupt__"][0].value
    assert "cannot be stored: an integer beyond 64 bits" in asked["description"]
    assert read("[" * 100_000) is None
