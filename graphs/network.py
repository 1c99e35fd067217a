"""A network of peers without a centre: a peer answers, or hands off along its links -> the next peer ... -> answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AIMessage
from langgraph.graph import END, START
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.assignment import Assignment, History, check_history, select_history, with_task
from agents.conversion import AnyAgent
from agents.runtime import Retry
from graphs.decisions import (
    FINISH,
    HANDOFF_TOOL,
    Handoff,
    TakeTurn,
    Turn,
    finish_tool,
    handoff_tool,
    prompts,
)
from graphs.engine import (
    KEPT,
    RUNNING,
    Box,
    Conclusion,
    Node,
    Pattern,
    PatternGraph,
    PatternState,
    Problem,
    member,
    problem,
    problems_inside,
    team_of,
)
from graphs.errors import ConfigurationError

Turns = Literal["handoff", "round_robin"]


class HandoffRecord(Handoff):
    """One handoff of a run."""

    by: str
    ignored: list[Handoff]
    """Further handoffs of the same turn; only the first counts."""
    refused: NotRequired[str]
    """Why it was not followed."""


class Utterance(TypedDict):
    """What one peer said in its turn."""

    by: str
    text: str
    message_id: str | None
    """The id of the chat message that shows the text, if there is one."""


class NetworkState(PatternState):
    """The shared state, the peer that has the floor, and how it got there."""

    active: Annotated[str, KEPT]
    """The peer whose turn it is; between messages of a thread, the one that answered last."""
    handoffs: list[HandoffRecord]
    said: list[Utterance]
    ending: Conclusion | None


class Network(Pattern[NetworkState]):
    """Lets peers hand a request to each other until one of them answers.

    Args:
        agents: The peers.
        links: For each peer those it may hand off to; None: everyone to everyone.
        start: The peer that gets the first message of a thread; None for the first.
        turns: `handoff`: a peer goes on until it hands off. `round_robin`: peers speak in order and see what was
            said, until one of them finishes or `max_turns` were taken; there are no handoffs.
        history: What a peer sees of the conversation before the request, and of what peers said before its turn:
            `full`, `last` (only the task it was handed), a number of messages, or a function of the messages.
        max_handoffs: Handoffs allowed before the network gives up; answering is not a handoff.
        max_turns: Turns of a round-robin in all.
        retry: For every turn; None for three attempts.

    Raises:
        ConfigurationError: A name is taken twice or unknown, a link leads nowhere, or a setting makes no sense.
    """

    name = "network"

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        links: Mapping[str, Sequence[str]] | None = None,
        start: str | None = None,
        turns: Turns = "handoff",
        history: History = "full",
        max_handoffs: int = 8,
        max_turns: int = 12,
        retry: Retry | None = None,
    ) -> None:
        self.agents = team_of(agents)
        if "answer" in self.agents:
            raise ConfigurationError("answer: a reserved node name in a Network; rename the agent")
        self.start = member(start or next(iter(self.agents)), self.agents, role="start").name
        if turns not in ("handoff", "round_robin"):
            raise ConfigurationError(f"turns must be 'handoff' or 'round_robin', not {turns!r}")
        if max_handoffs < 0 or max_turns < 1:
            raise ConfigurationError("max_handoffs must be 0 or more, max_turns 1 or more")
        self.turns = turns
        self.history = check_history(history)
        self.max_handoffs = max_handoffs
        self.max_turns = max_turns
        self.retry = retry
        self.links = self._links(links)
        self._check_tools()

    def _links(self, links: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        names = list(self.agents)
        if self.turns == "round_robin":
            return {name: [names[(place + 1) % len(names)]] for place, name in enumerate(names)}
        if links is None:
            return {name: [other for other in names if other != name] for name in names}
        for name, others in links.items():
            for end in (name, *others):
                member(end, self.agents, role="link")
            if name in others:
                raise ConfigurationError(f"The peer {name!r} is linked to itself; a handoff goes to another peer")
        return {name: list(dict.fromkeys(links.get(name, ()))) for name in names}

    def _check_tools(self) -> None:
        for name, agent in self.agents.items():
            tools = [tool.name for tool in agent.tools if tool.name.startswith(HANDOFF_TOOL)]
            own = {tool.removeprefix(HANDOFF_TOOL) for tool in tools}
            if beyond := own - set(self.links[name] if self.turns == "handoff" else ()):
                raise ConfigurationError(
                    f"Agent {name!r} has a tool for handing over to {', '.join(beyond)}, to which it has no link"
                )

    def assign(self, name: str, state: NetworkState) -> Assignment:
        """Give a peer the request or the task it was handed, with what `history` passes on of the run before it."""
        request = self.assignment(state)
        context = {**request.get("context", {}), **self._discussion(state)}
        if self.turns == "round_robin":
            turn: Assignment = {**request, "context": context}
            return with_task(turn, lambda task: prompts.YOUR_TURN.format(name=name, task=task))
        if refused := state["handoffs"] and state["handoffs"][-1].get("refused"):
            context["last_handoff_refused"] = refused
        followed = _followed(state)
        task = followed[-1]["task"] if followed else ""
        return {**request, "task": task or request["task"], "context": context}

    def _discussion(self, state: NetworkState) -> dict[str, str]:
        """Return what peers said and why they handed over, by speaker, as far as `history` passes it on."""
        spoken = {utterance["by"]: [utterance["text"]] for utterance in state["said"] if self.turns == "handoff"}
        messages = [AIMessage(utterance["text"], name=utterance["by"]) for utterance in state["said"]]
        if self.turns == "handoff":
            messages = []
            for record in _followed(state):
                words = [*spoken.pop(record["by"], []), f"(to {record['to']}: {record['reason']})"]
                messages.append(AIMessage("\n".join(words), name=record["by"]))
        labels: dict[str, str] = {}
        for message in select_history(messages, self.history):
            label = message.name or "peer"
            count = sum(1 for taken in labels if taken.rpartition("_")[0] == label or taken == label)
            labels[f"{label}_{count + 1}" if count else label] = str(message.text)
        return labels

    def take_turn(self, name: str, state: NetworkState, turn: Turn) -> dict[str, Any]:
        """Answer, or pass the floor on."""
        errors = problems_inside(turn["errors"], name)
        update: dict[str, Any] = {"active": name, "errors": errors}
        if self.turns == "round_robin":
            return {**update, **self._spoken(name, state, turn)}
        words: Utterance = {"by": name, "text": turn["text"], "message_id": turn["message_id"]}
        said = [*state["said"], words] if turn["text"] else state["said"]
        update["said"] = said
        if turn["handoff"] is None:
            reason = None if turn["status"] == "completed" else f"{name!r} ended as {turn['status']}"
            return {**update, "ending": _ending(words["text"], words["message_id"], turn["status"], reason)}
        handoff = turn["handoff"]
        record: HandoffRecord = {
            "by": name,
            "to": handoff["to"],
            "task": handoff["task"],
            "reason": handoff["reason"],
            "ignored": turn["ignored"],
        }
        stop = self._reason_to_stop(state, record)
        if refused := stop or self._unlinked(record):
            record["refused"] = refused
        update["handoffs"] = [*state["handoffs"], record]
        if stop:
            return {**update, "ending": _stopped(stop, said)}
        if refused:
            failure: Problem = {"where": name, "kind": "UnknownAgentError", "message": refused}
            return {**update, "errors": [*errors, failure]}
        return {**update, "active": record["to"]}

    def _unlinked(self, record: HandoffRecord) -> str | None:
        linked = self.links[record["by"]]
        if record["to"] in linked:
            return None
        return f"{record['by']!r} may hand over to {', '.join(linked) or 'nobody'}, not to {record['to']!r}"

    def _spoken(self, name: str, state: NetworkState, turn: Turn) -> dict[str, Any]:
        """Go on with the next peer of a round-robin, unless it is over."""
        handoff = turn["handoff"]
        text = turn["text"] or (handoff["task"] if handoff else "")
        said: list[Utterance] = [*state["said"], {"by": name, "text": text, "message_id": turn["message_id"]}]
        if handoff and handoff["to"] == FINISH:
            last = _last(said)
            words = (last["text"], last["message_id"]) if last else (f"{name!r} finished without an answer", None)
            answer = (handoff["task"], None) if handoff["task"] else words
            return {"said": said, "ending": _ending(*answer, "completed", None)}
        if len(said) >= self.max_turns:
            return {"said": said, "ending": _stopped(f"Nobody finished in {self.max_turns} turns", said)}
        return {"said": said, "active": self.links[name][0]}

    def _reason_to_stop(self, state: NetworkState, record: HandoffRecord) -> str | None:
        if any(_same(earlier, record) for earlier in state["handoffs"]):
            return f"{record['by']!r} handed the same task to {record['to']!r} twice"
        if len(state["handoffs"]) >= self.max_handoffs:
            return f"No answer within {self.max_handoffs} handoffs"
        return None

    def turn_failed(self, name: str, state: NetworkState, error: Exception) -> dict[str, Any]:
        """End with what was said before the failure."""
        failure = problem(name, error)
        ending = _stopped(f"{name!r} failed: {failure['message']}", state["said"])
        return {"ending": ending, "active": name, "errors": [failure]}

    def first(self, state: NetworkState) -> str:
        """Return the peer that answered last in this thread, or the one to start with."""
        active = state.get("active", "")
        return active if active in self.agents else self.start

    def next(self, state: NetworkState) -> str:
        """Return the peer that has the floor, until one has answered."""
        return "answer" if state["ending"] else state["active"]

    def conclude(self, state: NetworkState) -> Conclusion:
        """Answer with what the last peer said."""
        return state["ending"] or {**_stopped("", state["said"]), "status": RUNNING}

    def inside(self) -> dict[str, list[Box]]:
        """Draw what is in the peers."""
        return {name: [Box(agent)] for name, agent in self.agents.items()}

    def build(self) -> PatternGraph[NetworkState]:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, NetworkState)
        for name, agent in self.agents.items():
            graph.add_node(name, self._peer(name, agent))
        graph.add_rule("answer", self.answer)
        graph.add_conditional_edges(START, self.first, list(self.agents))
        for name, agent in self.agents.items():
            # Only functions and graphs can name a peer they are not linked to, and are then asked again.
            again = [] if agent.is_chat_model or self.turns == "round_robin" else [name]
            graph.add_conditional_edges(name, self.next, [*self.links[name], *again, "answer"])
        graph.add_edge("answer", END)
        return graph

    def _peer(self, name: str, agent: Agent) -> Node[NetworkState, Turn]:
        if self.turns == "round_robin":
            tools = [finish_tool()]
        else:
            tools = [handoff_tool(peer, self.agents[peer].description) for peer in self.links[name]]
        return Node(
            lambda state: self.assign(name, state),
            TakeTurn(agent, tools),
            lambda state, turn: self.take_turn(name, state, turn),
            failed=lambda state, error: self.turn_failed(name, state, error),
        )


def _followed(state: NetworkState) -> list[HandoffRecord]:
    return [record for record in state["handoffs"] if "refused" not in record]


def _last(said: Sequence[Utterance]) -> Utterance | None:
    return next((utterance for utterance in reversed(said) if utterance["text"]), None)


def _ending(text: str, message_id: str | None, status: str, reason: str | None) -> Conclusion:
    return {"text": text, "message_id": message_id, "status": status, "stop_reason": reason}


def _stopped(reason: str, said: Sequence[Utterance]) -> Conclusion:
    """End with the last words of any peer, or the reason."""
    last = _last(said)
    if last is None:
        return _ending(reason, None, "failed", reason)
    return _ending(last["text"], last["message_id"], "partial", reason)


def _same(handoff: HandoffRecord, other: HandoffRecord) -> bool:
    """Recognise a ping-pong: the same pair and the same task again."""
    same_pair = (handoff["by"], handoff["to"]) == (other["by"], other["to"])
    return same_pair and handoff["task"].split() == other["task"].split()
