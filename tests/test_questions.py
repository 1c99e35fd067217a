"""What a run asks a person, how it is answered in writing, and asking in a terminal."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from graphs.cli.exit_codes import COMPLETED, NEEDS_INPUT, PARTIAL
from graphs.cli.questions import AnswerError, ShownQuestion, read_answers
from graphs.engine import Step
from graphs.people import plan_question
from graphs.people.questions import request_for
from tests.office import PLAN, Office, latest
from tests.processes import Processes
from tests.tables import each

STEPS = [Step("one", "writer", "Write one").as_dict()]
PLAN_QUESTION = ShownQuestion(
    "a1b2c3d4e5", request_for(plan_question(STEPS, approved=[], done=[], agents=["writer"], max_steps=9))
)
ACTION = {"name": "send", "args": {"to": "Ann"}, "description": "Send it?"}
MAY = ["approve", "reject"]
CALL = ShownQuestion("aaaa1111", {"action_requests": [ACTION]})
TWO = ShownQuestion(
    "bbbb2222",
    {
        "action_requests": [ACTION, {**ACTION, "name": "drop"}],
        "review_configs": [{"action_name": name, "allowed_decisions": MAY} for name in ("send", "drop")],
    },
)
TEXT: Any = {
    "action": "accept_work",
    "args": {"text": "A draft"},
    "description": "Accept?",
    "allowed": ["approve", "edit"],
}
CASE = ShownQuestion("cccc3333", request_for(TEXT))
WHO = ShownQuestion("eeee5555", request_for({**TEXT, "args": {}, "description": "Who?", "allowed": ["respond"]}))
LINE = ShownQuestion("dddd4444", "How many?")
END = ShownQuestion("", "Do you mean one of these?")
TEXT_EDIT = {"name": "accept_work", "args": {"text": "Another text"}}
BRIEF = [{"id": "one", "agent": "writer", "task": "Write one", "dependencies": []}]


@each(
    ("question", "written", "expected"),
    [
        (PLAN_QUESTION, "approve", {"decisions": [{"type": "approve"}]}),
        (PLAN_QUESTION, "reject: too long", {"decisions": [{"type": "reject", "message": "too long"}]}),
        (PLAN_QUESTION, '{"type": "approve"}', {"decisions": [{"type": "approve"}]}),
        (TWO, "approve", {"decisions": [{"type": "approve"}, {"type": "approve"}]}),
        (CALL, "respond:Not now", {"decisions": [{"type": "respond", "message": "Not now"}]}),
        (
            CALL,
            'edit:{"to": "Bob"}',
            {"decisions": [{"type": "edit", "edited_action": {"name": "send", "args": {"to": "Bob"}}}]},
        ),
        (CASE, "edit:Another text", {"decisions": [{"type": "edit", "edited_action": TEXT_EDIT}]}),
        (WHO, "Ann: she knows", {"decisions": [{"type": "respond", "message": "Ann: she knows"}]}),
        (WHO, '{"a": 1}', {"decisions": [{"type": "respond", "message": '{"a": 1}'}]}),
        (WHO, '{"type": "respond", "message": "Ann"}', {"decisions": [{"type": "respond", "message": "Ann"}]}),
        (LINE, "5: five", "5: five"),
        (LINE, '{"number": 5}', {"number": 5}),
        (LINE, "[urgent] the writer", "[urgent] the writer"),
        (END, ' {"a": 1}', '{"a": 1}'),
        (END, "[urgent] the writer", "[urgent] the writer"),
    ],
)
def test_an_answer_in_writing(question: ShownQuestion, written: str, expected: Any) -> None:
    assert question.read(written) == expected


@each(
    ("question", "written", "complaint"),
    [
        (PLAN_QUESTION, "accept", "answer with approve, edit:@file, reject:why"),
        (PLAN_QUESTION, "reject", "reject:why"),
        (PLAN_QUESTION, "edit:@nowhere.json", "nowhere.json cannot be read"),
        (PLAN_QUESTION, "edit:{]", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        (PLAN_QUESTION, 'edit:"steps": [', "not JSON: Extra data: line 1 column 8"),
        (TWO, "edit:{}", "does not answer this"),
        (CASE, "reject:no", "answer with approve, edit:@file"),
    ],
)
def test_what_is_no_answer(question: ShownQuestion, written: str, complaint: str) -> None:
    with pytest.raises(AnswerError, match=re.escape(complaint)):
        question.read(written)


@pytest.mark.parametrize("text", [json.dumps({"steps": BRIEF}), json.dumps(BRIEF)])
def test_an_edited_plan_is_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan").write_text(text)
    (decision,) = PLAN_QUESTION.read(f"edit:@{tmp_path / 'plan'}")["decisions"]
    assert decision["edited_action"] == {"name": "run_plan", "args": {"steps": BRIEF}}


def test_what_is_edited_says_only_what_a_step_says() -> None:
    assert json.loads(PLAN_QUESTION.items()[0].draft) == {"steps": BRIEF}


def test_several_questions_are_answered_by_the_beginnings_of_their_ids() -> None:
    assert read_answers([CALL, LINE], ["dddd=a=b", "aaaa1111=approve"]) == {
        "dddd4444": "a=b",
        "aaaa1111": {"decisions": [{"type": "approve"}]},
    }
    assert read_answers([LINE], ["a=b"]) == {"dddd4444": "a=b"}


@pytest.mark.parametrize("written", [["approve"], ["cccc=approve"], ["aaaa=approve", "aaaa=approve"]])
def test_an_answer_must_say_which_question_it_is_for(written: list[str]) -> None:
    with pytest.raises(AnswerError, match=r"aaaa1111 \(Allow send\?\); dddd4444 \(How many\?\)"):
        read_answers([CALL, LINE], written)


def test_in_a_terminal_a_plan_is_rejected_then_edited(processes: Processes, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/Write two/Write nothing/' \"$1\"\n")
    editor.chmod(0o755)
    with Office(plan=PLAN[:2]) as office:
        one = processes.start(
            "Do it", "--approve", "--pattern", "planner", terminal=True, EDITOR=str(editor), **office.environment
        )
        assert "one (writer): Write one" in one.until("[a = approve, e = edit, r = reject]")
        one.type("what?\n")
        one.until("reject]")
        one.type("r\n")
        one.until("why: ")
        one.type("Rather not\n")
        one.until("reject]")
        one.type("e\n")
        done = one.wait()
    assert (done.code, done.out) == (COMPLETED, "Text of an agent\n")
    assert office.asked == ["planner", "planner", "one", "agent"]
    assert "Write nothing" in str(office.requests[3])


@pytest.mark.parametrize(
    ("edit", "message"), [("true", "Nothing was changed."), ("sed -i '1s/{/{]/' \"$1\"", "This is not JSON: Expecting")]
)
def test_an_edit_that_changes_nothing_or_makes_no_sense_is_asked_again(
    processes: Processes, tmp_path: Path, edit: str, message: str
) -> None:
    editor, seen = tmp_path / "editor", tmp_path / "seen"
    editor.write_text(f'#!/bin/sh\ncat "$1" > {seen}\n{edit}\n')
    editor.chmod(0o755)
    with Office(plan=PLAN[:1]) as office:
        asking = processes.start(
            *("Do it", "--approve", "--pattern", "planner"), terminal=True, EDITOR=str(editor), **office.environment
        )
        asking.until("reject]")
        asking.type("e\n")
        assert "reject]" in asking.until(message) + asking.until("reject]")
        asking.type("e\n")
        asking.until(message)
        asking.until("reject]")
        assert ("{]" in seen.read_text()) == ("JSON" in message)  # the text with the mistake is kept
        assert office.asked == ["planner"]
        asking.type("a\n")
        assert asking.wait().code == COMPLETED


def test_in_a_terminal_a_question_may_be_left_for_later(processes: Processes) -> None:
    with Office() as office:
        asking = processes.start("Do it", "--approve", "--pattern", "planner", terminal=True, **office.environment)
        asking.until("reject]")
        asking.type("\x04")
        done = asking.wait()
        assert (done.code, "podium resume" in done.told) == (NEEDS_INPUT, True)
        again = processes.start("resume", latest(processes), terminal=True, **office.environment)
        again.until("reject]")
        while again.poll(again.pid) is None:  # one that comes just before Python reads is seen after the read
            again.type("\x03")
            time.sleep(0.5)
        done = again.wait()
        assert (done.code, "Traceback" in done.told) == (PARTIAL, False)
        again = processes.start("resume", latest(processes), terminal=True, **office.environment)
        again.until("reject]")
        again.type("approve\n")
        assert again.wait().code == COMPLETED


def test_ctrl_c_in_a_terminal_ends_a_run_that_can_be_resumed(processes: Processes) -> None:
    with Office(plan=PLAN[:2], slow="one") as office:
        one = processes.start("Do it", "--pattern", "planner", terminal=True, **office.environment)
        one.until("two")
        one.type("\x03")
        done = one.wait()
    assert done.code == PARTIAL
    assert "Interrupted after" in done.told
    assert "continues it" in done.told


def test_a_router_that_asks_in_a_terminal_gets_its_answer(processes: Processes) -> None:
    with Office() as office:
        one = processes.start("Hm", "--pattern", "router", terminal=True, **office.environment)
        assert "Do you mean one of these?" in one.until("> ")
        office.route = "writer"
        one.type("The writer\n")
        done = one.wait()
    assert (done.code, done.out) == (COMPLETED, "Text of an agent\n")


SEVERAL = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
from agents import Agent
from graphs import Step, Supervisor, Workflow
from graphs.cli.signals import leave
from graphs.cli.run import run

ran = []
def asking(task):
    ran.append(task)
    return f"{task}: {interrupt(f'How {task}?')}"

def plain(task):
    ran.append(task)
    return "plain"

draft = Agent("draft", function=lambda task: "A draft")
judge = Agent("judge", function=lambda task: {"acceptable": False, "evidence": "", "feedback": "Better"})
careful = Supervisor(draft, reviewer=judge, max_revisions=0, escalate="human").as_agent("careful")
agents = [Agent("asking", function=asking), Agent("plain", function=plain), careful]
steps = [Step("a", "asking", "many"), Step("b", "asking", "far"), Step("c", "plain", "c"), Step("d", "careful", "d")]
code = run(Workflow(steps, agents=agents).compile(InMemorySaver()), "Go", config={"configurable": {"thread_id": "1"}})
print("ran once:", ran.count("c") == 1)
leave(code)
"""


def test_several_questions_are_asked_one_after_the_other_and_answered_together(processes: Processes) -> None:
    one = processes.start(script=SEVERAL, terminal=True)
    answers = {"How many?": "five", "How far?": "ten miles", "Allow accept_work?": "approve"}
    for number in (1, 2, 3):
        asked = one.until(f"Question {number} of 3")
        while (said := next((said for asked_of, said in answers.items() if asked_of in asked), None)) is None:
            asked = one.until("?")
        one.until("> " if said != "approve" else "reject]")
        one.type(f"{said}\n")
    done = one.wait()
    assert done.code == COMPLETED
    for told in ("many: five", "far: ten miles", "A draft", "ran once: True"):
        assert told in done.out
