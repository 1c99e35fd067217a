"""A network of peers without a centre: a peer answers, or hands off along its links -> the next peer ... -> end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import END, START

from agents.agent import Agent
from agents.prompts import Assignment
from agents.retry import Retry
from graphs import prompts
from graphs.errors import ConfigurationError
from graphs.handoff import FINISH, Handoff, TakeTurn, Turn, finish_tool, handoff_tool
from graphs.pattern import Node, Pattern, PatternGraph, by_name, known
from graphs.state import Envelope, Problem, assignment, problem

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


class NetworkState(Envelope, total=False):
    """The envelope, who has the floor, and how it came there."""

    active: str
    """The peer whose turn it is; between messages of a thread, the one that answered last."""
    handoffs: list[HandoffRecord]
    said: list[Said]


class Network(Pattern):
    """Lets peers hand a request to each other until one of them answers.

    Args:
        links: For each peer those it may hand off to; None: everyone to everyone.
        start: The peer that gets the first message of a thread; None for the first.
        turns: `handoff`: a peer goes on until it hands off. `round_robin`: peers speak in order and see what was
            said, until one of them finishes or `max_turns` were taken; there are no handoffs.
        history: What a peer sees of the run before it: `full`, all that was said and handed over; `brief`, one line
            for each handoff; `last`, only the task it was handed.
        max_handoffs: Handoffs allowed before the network gives up; answering is not a handoff.
        max_turns: Turns of a round-robin in all.
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

    def _links(self, links: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        names = list(self.agents)
        if self.turns == "round_robin":
            return {one: [names[(place + 1) % len(names)]] for place, one in enumerate(names)}
        if links is None:
            return {one: [other for other in names if other != one] for one in names}
        for one, others in links.items():
            for name in (one, *others):
                known(name, self.agents, role="link")
        return {one: list(dict.fromkeys(links.get(one, ()))) for one in names}

    def assign(self, name: str, state: NetworkState) -> Assignment:
        """Give a peer the request or the task it was handed, with as much of the run before it as `history` says."""
        asked = assignment(state["messages"])
        context = dict(asked["context"])
        handed = state["handoffs"][-1] if state["handoffs"] else None
        if self.turns == "round_robin":
            task = prompts.YOUR_TURN.format(name=name)
            told = "\n\n".join(f"{one['by']}: {one['text']}" for one in state["said"])
            return {
                "task": task,
                "context": {**context, "the discussion so far": told} if told else context,
                "request": asked["task"],
            }
        if handed is None:
            return {**asked, "context": context}
        if handed.get("refused"):
            context["your last handoff was not possible"] = handed["refused"]
        if told := self._told(state):
            context["what happened before"] = told
        return {"task": handed["task"] or asked["task"], "context": context, "request": asked["task"]}

    def _told(self, state: NetworkState) -> str:
        if self.history == "last":
            return ""
        lines = [f"{one['by']} handed over to {one['to']}: {one['reason']}" for one in state["handoffs"]]
        if self.history == "full":
            lines += [f"{one['by']} said: {one['text']}" for one in state["said"]]
            lines += [f"The task for {one['to']} was: {one['task']}" for one in state["handoffs"][:-1]]
        return "\n".join(lines)

    def take_turn(self, name: str, state: NetworkState, turn: Turn) -> dict[str, Any]:
        """Answer, or pass the floor on."""
        spoken: list[Said] = [{"by": name, "text": turn["text"]}] if turn["text"] else []
        said = [*state["said"], *spoken]
        inside: list[Problem] = [{**one, "where": f"{name}/{one['where']}"} for one in turn["errors"]]  # type: ignore[typeddict-item]
        update: dict[str, Any] = {"active": name, "said": said, "errors": inside}
        handoff = turn["handoff"]
        if self.turns == "round_robin":
            return {**update, **self._spoken(name, state, turn, len(said))}
        if handoff is None:
            status = turn["status"]
            reason = None if status == "completed" else f"{name!r} ended as {status}"
            return {**update, "status": status, "stop_reason": reason, "messages": [AIMessage(turn["text"])]}
        record: HandoffRecord = {
            "by": name,
            "to": handoff["to"],
            "task": handoff["task"],
            "reason": handoff["reason"],
            "ignored": turn["ignored"],
        }
        if handoff["to"] not in self.links[name]:
            links = ", ".join(self.links[name]) or "nobody"
            record["refused"] = f"{name!r} may hand over to {links}, not to {handoff['to']!r}"
            told: Problem = {"where": name, "kind": "UnknownAgentError", "message": record["refused"]}
            update["errors"] = [*inside, told]
        else:
            update["active"] = handoff["to"]
        stop = self._reason_to_stop(state, record)
        update["handoffs"] = [*state["handoffs"], record]
        return {**update, **self._stopped(stop, said)} if stop else update

    def _spoken(self, name: str, state: NetworkState, turn: Turn, spoken: int) -> dict[str, Any]:
        """Go on with the next peer of a round-robin, unless it is over."""
        if turn["handoff"] and turn["handoff"]["to"] == FINISH:
            return {"status": "completed", "messages": [AIMessage(turn["handoff"]["task"] or turn["text"])]}
        if spoken >= self.max_turns:
            reason = f"Nobody finished in {self.max_turns} turns"
            return {"status": "partial", "stop_reason": reason, "messages": [AIMessage(turn["text"])]}
        return {"active": self.links[name][0]}

    def _reason_to_stop(self, state: NetworkState, record: HandoffRecord) -> str | None:
        if any(_same(one, record) for one in state["handoffs"]):
            return f"{record['by']!r} handed the same task to {record['to']!r} twice"
        if len(state["handoffs"]) >= self.max_handoffs:
            return f"No answer within {self.max_handoffs} handoffs"
        return None

    def _stopped(self, reason: str, said: Sequence[Said]) -> dict[str, Any]:
        """End with the last words of any peer, or the reason."""
        text = said[-1]["text"] if said else reason
        status = "partial" if said else "failed"
        return {"status": status, "stop_reason": reason, "messages": [AIMessage(text)]}

    def turn_failed(self, name: str, state: NetworkState, error: Exception) -> dict[str, Any]:
        """End with what was said before the failure."""
        told = problem(name, error)
        stopped = self._stopped(f"{name!r} failed: {told['message']}", state["said"])
        return {**stopped, "active": name, "errors": [told]}

    def first(self, state: NetworkState) -> str:
        """Return the peer that answered last in this thread, or the one to start with."""
        return state.get("active") or self.start

    def next(self, state: NetworkState) -> str:
        """Return the peer that has the floor, until the run is over."""
        return state["active"] if state["status"] == "running" else END

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, NetworkState)
        for name, agent in self.agents.items():
            graph.add_node(name, self._peer(name, agent))
        graph.add_conditional_edges(START, self.first, list(self.agents))
        for name in self.agents:
            # Only functions and Runnables can name a peer they are not linked to, and are then asked again.
            again = [] if self.agents[name].is_role else [name]
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
            blank={"handoffs": [], "said": []},
        )


def _same(one: Handoff, other: Handoff) -> bool:
    """Tell a ping-pong: the same pair and the same task again."""
    same_pair = (one["by"], one["to"]) == (other["by"], other["to"])  # type: ignore[typeddict-item]
    return same_pair and one["task"].split() == other["task"].split()
