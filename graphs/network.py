"""A network of peers without a centre: a peer answers, or hands off along its links -> the next peer ... -> end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired

from langchain_core.messages import AIMessage
from langgraph.graph import END, START
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.assignment import Assignment
from agents.runtime import Retry
from graphs.decisions import FINISH, HANDOFF_TOOL, Handoff, TakeTurn, Turn, finish_tool, handoff_tool, prompts
from graphs.engine import (
    Box,
    Envelope,
    Node,
    Pattern,
    PatternGraph,
    Problem,
    assignment,
    by_name,
    closing,
    known,
    problem,
    request,
)
from graphs.errors import ConfigurationError

History = Literal["full", "last", "brief"]


class HandoffRecord(Handoff):
    """One handoff of a run."""

    by: str
    ignored: list[Handoff]
    """Further handoffs of the same turn; only the first counts."""
    refused: NotRequired[str]
    """Why it was not followed."""


class Said(TypedDict):
    """What one peer said in its turn."""

    by: str
    text: str
    message_id: str | None
    """The id of the chat message that holds the text, if one does."""


class NetworkState(Envelope, total=False):
    """The envelope, who has the floor, and how it came there."""

    active: str
    """The peer whose turn it is; between messages of a thread, the one that answered last."""
    handoffs: list[HandoffRecord]
    said: list[Said]


class Network(Pattern):
    """Lets peers hand a request to each other until one of them answers.

    Args:
        agents: The peers.
        links: For each peer those it may hand off to; None: everyone to everyone.
        start: The peer that gets the first message of a thread; None for the first.
        turns: `handoff`: a peer goes on until it hands off. `round_robin`: peers speak in order and see what was
            said, until one of them finishes or `max_turns` were taken; there are no handoffs.
        history: What a peer sees of the run before it: `full`, all that was said and handed over; `brief`, one line
            for each handoff; `last`, only the task it was handed.
        max_handoffs: Handoffs allowed before the network gives up; answering is not a handoff.
        max_turns: Turns of a round-robin in all.
        retry: For every turn; None for three attempts.

    Raises:
        ConfigurationError: A name is taken twice or unknown, a link leads nowhere, or a setting makes no sense.
    """

    name = "network"

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        links: Mapping[str, Sequence[str]] | None = None,
        start: str | None = None,
        turns: Literal["handoff", "round_robin"] = "handoff",
        history: History = "full",
        max_handoffs: int = 8,
        max_turns: int = 12,
        retry: Retry | None = None,
    ) -> None:
        self.agents = by_name(agents)
        self.start = known(start or next(iter(self.agents)), self.agents, role="start").name
        if turns not in ("handoff", "round_robin") or history not in ("full", "last", "brief"):
            raise ConfigurationError(
                f"turns={turns!r}, history={history!r}: turns is 'handoff' or 'round_robin', "
                "history is 'full', 'last' or 'brief'"
            )
        if max_handoffs < 0 or max_turns < 1:
            raise ConfigurationError("max_handoffs must be 0 or more, max_turns 1 or more")
        self.turns = turns
        self.history: History = "full" if turns == "round_robin" else history
        self.max_handoffs = max_handoffs
        self.max_turns = max_turns
        self.retry = retry
        self.links = self._links(links)
        self._check_tools()

    def _links(self, links: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        names = list(self.agents)
        if self.turns == "round_robin":
            return {one: [names[(place + 1) % len(names)]] for place, one in enumerate(names)}
        if links is None:
            return {one: [other for other in names if other != one] for one in names}
        for one, others in links.items():
            for name in (one, *others):
                known(name, self.agents, role="link")
            if one in others:
                raise ConfigurationError(f"The peer {one!r} is linked to itself; a handoff goes to another peer")
        return {one: list(dict.fromkeys(links.get(one, ()))) for one in names}

    def _check_tools(self) -> None:
        for name, agent in self.agents.items():
            own = [one.name.removeprefix(HANDOFF_TOOL) for one in agent.role.tools if one.name.startswith(HANDOFF_TOOL)]
            if beyond := set(own) - set(self.links[name] if self.turns == "handoff" else ()):
                raise ConfigurationError(
                    f"Agent {name!r} has a tool for handing over to {', '.join(beyond)}: no such link"
                )

    def assign(self, name: str, state: NetworkState) -> Assignment:
        """Give a peer the request or the task it was handed, with as much of the run before it as `history` says."""
        asked = assignment(state["messages"])
        context = dict(asked["context"])
        if self.turns == "round_robin":
            task = prompts.YOUR_TURN.format(name=name)
            told = "\n\n".join(f"{one['by']}: {one['text']}" for one in state["said"])
            return {
                "task": task,
                "context": {**context, "the discussion so far": told} if told else context,
                "request": request(state["messages"]),
            }
        if refused := state["handoffs"] and state["handoffs"][-1].get("refused"):
            context["your last handoff, which was not possible"] = refused
        if told := self._told(state):
            context["what happened before"] = told
        handed = _followed(state)
        task = handed[-1]["task"] if handed else ""
        return {"task": task or asked["task"], "context": context, "request": request(state["messages"])}

    def _told(self, state: NetworkState) -> str:
        if self.history == "last":
            return ""
        handed = _followed(state)
        lines = [f"{one['by']} handed over to {one['to']}: {one['reason']}" for one in handed]
        if self.history == "full":
            lines += [f"{one['by']} said: {one['text']}" for one in state["said"]]
            lines += [f"The task for {one['to']} was: {one['task']}" for one in handed[:-1]]
        return "\n".join(lines)

    def take_turn(self, name: str, state: NetworkState, turn: Turn) -> dict[str, Any]:
        """Answer, or pass the floor on."""
        inside: list[Problem] = [{**one, "where": f"{name}/{one['where']}"} for one in turn["errors"]]  # type: ignore[typeddict-item]
        update: dict[str, Any] = {"active": name, "errors": inside}
        if self.turns == "round_robin":
            return {**update, **self._spoken(name, state, turn)}
        words: Said = {"by": name, "text": turn["text"], "message_id": turn["message_id"]}
        said = [*state["said"], words] if turn["text"] else state["said"]
        update["said"] = said
        if turn["handoff"] is None:
            status = turn["status"]
            reason = None if status == "completed" else f"{name!r} ended as {status}"
            answer = closing(state["messages"], turn["text"], turn["message_id"])
            return {**update, "status": status, "stop_reason": reason, "messages": [answer]}
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
            return {**update, **self._stopped(stop, state, said)}
        if refused:
            told: Problem = {"where": name, "kind": "UnknownAgentError", "message": refused}
            return {**update, "errors": [*inside, told]}
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
        said: list[Said] = [*state["said"], {"by": name, "text": text, "message_id": turn["message_id"]}]
        if handoff and handoff["to"] == FINISH:
            words = _last_words(state, said) or AIMessage(f"{name!r} finished without an answer")
            answer = AIMessage(handoff["task"]) if handoff["task"] else words
            return {"said": said, "status": "completed", "messages": [answer]}
        if len(said) >= self.max_turns:
            return {"said": said, **self._stopped(f"Nobody finished in {self.max_turns} turns", state, said)}
        return {"said": said, "active": self.links[name][0]}

    def _reason_to_stop(self, state: NetworkState, record: HandoffRecord) -> str | None:
        if any(_same(one, record) for one in state["handoffs"]):
            return f"{record['by']!r} handed the same task to {record['to']!r} twice"
        if len(state["handoffs"]) >= self.max_handoffs:
            return f"No answer within {self.max_handoffs} handoffs"
        return None

    def _stopped(self, reason: str, state: NetworkState, said: Sequence[Said]) -> dict[str, Any]:
        """End with the last words of any peer, or the reason."""
        words = _last_words(state, said)
        status = "partial" if words else "failed"
        return {"status": status, "stop_reason": reason, "messages": [words or AIMessage(reason)]}

    def turn_failed(self, name: str, state: NetworkState, error: Exception) -> dict[str, Any]:
        """End with what was said before the failure."""
        told = problem(name, error)
        stopped = self._stopped(f"{name!r} failed: {told['message']}", state, state["said"])
        return {**stopped, "active": name, "errors": [told]}

    def first(self, state: NetworkState) -> str:
        """Return the peer that answered last in this thread, or the one to start with."""
        active = state.get("active")
        return active if active in self.agents else self.start

    def next(self, state: NetworkState) -> str:
        """Return the peer that has the floor, until the run is over."""
        return state["active"] if state["status"] == "running" else END

    def inside(self) -> dict[str, list[Box]]:
        """Draw what is in the peers."""
        return {name: [Box(agent)] for name, agent in self.agents.items()}

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, NetworkState)
        for name, agent in self.agents.items():
            graph.add_node(name, self._peer(name, agent))
        graph.add_conditional_edges(START, self.first, list(self.agents))
        for name in self.agents:
            # Only functions and Runnables can name a peer they are not linked to, and are then asked again.
            again = [] if self.agents[name].is_role or self.turns == "round_robin" else [name]
            graph.add_conditional_edges(name, self.next, [*self.links[name], *again, END])
        return graph

    def _peer(self, name: str, agent: Agent) -> Node:
        if self.turns == "round_robin":
            tools = [finish_tool()]
        else:
            tools = [handoff_tool(one, self.agents[one].description) for one in self.links[name]]
        return Node(
            lambda state: self.assign(name, state),
            TakeTurn(agent, tools),
            lambda state, turn: self.take_turn(name, state, turn),
            failed=lambda state, error: self.turn_failed(name, state, error),
            booked=agent.booked,
            retry=self.retry,
            aloud=agent,
            blank={"handoffs": [], "said": []},
        )


def _followed(state: NetworkState) -> list[HandoffRecord]:
    return [one for one in state["handoffs"] if "refused" not in one]


def _last_words(state: NetworkState, said: Sequence[Said]) -> AIMessage | None:
    last = next((one for one in reversed(said) if one["text"]), None)
    return closing(state["messages"], last["text"], last.get("message_id")) if last else None


def _same(one: Handoff, other: Handoff) -> bool:
    """Tell a ping-pong: the same pair and the same task again."""
    same_pair = (one["by"], one["to"]) == (other["by"], other["to"])  # type: ignore[typeddict-item]
    return same_pair and one["task"].split() == other["task"].split()
