"""Questions to people in the middle of a run: one protocol for approvals, escalations and clarifications.

A question is an interrupt whose value is LangChain's human-in-the-loop request: one action with its arguments, a
description, and the types of decision allowed. Resume with `{"decisions": [decision]}`, the decision alone, or a plain
text where that is unambiguous (`"approve"`; any text where only `respond` is allowed). The request also has the form of
LangGraph's Agent Inbox, which older chat front ends show, and their answers are read too.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NotRequired, cast, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents.errors import ConfigurationError
from agents.runtime import Effects, SyncAsyncRunnable, clean_data
from agents.usage import Usage, no_usage

DecisionType = Literal["approve", "edit", "reject", "respond"]

_WORDS = {
    **dict.fromkeys(("accept", "yes", "y", "ok", "okay"), "approve"),
    **dict.fromkeys(("no", "n", "abort", "retry"), "reject"),
}
"""Other names of decisions: plain words, Agent Inbox's `accept`, and the `retry` and `abort` of a review."""


class HumanDecision(TypedDict):
    """A person's decision."""

    type: DecisionType
    args: dict[str, Any]
    """The action's arguments, as edited where the type is `edit`."""
    message: str
    """Why it was rejected, or the response."""
    usage: Usage


class Question(TypedDict):
    """A question to a person, with the decisions allowed."""

    action: str
    """The action that goes on with their decision, as `run_plan`."""
    args: dict[str, Any]
    description: str
    """The question as people see it."""
    allowed: Sequence[DecisionType]
    check: NotRequired[Callable[[HumanDecision], str | None]]
    """Returns what is wrong with a decision, in one sentence; None if it can be used."""


class AskPerson(SyncAsyncRunnable[Question, HumanDecision]):
    """Interrupts the run with a question, and asks again until the answer can be used."""

    async def run(self, effects: Effects, value: Question, config: RunnableConfig) -> HumanDecision:
        note = ""
        while True:
            answer = interrupt_run(request_for(value, note))
            try:
                decision: HumanDecision | None = clean_data(read_decision(answer, value))
            except ValueError as error:
                note = f"The answer cannot be stored: {error}"
                continue
            if decision is None:
                note = f"Answer with a decision of type {_listed(value['allowed'])}."
                continue
            wrong = value["check"](decision) if "check" in value else None
            if wrong is None:
                return decision
            note = wrong


def interrupt_run(question: object) -> Any:
    """Interrupt the run with a question; return the answer when the run is resumed with one.

    Raises:
        ConfigurationError: The run has no thread, so it could never be resumed.
    """
    about = get_runtime().execution_info
    if about is not None and about.thread_id is None:
        raise ConfigurationError(
            "A person is to be asked, but the run could not go on with an answer: compile the graph with a checkpointer"
            ' (compile(checkpointer=InMemorySaver())) and run it with {"configurable": {"thread_id": "..."}}'
        )
    return interrupt(question)


def request_for(question: Question, note: str = "") -> dict[str, object]:
    """Return a question as LangChain's `HITLRequest`, with Agent Inbox's form of it beside.

    Args:
        question: What is asked.
        note: What was wrong with the last answer.
    """
    action, args, allowed = question["action"], question["args"], list(question["allowed"])
    description = f"{note}\n\n{question['description']}".strip()
    may = {"approve": "allow_accept", "edit": "allow_edit", "respond": "allow_respond", "reject": "allow_respond"}
    config = {**dict.fromkeys(may.values(), False), **{may[kind]: True for kind in allowed}, "allow_ignore": False}
    return {
        "action_requests": [{"name": action, "args": args, "description": description}],
        "review_configs": [{"action_name": action, "allowed_decisions": allowed}],
        "action_request": {"action": action, "args": args},
        "config": config,
        "description": description,
    }


def read_decision(answer: object, question: Question) -> HumanDecision | None:
    """Read an answer as one of the decisions allowed; None where it is not one."""
    allowed = question["allowed"]
    for _ in range(2):  # a list may hold a text
        if isinstance(answer, bool):
            answer = {"type": "approve" if answer else "reject"}
        if isinstance(answer, str):
            answer = _from_text(answer, allowed)
        if isinstance(answer, Mapping) and isinstance(answer.get("decisions"), list):
            answer = answer["decisions"]
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
    if not isinstance(answer, Mapping):
        return None
    kind = _kind(answer.get("type") or (allowed[0] if len(allowed) == 1 else ""))
    if kind == "response":
        kind = "respond" if "respond" in allowed else "reject"
    args = _edited(answer, question["args"]) if kind == "edit" else question["args"]
    if kind not in allowed or kind not in get_args(DecisionType) or args is None:
        return None
    reasons = (answer.get(name) for name in ("message", "feedback", "reason", *(["args"] if kind != "edit" else [])))
    text = next((reason.strip() for reason in reasons if isinstance(reason, str)), "")
    if kind == "respond" and not text:
        return None
    return {"type": cast(DecisionType, kind), "args": dict(args), "message": text, "usage": no_usage()}


def _kind(word: object) -> str:
    plain = str(word).strip(" \n.!").casefold()
    return _WORDS.get(plain, plain)


def _from_text(text: str, allowed: Sequence[DecisionType]) -> object:
    parsed = _parsed(text.strip())
    if not isinstance(parsed, str) and (list(allowed) != ["respond"] or _is_decision(parsed)):
        return parsed
    if list(allowed) == ["respond"]:
        return {"type": "respond", "message": text}
    word, separator, reason = re.sub(r"^(\w+)\s*[:,]\s*", r"\1\n", text.strip(), count=1).partition("\n")
    if separator and _kind(word) == "reject":
        return {"type": "reject", "message": reason}
    return {"type": text} if _kind(text) in allowed else text


def _is_decision(parsed: object) -> bool:
    kinds = (*get_args(DecisionType), "response")  # any other type is of data that somebody answers with
    return isinstance(parsed, Mapping) and ("decisions" in parsed or _kind(parsed.get("type")) in kinds)


def _edited(answer: Mapping[str, object], args: Mapping[str, object]) -> dict[str, object] | None:
    """Return the arguments of an edit: in LangChain's form, Agent Inbox's, by name, or as the one text of them."""
    edited = answer.get("edited_action", answer.get("args", answer))
    if isinstance(edited, Mapping) and isinstance(edited.get("args"), Mapping):
        edited = edited["args"]
    name = next(iter(args)) if len(args) == 1 else None
    text = edited if isinstance(edited, str) else answer.get("text")
    if name is not None and isinstance(text, str):
        edited = {name: text}
    if not isinstance(edited, Mapping) or not edited.keys() & args.keys():
        return None
    known = {name: value for name, value in edited.items() if name in args}
    texts = [name for name in known if isinstance(args[name], str)]  # which stay the texts that they are
    if not all(isinstance(known[name], str) for name in texts):
        return None
    return {**args, **{name: value if name in texts else _parsed(value) for name, value in known.items()}}


def _parsed(value: object) -> object:
    """Read JSON that a front end sends as text; other text stays text."""
    with suppress(ValueError, RecursionError):
        if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
            return json.loads(value)
    return value


def _listed(allowed: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
