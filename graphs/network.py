"""A network of peers without a centre: a peer answers, or hands off -> the next peer ... -> answer.

Or a discussion: a peer speaks -> (choose) -> the next peer ... -> answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START

from agents import Agent, AnyAgent, Assignment, Retry
from agents.arguments import check_limits, is_list_of
from agents.assignment import History, check_history, with_task
from graphs.decisions import handoffs, prompts, speakers
from graphs.engine import (
    RUNNING,
    Conclusion,
    Node,
    Pattern,
    PatternGraph,
    Problem,
    Update,
    ended_as,
    member,
    problem,
    problems_inside,
    shown_call,
    team_of,
)
from graphs.errors import ConfigurationError


class HandoffRecord(handoffs.Handoff):
    """One handoff of a run."""

    by: str
    ignored: list[handoffs.Handoff]
    """Further handoffs of the same turn; only the first counts."""
    refused: NotRequired[str]
    """Why it was not followed."""


class NetworkState(speakers.DiscussionState):
    """The state of a discussion, and the handoffs."""

    handoffs: list[HandoffRecord]


class Network(Pattern[NetworkState]):
    """Lets peers hand a request to each other until one of them answers.

    Args:
        agents: The peers.
        links: For each peer those it may hand off to; None: everyone to everyone.
        start: The peer that gets the first message of a thread; None for the first.
        turns: `handoff`: a peer goes on until it hands off. All others are discussions without handoffs: peers see what
            was said, until one of them finishes or `max_turns` were taken. `round_robin`: they speak in order.
            `chosen`: a model names each speaker or the end, also the first speaker unless `start` does. A function of
            the state, sync or async: names the next speaker after each turn, None for the end.
        model: Names the speakers of `chosen`; None for the default chat model.
        history: What a peer sees of the conversation before the request, and of the peers' words before its turn:
            `full`, `last` (only the task it was handed), a number of messages, or a function of the messages.
        max_handoffs: Handoffs allowed before the network gives up; answering is not a handoff.
        max_turns: Turns of a discussion in all.
        retry: For every turn; None for three attempts.

    Raises:
        ConfigurationError: A name is taken twice or unknown, a link leads nowhere, or a setting makes no sense.
    """

    name = "network"
    state_schema: type[Any] = NetworkState
    record_schema: type[Any] = NetworkState

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        links: Mapping[str, Sequence[str]] | None = None,
        start: str | None = None,
        turns: speakers.Turns = "handoff",
        model: BaseChatModel | str | None = None,
        history: History = "full",
        max_handoffs: int = 8,
        max_turns: int = 12,
        retry: Retry | None = None,
    ) -> None:
        self.agents = team_of(agents)
        check_limits(1, max_turns=max_turns)
        if reserved := {"answer", speakers.CHOOSE} & self.agents.keys():
            raise ConfigurationError(f"{', '.join(reserved)}: a reserved node name in a Network; rename the agent")
        self.discussion: speakers.Discussion | None = None
        if turns != "handoff":
            self.discussion = speakers.Discussion(self.agents, turns, model, max_turns, self._asked)
        # A model chooses the first speaker too, unless the caller has.
        self.start = start if start is not None else (speakers.CHOOSE if turns == "chosen" else next(iter(self.agents)))
        if self.start != speakers.CHOOSE:
            member(self.start, self.agents, role="start")
        check_limits(0, max_handoffs=max_handoffs)
        self.history, self.retry = check_history(history), retry
        self.max_handoffs = max_handoffs
        self.links = self._links(links)
        self._check_tools()

    def _links(self, links: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        names = list(self.agents)
        if self.discussion:
            return {name: [] for name in names}
        if links is None:
            return {name: [other for other in names if other != name] for name in names}
        if not isinstance(links, Mapping) or not all(is_list_of(str, others) for others in links.values()):
            raise ConfigurationError(f"links must be lists of names, by name, not {links!r:.80}")
        for name, others in links.items():
            for end in (name, *others):
                member(end, self.agents, role="link")
            if name in others:
                raise ConfigurationError(f"The peer {name!r} is linked to itself; a handoff goes to another peer")
        return {name: list(dict.fromkeys(links.get(name, ()))) for name in names}

    def _check_tools(self) -> None:
        for name, agent in self.agents.items():
            tools = [tool.name for tool in agent.tools if tool.name.startswith(handoffs.HANDOFF_TOOL)]
            own = {tool.removeprefix(handoffs.HANDOFF_TOOL) for tool in tools}
            if beyond := own - set(self.links[name]):
                raise ConfigurationError(
                    f"Agent {name!r} has a tool to hand over to {', '.join(beyond)}; add that link, or remove the tool"
                )

    def assign(self, name: str, state: NetworkState) -> Assignment:
        """Give a peer the request or the task it was handed, with what `history` passes on of the run before it."""
        request = self._asked(state)
        if self.discussion:
            return with_task(request, lambda task: prompts.YOUR_TURN.format(name=name, task=task))
        refused = state["handoffs"][-1].get("refused") if state["handoffs"] else None
        context = {**request["context"], **({"last_handoff_refused": refused} if refused else {})}
        followed = _followed(state)
        task = followed[-1]["task"] if followed else ""
        return {**request, "task": task or request["task"], "context": context}

    def _asked(self, state: NetworkState) -> Assignment:
        request = self.assignment(state)
        return {**request, "context": {**request.get("context", {}), **self._words(state)}}

    def _words(self, state: NetworkState) -> dict[str, str]:
        """Return the words of peers, and why they handed over, by speaker, as far as `history` passes them on."""
        if self.discussion:
            messages = [AIMessage(utterance["text"], name=utterance["by"]) for utterance in state["said"]]
            return speakers.under_speakers(messages, self.history)
        spoken = {utterance["by"]: [utterance["text"]] for utterance in state["said"]}
        messages = []
        for record in _followed(state):
            words = [*spoken.pop(record["by"], []), f"(to {record['to']}: {record['reason']})"]
            messages.append(AIMessage("\n".join(words), name=record["by"]))
        return speakers.under_speakers(messages, self.history)

    def take_turn(self, name: str, state: NetworkState, turn: handoffs.Turn) -> Update:
        errors = problems_inside(turn["errors"], name)
        update: Update = {"active": name, "errors": errors}
        if self.discussion:
            return {**update, **self.discussion.spoken(name, state, turn)}
        handoff = turn["handoff"]
        shown_as = None if handoff else turn["message_id"]
        words: speakers.Utterance = {"by": name, "text": turn["text"], "message_id": shown_as}
        said = [*state["said"], words] if turn["text"] else state["said"]
        update["said"] = said
        if handoff is None:
            reason = None if turn["status"] == "completed" else ended_as(name, turn["status"], errors)
            return {**update, "ending": speakers.ending(words, turn["status"], reason)}
        to, task, reason = handoff["to"], handoff["task"], handoff["reason"]
        record = HandoffRecord(by=name, to=to, task=task, reason=reason, ignored=turn["ignored"])
        stop = self._reason_to_stop(state, record)
        linked = self.links[name]
        unlinked = f"{name!r} may hand over to {', '.join(linked) or 'nobody'}, not to {to!r}"
        if refused := stop or (unlinked if to not in linked else None):
            record["refused"] = refused
        update["handoffs"] = [*state["handoffs"], record]
        if stop:
            return {**update, "ending": speakers.stopped(stop, said)}
        if refused:
            failure: Problem = {"where": name, "kind": "UnknownAgentError", "message": refused}
            return {**update, "errors": [*errors, failure]}
        # In place of the peer's own call of the tool.
        call = (f"{handoffs.HANDOFF_TOOL}{to}", {"task": task, "reason": reason})
        messages = shown_call(state["messages"], name, call, f"{name} handed over to {to}.", turn["message_id"])
        return {**update, "active": to, "messages": messages}

    def _reason_to_stop(self, state: NetworkState, record: HandoffRecord) -> str | None:
        if any(_same(earlier, record) for earlier in state["handoffs"]):
            return f"{record['by']!r} handed the same task to {record['to']!r} twice"
        if len(state["handoffs"]) >= self.max_handoffs:
            return f"No answer within {self.max_handoffs} handoffs"
        return None

    def turn_failed(self, name: str, state: NetworkState, error: Exception) -> Update:
        failure = problem(name, error)
        ending = speakers.stopped(f"{name!r} failed: {failure['message']}", state["said"])
        return {"ending": ending, "active": name, "errors": [failure]}

    def first(self, state: NetworkState) -> str:
        """Return the peer that answered last in this thread, or the one to start with."""
        active = state.get("active", "")
        return active if active in self.agents and self.start != speakers.CHOOSE else self.start

    def next(self, state: NetworkState) -> str:
        """Return the peer that has the floor, until one has answered."""
        return "answer" if state["ending"] else state["active"]

    def spoke(self, state: NetworkState) -> Literal["choose", "answer"]:
        return "answer" if state["ending"] else "choose"

    def conclude(self, state: NetworkState) -> Conclusion:
        return state["ending"] or {**speakers.stopped("", state["said"]), "status": RUNNING}

    def build(self) -> PatternGraph[NetworkState]:
        graph = PatternGraph(self, self.state_schema)
        for name, agent in self.agents.items():
            graph.add_node(name, self._peer(name, agent))
        choose = self.discussion.choose if self.discussion else None
        if choose is not None:
            graph.add_node(speakers.CHOOSE, choose)
            graph.add_conditional_edges(speakers.CHOOSE, self.next, [*self.agents, "answer"])
        first = [speakers.CHOOSE] if self.start == speakers.CHOOSE else list(self.agents)
        graph.add_conditional_edges(START, self.first, first)
        for name, agent in self.agents.items():
            if choose is not None:
                graph.add_conditional_edges(name, self.spoke)
                continue
            # Only functions and graphs can name a peer they are not linked to, and are then asked again.
            again = [] if agent.takes_tools or self.discussion else [name]
            following = [self.discussion.following[name]] if self.discussion else self.links[name]
            graph.add_conditional_edges(name, self.next, [*following, *again, "answer"])
        return graph

    def _peer(self, name: str, agent: Agent) -> Node[NetworkState, handoffs.Turn]:
        if self.discussion:
            tools = [handoffs.finish_tool()]
        else:
            tools = [handoffs.handoff_tool(peer, self.agents[peer].description) for peer in self.links[name]]
        return Node(
            lambda state: self.assign(name, state),
            handoffs.TakeTurn(agent, tools),
            lambda state, turn: self.take_turn(name, state, turn),
            failed=lambda state, error: self.turn_failed(name, state, error),
        )


def _followed(state: NetworkState) -> list[HandoffRecord]:
    return [record for record in state["handoffs"] if "refused" not in record]


def _same(handoff: HandoffRecord, other: HandoffRecord) -> bool:
    """Recognise a ping-pong: the same pair and the same task again."""
    same_pair = (handoff["by"], handoff["to"]) == (other["by"], other["to"])
    return same_pair and handoff["task"].split() == other["task"].split()
