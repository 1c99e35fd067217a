"""Questions of a run to a person: what is open, how an answer is written, and asking at the terminal.

A question is LangChain's human-in-the-loop request, or anything else, which is answered by a line of text.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.errors import ConfigurationError
from graphs.cli.output import say
from graphs.cli.signals import raise_interrupt, signals_to
from graphs.people import RUN_PLAN
from graphs.show import one_line

NEEDS_TEXT = {"reject": "why", "respond": "text", "edit": "@file"}
"""Answers that a text belongs to, and what that is."""
ANY_DECISION = ("approve", "edit", "reject", "respond")
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
    """The text with which an edit begins."""
    decide: Callable[[str, str], Any]
    """Makes the decision of a choice and its text."""


@dataclass(frozen=True)
class ShownQuestion:
    """A question that a run waits for; one without id ended the run, and its answer is the next message."""

    id: str
    value: Any

    @property
    def short_id(self) -> str:
        return self.id[:_SHORTEST_ID]

    def items(self) -> list[Item]:
        value = self.value if isinstance(self.value, Mapping) else {}
        if requests := value.get("action_requests"):
            reviews = value.get("review_configs", ())
            with suppress(AttributeError, KeyError, TypeError):  # then it is not in LangChain's form
                allowed = {review["action_name"]: tuple(review["allowed_decisions"]) for review in reviews}
                return [_action(item, allowed.get(item["name"], ANY_DECISION)) for item in requests]
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, indent=2, default=str)
        return [Item(text, text, (), "", lambda choice, text: text)]

    def answer(self, decisions: Sequence[Any]) -> Any:
        is_request = isinstance(self.value, Mapping) and "action_requests" in self.value
        return {"decisions": list(decisions)} if is_request else decisions[0]

    def read(self, written: str) -> object:
        """Read an answer: `approve`, `reject:why`, `edit:@file`, JSON, or any text; else raise `AnswerError`."""
        items = self.items()
        if not items[0].choices:
            return _json_or_text(written.strip()) if self.id else written.strip()
        any_text = items[0].choices == ("respond",)
        if written.lstrip().startswith(("{", "[")) and not (any_text and '"type"' not in written):
            data = _data(written)
            alone = isinstance(data, dict) and "decisions" not in data
            return self.answer([data] * len(items)) if alone else data
        choice, _, text = (part.strip() for part in written.partition(":"))
        if any_text and choice != "respond":
            choice, text = "respond", written.strip()
        for item in items:
            if choice not in item.choices:
                raise AnswerError(f"{written!r} does not answer this; {self.hint()}")
        if len(items) > 1 and choice == "edit":
            raise AnswerError('Several actions are edited with JSON: {"decisions": […]}, one for each')
        if choice in NEEDS_TEXT and not text:
            raise AnswerError(f"Say more: {choice}:{NEEDS_TEXT[choice]}")
        text = _contents(text) if choice in NEEDS_TEXT else text
        return self.answer([item.decide(choice, text) for item in items])

    def hint(self) -> str:
        choices = self.items()[0].choices
        if not choices or choices == ("respond",):
            return "answer with a text"
        written = [f"{choice}:{NEEDS_TEXT[choice]}" if choice in NEEDS_TEXT else choice for choice in choices]
        return f"answer with {', '.join(written)}"

    def headline(self) -> str:
        return "; ".join(one_line(item.title) for item in self.items())


def read_answers(questions: Sequence[ShownQuestion], written: Sequence[str]) -> Mapping[str, object]:
    """Return the answers by the ids of their questions; with several open each is written as `ID=answer`."""
    answers: dict[str, object] = {}
    for text in written:
        start, equals, rest = text.partition("=")
        named = [question for question in questions if equals and len(start) >= 4 and question.id.startswith(start)]
        if not named and len(questions) != 1:
            raise AnswerError(f"{len(questions)} questions are open; write ID=answer. {_ids(questions)}")
        question = named[0] if named else questions[0]
        if len(named) > 1 or question.id in answers:
            raise AnswerError(f"{text!r} does not say which question it answers. {_ids(questions)}")
        answers[question.id] = question.read(rest if named else text)
    return answers


def _ids(questions: Sequence[ShownQuestion]) -> str:
    return "Open: " + "; ".join(f"{item.short_id} ({item.headline()})" for item in questions)


def _action(request: Mapping[str, Any], allowed: tuple[str, ...]) -> Item:
    """Return the decision on an action in LangChain's form."""
    shown = str(request.get("description") or f"{request['name']} {json.dumps(request['args'], indent=2)}")
    args = request["args"]
    text_only = isinstance(args, Mapping) and [*args] == ["text"]

    def decide(choice: str, text: str) -> dict[str, Any]:
        if choice != "edit":
            return {"type": choice, **({"message": text} if text else {})}
        edited = {"text": text} if text_only else _data(text)
        edited = {"steps": edited} if isinstance(edited, list) else edited
        return {"type": "edit", "edited_action": {"name": request["name"], "args": edited}}

    title = "Run this plan?" if request["name"] == RUN_PLAN else f"Allow {request['name']}?"
    draft = str(args["text"]) if text_only else json.dumps(args, indent=2, ensure_ascii=False) + "\n"
    return Item(shown if allowed == ("respond",) else title, shown, allowed, draft, decide)


def _json_or_text(text: str) -> object:
    """Read a JSON object or list, as agents' own questions may want one; anything else is the answer as it stands."""
    with suppress(AnswerError):
        return _data(text) if text.startswith(("{", "[")) else text
    return text


def _data(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"This is not JSON: {error}") from error


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


def ask_on_terminal(
    questions: Sequence[ShownQuestion], console: Console, drafts: dict[str, str]
) -> dict[str, object] | None:
    """Ask a person and return the answers by id, None for not now; `drafts` has texts as last edited, by the first."""
    answers: dict[str, object] = {}
    try:
        with signals_to(raise_interrupt):
            for number, question in enumerate(questions, 1):
                which = f" {number} of {len(questions)}" if len(questions) > 1 else ""
                say(console, f"\nQuestion{which}", "bold yellow")
                answers[question.id] = question.answer([_ask(item, console, drafts) for item in question.items()])
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return answers


def _ask(item: Item, console: Console, drafts: dict[str, str]) -> object:
    say(console, item.text)
    if not item.choices or item.choices == ("respond",):
        return item.decide("respond", _line("> ", console))
    say(console, item.title)
    letters = _letters(item.choices)
    offer = ", ".join(f"{letter} = {choice}" for letter, choice in letters.items())
    while True:
        word = _line(f"[{offer}] ", console).casefold()
        choice = letters.get(word, word)
        if choice not in item.choices:
            continue
        try:
            if choice == "edit":
                text = drafts[item.draft] = _edited(drafts.get(item.draft, item.draft))
                if text == item.draft:
                    say(console, "Nothing was changed.", "dim")
                    continue
            else:
                text = _line(f"{NEEDS_TEXT[choice]}: ", console) if choice in NEEDS_TEXT else ""
            return item.decide(choice, text)
        except AnswerError as error:
            say(console, str(error), "red")


def _letters(choices: Sequence[str]) -> dict[str, str]:
    """Give each choice a letter of its own: the first that no other has."""
    letters: dict[str, str] = {}
    for choice in choices:
        letters.setdefault(next(letter for letter in [*choice, choice] if letter not in letters), choice)
    return letters


def _line(prompt: str, console: Console) -> str:
    while True:
        say(console, prompt, "bold", end="")
        if line := input().strip():
            return line


def _edited(text: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    suffix = ".json" if text.lstrip().startswith("{") else ".txt"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"answer{suffix}"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True, stdout=sys.stderr)  # noqa: S603 - theirs
        except (OSError, subprocess.CalledProcessError) as error:
            raise AnswerError(f"The editor {editor!r} failed: {error}; set EDITOR to another") from error
        return file.read_text(encoding="utf-8")
