"""What a run has come to, for a person or as JSON: answer, verdict, open questions, timeline and cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from agents.runtime import explain, no_usage, sum_usage, visible
from graphs.cli.questions import Question, short_id
from graphs.show import LiveState, RunSummary, moves, one_line, print_timeline

_MOST_ERRORS = 10


def final_state(live: LiveState, fault: BaseException | None, now: float) -> dict[str, Any]:
    """Return the state a run ended with; of one that was cut short what was finished, in the same form."""
    state: dict[str, Any] = {"stop_reason": None, "errors": [], "messages": [], **live.values}
    state["usage"] = state.get("usage") or no_usage()
    asked = [Question(one.id, one.value) for one in state.pop("__interrupt__", ())]
    if fault is None:
        told = "; ".join(one.headline() for one in asked)
        listed = [{"id": one.id, "value": one.value} for one in asked]
        asks = {"status": "needs_input", "stop_reason": told, "questions": listed} if asked else {}
        return {"status": "completed", **state, **asks}
    records = live.records()
    finished = {name: record["result"] or "" for name, record in records.items() if record["status"] == "completed"}
    counted = state.get("steps", {})
    done = f"{len(finished)} of {len(records)} steps were finished" if records else "no step had begun"
    ending = "Interrupted" if isinstance(fault, KeyboardInterrupt) else f"Broken off ({explain(fault)})"
    return {
        **state,
        "status": "partial" if finished else "failed",
        "stop_reason": f"{ending} after {now - live.began:.0f} s; {done}.",
        "steps": {**counted, **records},
        "usage": sum_usage([state["usage"], *(one["usage"] for name, one in records.items() if name not in counted)]),
        "messages": [*state["messages"], *([AIMessage(_results(finished))] if finished else [])],
    }


def _results(finished: Mapping[str, str]) -> str:
    return "\n\n".join(f"## {one}\n\n{result}" for one, result in finished.items())


def open_questions(state: Mapping[str, Any]) -> list[Question]:
    """Return what a run waits for: its interrupts, or the question that it ended with."""
    asked = [Question(one["id"], one["value"]) for one in state.get("questions") or ()]
    last = state["messages"][-1] if state.get("messages") else None
    if not asked and state.get("status") == "needs_input" and isinstance(last, AIMessage):
        return [Question("", last.text)]
    return asked


def plain_json(value: Any) -> Any:
    """Return a state as plain JSON, its messages as `{"role", "content"}`."""
    if isinstance(value, BaseMessage):
        return {"role": {"human": "user", "ai": "assistant"}.get(value.type, value.type), "content": value.text}
    if isinstance(value, Mapping):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def print_json(value: Any, console: Console) -> None:
    """Print anything as one JSON object."""
    print(json.dumps(plain_json(value), indent=2), file=console.file, flush=True)


def print_answer(state: Mapping[str, Any], console: Console) -> None:
    """Print the answer, if there is one; while a person is asked, what the thread ends with is a draft."""
    last = plain_json(state["messages"][-1]) if state["messages"] else {"role": "", "content": ""}
    if state["status"] == "failed" or state.get("questions") or last["role"] != "assistant":
        return
    answer = visible(last["content"])
    if moves(console):
        console.print()
        console.print(Markdown(answer, hyperlinks=False))  # a link's address must be seen, not only its words
    else:
        print(answer, file=console.file, flush=True)


def print_verdict(state: Mapping[str, Any], console: Console) -> None:
    """Say how a run ended, unless it was completed, and what went wrong."""
    if state["status"] == "completed":
        return
    reason = one_line(state.get("stop_reason") or "no reason was given")
    style = "red" if state["status"] == "failed" else "yellow"
    whole = not console.is_terminal  # for logs; a terminal gets whole words
    console.print(Text(f"\n{state['status'].replace('_', ' ').capitalize()}: {reason}", style), soft_wrap=whole)
    told = [
        f"{one['where']}: {one_line(one['message'])}" for one in state.get("errors", ()) if one["message"] not in reason
    ]
    for line in told[:_MOST_ERRORS]:
        console.print(Text(f"- {line}", "dim"), soft_wrap=whole)
    if len(told) > _MOST_ERRORS:
        console.print(Text(f"- and {len(told) - _MOST_ERRORS} more", "dim"))


def print_questions(questions: Sequence[Question], name: str | None, console: Console) -> None:
    """Print open questions, and the command that answers them."""
    for one in questions if any(question.id for question in questions) else ():
        mark = f" {short_id(one, questions)}" if len(questions) > 1 else ""
        console.print(Text(f"\nQuestion{mark}:", "bold yellow"))
        for item in one.items():
            console.print(Text(visible(item.text)), soft_wrap=True)
        console.print(Text(one.hint().capitalize(), "dim"), soft_wrap=True)
    if not questions:
        return
    if name is None:
        print("The run was not stored, so it cannot be answered.", file=console.file, flush=True)
        return
    answers = [f"--answer {short_id(one, questions)}=…" if len(questions) > 1 else "--answer …" for one in questions]
    print(f"Answer with: podium resume {name} {' '.join(answers)}", file=console.file, flush=True)


def show_timeline(live: LiveState, state: Mapping[str, Any], now: float, console: Console) -> None:
    """Print who worked when, and the cost of each agent."""
    steps = {**live.records(), **state.get("steps", {})}
    print_timeline(RunSummary.of({**state, "steps": steps}, now), console, began=live.began, until=now)
