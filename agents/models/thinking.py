"""The thinking of models whose server does not split it off: `<think>…</think>` is not an answer."""

import re
from typing import Any

from langchain_core.messages import AIMessage

from agents.runtime import reads_foreign_text

_MARK = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>|\[(/?)THINK\]", re.IGNORECASE)
_OPENINGS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "[think]")
_LONGEST_MARK = len("</reasoning>")


@reads_foreign_text()
def without_thinking(text: str) -> str:
    """Return a reply's text without its thinking; a block without an end is thinking to the end.

    A block begins at the start of a line. A closing mark alone ends a block too: some templates write the opening one
    into the prompt. Marks quoted in a sentence or in a code block are text.
    """
    kept: list[str] = []
    at = scanned = fences = 0
    is_inside = has_opening = False
    for mark in _MARK.finditer(text):
        between = text[scanned : mark.start()]
        fences += between.count("```")
        begins_line = (scanned == at or "\n" in between) and not between.rpartition("\n")[2].strip()
        scanned = mark.end()
        is_closing = "/" in mark[0]
        if is_inside and is_closing:
            is_inside, at = False, mark.end()
        elif is_closing and not has_opening:
            kept, at, has_opening = [], mark.end(), True
        elif not is_inside and not is_closing:
            has_opening = True
            if fences % 2 == 0 and begins_line:
                kept.append(text[at : mark.start()])
                is_inside = True
    if at == 0 and not is_inside:
        return text
    return "".join([*kept, "" if is_inside else text[at:]]).strip()


def answer_only(message: AIMessage) -> AIMessage:
    """Return a model's message without thinking in its text; the same object if nothing is removed."""
    if not _MARK.search(message.text):
        return message
    content: Any = message.content
    if isinstance(content, str):
        return message.model_copy(update={"content": without_thinking(content)})
    blocks = [{**block, "text": without_thinking(block["text"])} if _is_text(block) else block for block in content]
    return message.model_copy(update={"content": blocks})


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text"


class VisibleText:
    """Holds back the pieces of a streamed text that are thinking at its start."""

    def __init__(self) -> None:
        self._held = ""
        self._is_thinking = self._is_answer = False

    def see(self, piece: str) -> str:
        """Return the text that may be shown now that another piece has come."""
        if self._is_answer:
            return piece
        self._held += piece
        if not self._is_thinking:
            start = self._held.lstrip().casefold()
            self._is_thinking = start.startswith(_OPENINGS)
            self._is_answer = bool(start) and not (
                self._is_thinking or any(mark.startswith(start) for mark in _OPENINGS)
            )
        if self._is_answer:
            return self._held
        if self._is_thinking and (end := next((mark for mark in _MARK.finditer(self._held) if "/" in mark[0]), None)):
            self._held, self._is_thinking = self._held[end.end() :], False
            return self.see("")
        self._held = self._held[-_LONGEST_MARK:] if self._is_thinking else self._held
        return ""
