"""A discussion in turns: a peer speaks -> (choose) -> the next peer ... until one finishes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents import Agent, Assignment, ConfigurationError, Decided, Decision, UnknownAgentError
from agents.assignment import History, select_history
from agents.decisions import OneOf, Short, nearest
from agents.runtime import Effects, SyncAsyncRunnable, call
from agents.usage import no_usage
from graphs.decisions import prompts
from graphs.decisions.handoffs import FINISH, Turn
from graphs.engine import (
    ASKS,
    KEPT,
    Conclusion,
    Node,
    PatternState,
    Update,
    describe,
    ended_as,
    problem,
    problems_inside,
)

CHOOSE = "choose"
"""The name of the node that names the next speaker."""


class Utterance(TypedDict):
    """The words of one peer in its turn."""

    by: str
    text: str
    message_id: str | None
    """The id of the chat message that shows the text, if there is one."""


class DiscussionState(PatternState):
    """The shared state, the words of all peers, and which peer has the floor."""

    active: Annotated[str, KEPT]
    """The peer whose turn it is; between messages of a thread, the one that answered last."""
    said: list[Utterance]
    ending: Conclusion | None


NextTurn = Callable[[Any], str | None] | Callable[[Any], Awaitable[str | None]]
Turns = Literal["handoff", "round_robin", "chosen"] | NextTurn


def speaker_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of the choice of the next speaker, or of the end."""

    class Speaker(BaseModel):
        reason: Short
        speaker: Annotated[str, OneOf([*names, FINISH])]

    return Speaker


class NextSpeaker(SyncAsyncRunnable[Mapping[str, object], Decided]):
    """Has a user's function of the state, sync or async, name the next speaker; None ends the discussion.

    Raises:
        UnknownAgentError: It names an agent outside of the team.
    """

    def __init__(self, function: NextTurn, names: Sequence[str]) -> None:
        self.function = function
        self.names = [*names, FINISH]

    async def run(self, effects: Effects, value: Mapping[str, object], config: RunnableConfig) -> Decided:
        named = await call(effects, self.function, value)
        speaker = FINISH if named is None else nearest(str(named), self.names)
        if speaker is None:
            raise UnknownAgentError(f"turns= named {named!r}; known: {', '.join(self.names)}")
        return {"value": {"speaker": speaker}, "mistakes": [], "usage": no_usage()}


def under_speakers(messages: Sequence[AIMessage], history: History) -> dict[str, str]:
    """Return the words of peers as context, as far as `history` passes them on: by name, numbered from 2 on."""
    labels: dict[str, str] = {}
    words: Sequence[BaseMessage] = messages
    for message in select_history(words, history):
        label = message.name or "peer"
        count = sum(1 for taken in labels if taken.rpartition("_")[0] == label or taken == label)
        labels[f"{label}_{count + 1}" if count else label] = str(message.text)
    return labels


def last_words(said: Sequence[Utterance]) -> Utterance | None:
    """Return the last utterance that has a text."""
    return next((utterance for utterance in reversed(said) if utterance["text"]), None)


def ending(words: Utterance, status: str, reason: str | None) -> Conclusion:
    """Return how a run ends with the words of a peer."""
    return {**words, "status": status, "stop_reason": reason}


def stopped(reason: str, said: Sequence[Utterance]) -> Conclusion:
    """End with the last words of any peer, or the reason."""
    last = last_words(said)
    if last is None:
        return {"text": reason, "status": "failed", "stop_reason": reason}
    return ending(last, "partial", reason)


class Discussion:
    """The rules of a discussion: who speaks next, and how it ends.

    Args:
        agents: The peers, in order.
        turns: `round_robin`, `chosen`, or a function of the state that names the next speaker, None for the end.
        model: Names the speakers of `chosen`; None for the default chat model.
        max_turns: Turns in all.
        assignment: State -> the request with the words so far, for that model.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        turns: Turns,
        model: BaseChatModel | str | None,
        max_turns: int,
        assignment: Callable[[Any], Assignment],
    ) -> None:
        if not callable(turns) and turns not in ("round_robin", "chosen"):
            raise ConfigurationError(f"turns must be 'handoff', 'round_robin', 'chosen' or a function, not {turns!r}")
        self.max_turns = max_turns
        self.assignment = assignment
        names = list(agents)
        self.following = {name: names[(place + 1) % len(names)] for place, name in enumerate(names)}
        self.system = SystemMessage(prompts.SPEAKER.format(team=describe(agents.values())))
        self.choose: Node[Any, Decided] | None = None
        """The node that names the next speaker, where that is a decision."""
        if callable(turns):
            self.choose = Node(dict, NextSpeaker(turns, names), self.take_choice, failed=self.choice_failed)
        elif turns == "chosen":
            decision = Decision(speaker_form(names), model=model, name=CHOOSE)
            self.choose = Node(self.ask_for_speaker, decision, self.take_choice, failed=self.choice_failed)

    def ask_for_speaker(self, state: DiscussionState) -> list[BaseMessage]:
        return [self.system, prompts.question_of(self.assignment(state))]

    def take_choice(self, state: DiscussionState, decided: Decided) -> Update:
        """Give the floor to the peer that was named, or end with the last words."""
        speaker, said = decided["value"]["speaker"], state["said"]
        if speaker != FINISH:
            return {"ending": self._too_long(said)} if len(said) >= self.max_turns else {"active": speaker}
        last = last_words(said)
        if last is None:
            return {"ending": stopped("The discussion ended before any peer had spoken", said)}
        return {"ending": ending(last, "completed", None)}

    def choice_failed(self, state: DiscussionState, error: Exception) -> Update:
        failure = problem(CHOOSE, error)
        end = stopped(f"No speaker was chosen: {failure['message']}", state["said"])
        return {"ending": end, "errors": [failure]}

    def spoken(self, name: str, state: DiscussionState, turn: Turn) -> Update:
        """Record the words of a peer, and go on with the next one unless the discussion is over."""
        handoff = turn["handoff"]
        text = turn["text"] or (handoff["task"] if handoff else "")
        said: list[Utterance] = [*state["said"], {"by": name, "text": text, "message_id": turn["message_id"]}]
        if handoff and handoff["to"] == FINISH:
            answer: Utterance = {"by": name, "text": handoff["task"], "message_id": None}
            nothing: Utterance = {**answer, "text": f"{name!r} finished without an answer"}
            last = answer if answer["text"] else last_words(said) or nothing
            return {"said": said, "ending": ending(last, "completed", None)}
        if turn["status"] == ASKS:
            reason = ended_as(name, ASKS, problems_inside(turn["errors"], name))
            return {"said": said, "ending": ending(said[-1], ASKS, reason)}
        if self.choose is not None:
            return {"said": said}
        end = self._too_long(said) if len(said) >= self.max_turns else None
        return {"said": said, "ending": end, "active": name if end else self.following[name]}

    def _too_long(self, said: Sequence[Utterance]) -> Conclusion:
        return stopped(f"Nobody finished in {self.max_turns} turns", said)
