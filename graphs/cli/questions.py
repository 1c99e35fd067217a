"""Questions of a run to a person: what is open, how an answer is written, and asking in the terminal.

A question is LangChain's human-in-the-loop request (a plan's approval is one), a supervisor's case, or anything else,
which is answered by a line of text.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from agents.errors import ConfigurationError
from agents.runtime import visible
from graphs.people import RUN_PLAN
from graphs.show import one_line

NEEDS_TEXT = {"reject": "why", "retry": "feedback", "respond": "text", "edit": "@file"}
"""Answers that a text belongs to, and what that is."""
ANY_ACTION = ("approve", "edit", "reject", "respond")
_SHORTEST_ID = 8


class AnswerError(ConfigurationError):
    """An answer that does not fit the question."""


@dataclass(frozen=True)
class Item:
    """One thing to decide; a question has one or several."""

    title: str
    text: str
    choices: tuple[str, ...]
    """Empty: any text will do."""
    draft: str
    """What an edit begins with."""
    decide: Callable[[str, str], Any]
    """Makes the decision of a choice and its text."""


@dataclass(frozen=True)
class Question:
    """A question that a run waits for; one without id ended the run, and its answer is the next message."""

    id: str
    value: Any

    def items(self) -> list[Item]:
        """Return what is to be decided."""
        value = self.value if isinstance(self.value, Mapping) else {}
        if isinstance(value.get("action_requests"), list):
            allowed = {one["action_name"]: tuple(one["allowed_decisions"]) for one in value.get("review_configs", ())}
            return [_action(one, allowed.get(one["name"], ANY_ACTION)) for one in value["action_requests"]]
        if value.get("type") == "tool_approval":
            return [_action(value, ANY_ACTION)]
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, indent=2, default=str)
        return [Item(text, text, (), "", lambda choice, text: text)]

    def answer(self, decisions: Sequence[Any]) -> Any:
        """Return what the run is resumed with."""
        batched = isinstance(self.value, Mapping) and "action_requests" in self.value
        return {"decisions": list(decisions)} if batched else decisions[0]

    def read(self, written: str) -> Any:
        """Return what the run is resumed with from `approve`, `reject:why`, `edit:@file`, JSON, or any text.

        Raises:
            AnswerError: It is no answer to this question.
        """
        items = self.items()
        if not items[0].choices:
            return _data_or_text(written.strip()) if self.id else written.strip()
        if written.lstrip().startswith(("{", "[")):
            given = _data(written)
            alone = isinstance(given, dict) and "decisions" not in given
            return self.answer([given] * len(items)) if alone else given
        choice, _, text = (part.strip() for part in written.partition(":"))
        for item in items:
            if choice not in item.choices:
                raise AnswerError(f"{written!r} is no answer here; {self.hint()}")
        if len(items) > 1 and choice == "edit":
            raise AnswerError('Several actions are edited with JSON: {"decisions": […]}, one for each')
        if choice in NEEDS_TEXT and not text:
            raise AnswerError(f"Say more: {choice}:{NEEDS_TEXT[choice]}")
        text = _contents(text) if choice in NEEDS_TEXT else text
        return self.answer([item.decide(choice, text) for item in items])

    def hint(self) -> str:
        """Say in a line how an answer is written."""
        choices = self.items()[0].choices
        if not choices:
            return "answer with a text"
        return "answer with " + ", ".join(f"{one}:{NEEDS_TEXT[one]}" if one in NEEDS_TEXT else one for one in choices)

    def headline(self) -> str:
        """Say in a line what is asked."""
        return "; ".join(one_line(item.title) for item in self.items())


def read_answers(questions: Sequence[Question], written: Sequence[str]) -> dict[str, Any]:
    """Return the answers by the ids of their questions; with several open each is written as `ID=answer`.

    Raises:
        AnswerError: One fits no question.
    """
    answers: dict[str, Any] = {}
    for one in written:
        start, equals, rest = one.partition("=")
        named = [asked for asked in questions if equals and len(start) >= 4 and asked.id.startswith(start)]
        if not named and len(questions) != 1:
            raise AnswerError(f"{len(questions)} questions are open; write ID=answer. {_ids(questions)}")
        asked = named[0] if named else questions[0]
        if len(named) > 1 or asked.id in answers:
            raise AnswerError(f"{one!r} does not say which question it answers. {_ids(questions)}")
        answers[asked.id] = asked.read(rest if named else one)
    return answers


def short_id(question: Question, questions: Sequence[Question]) -> str:
    """Return the beginning of an id that no other open question shares."""
    length = _SHORTEST_ID
    while sum(one.id.startswith(question.id[:length]) for one in questions) > 1 and length < len(question.id):
        length += 1
    return question.id[:length]


def _ids(questions: Sequence[Question]) -> str:
    return "Open: " + "; ".join(f"{short_id(one, questions)} ({one.headline()})" for one in questions)


def _action(request: Mapping[str, Any], allowed: tuple[str, ...]) -> Item:
    """Decide on an action in LangChain's form."""
    shown = request.get("description") or f"{request['name']} {json.dumps(request['args'], indent=2)}"
    args = request["args"]
    text_only = isinstance(args, Mapping) and [*args] == ["text"]
    steps = args.get("steps") if isinstance(args, Mapping) else None
    if isinstance(steps, list):
        args = {"steps": [_set_fields(step) for step in steps]}

    def decide(choice: str, text: str) -> dict[str, Any]:
        if choice != "edit":
            return {"type": choice, **({"message": text} if text else {})}
        edited = {"text": text} if text_only else _data(text)
        edited = {"steps": edited} if isinstance(edited, list) else edited
        return {"type": "edit", "edited_action": {"name": request["name"], "args": edited}}

    title = "Run this plan?" if request["name"] == RUN_PLAN else f"Allow {request['name']}?"
    draft = str(args["text"]) if text_only else json.dumps(args, indent=2, ensure_ascii=False) + "\n"
    return Item(title, shown, allowed, draft, decide)


def _set_fields(step: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a step does not say."""
    always = ("id", "agent", "task", "dependencies")
    unsaid = (None, "all") if step.get("join") == "all" else (None,)
    return {name: value for name, value in step.items() if name in always or value not in unsaid}


def _data_or_text(text: str) -> Any:
    """Read a JSON object or list, as agents' own questions may want one; anything else is the answer as it stands."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        if text.lstrip().startswith("{"):
            raise AnswerError(f"That is no JSON: {wrong}") from wrong
    try:
        return tomllib.loads(text)
    except ValueError as wrong:
        raise AnswerError(f"That is neither JSON nor TOML: {wrong}") from wrong


def _contents(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{text[1:]} cannot be read: {error}") from error


def can_ask() -> bool:
    """Tell whether a person sits at the terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(questions: Sequence[Question], console: Console) -> dict[str, Any] | None:
    """Ask a person one question after the other and return the answers by id; None if they would rather not now."""
    answers: dict[str, Any] = {}
    try:
        for number, question in enumerate(questions, 1):
            which = f" {number} of {len(questions)}" if len(questions) > 1 else ""
            console.print(Text(f"\nQuestion{which}", "bold yellow"))
            answers[question.id] = question.answer([_ask(item, console) for item in question.items()])
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return answers


def _ask(item: Item, console: Console) -> Any:
    if not item.choices:
        console.print(Text(visible(item.text)))
        return item.decide("", _line("> ", console))
    console.print(Text(visible(f"{item.text}\n{item.title}")))
    letters = _letters(item.choices)
    offer = ", ".join(f"{letter} = {choice}" for letter, choice in letters.items())
    while True:
        said = _line(f"[{offer}] ", console).casefold()
        choice = letters.get(said, said)
        if choice not in item.choices:
            continue
        text = ""
        if choice == "edit":
            text = _edited(item.draft)
        elif choice in NEEDS_TEXT:
            text = _line(f"{NEEDS_TEXT[choice]}: ", console)
        try:
            return item.decide(choice, text)
        except AnswerError as error:
            console.print(Text(visible(str(error)), "red"))


def _letters(choices: Sequence[str]) -> dict[str, str]:
    """Give each choice a letter of its own: the first that no other has."""
    letters: dict[str, str] = {}
    for one in choices:
        letters.setdefault(next(letter for letter in [*one, one] if letter not in letters), one)
    return letters


def _line(prompt: str, console: Console) -> str:
    """Read a line that is not empty."""
    while True:
        console.print(Text(prompt, "bold"), end="", soft_wrap=True)
        if said := input().strip():
            return said


def _edited(draft: str) -> str:
    """Have a text edited in the person's editor."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    suffix = ".json" if draft.startswith("{") else ".txt"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"answer{suffix}"
        file.write_text(draft, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True, stdout=sys.stderr)  # noqa: S603 - theirs
        except (OSError, subprocess.CalledProcessError) as error:
            raise AnswerError(f"The editor {editor!r} failed: {error}; set EDITOR to another") from error
        return file.read_text(encoding="utf-8")
