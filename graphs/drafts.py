"""The work in hand of a supervisor: its state, and how a draft stands in the thread until it is replaced."""

from __future__ import annotations

from langchain_core.messages import BaseMessage, RemoveMessage
from typing_extensions import TypedDict

from graphs.decisions import Verdict
from graphs.engine import Envelope, closing
from graphs.people import Ruling


class Reviewed(Verdict):
    """A verdict, with the number of the work it is about (0 for the first) and the share of criteria met."""

    revision: int
    score: float


class Best(TypedDict):
    """The best work so far."""

    text: str
    message_id: str | None
    """The id of the chat message that holds the text, if one does."""
    score: float
    revision: int


class SupervisorState(Envelope, total=False):
    """The envelope, the work in hand, and what was said of it."""

    work: str
    work_id: str | None
    """The id of the message that holds the work; it stands in the thread while it is reviewed, as a draft."""
    work_status: str
    """`completed`; of a worker that is itself a pattern also `partial`, `escalated` or `needs_input`."""
    reviews: list[Reviewed]
    revisions: int
    """Times the work was done anew in this run."""
    allowed: int
    """Revisions allowed; a person who asks for a retry allows more."""
    best: Best | None
    ruling: Ruling


def saying(state: SupervisorState, text: str, message_id: str | None = None) -> list[BaseMessage]:
    """Return what makes a text the answer so far, in place of an earlier draft."""
    draft = state.get("work_id")
    others = [one for one in state["messages"] if one.id != draft]
    answer = closing(others, text, message_id)
    is_stale = draft != answer.id and len(others) < len(state["messages"])
    return [*([RemoveMessage(draft)] if draft and is_stale else []), answer]
