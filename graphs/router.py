"""A router: classify -> the agent that suits (or several) | fallback | clarify -> merge -> (next best) agent | end."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START
from typing_extensions import TypedDict

from agents.agent import Agent, Answer
from agents.assignment import Assignment
from agents.runtime import Retry, named
from graphs.decisions import NOBODY, Candidate, Classifier, Classify, ModelClassifier, Ranking, as_classifier, prompts
from graphs.engine import (
    RESERVED,
    Box,
    Envelope,
    Node,
    Pattern,
    PatternGraph,
    Problem,
    assignment,
    by_name,
    closing,
    each,
    problem,
)
from graphs.errors import ConfigurationError
from graphs.people import AskUser, Clarified

TAKEN_NAMES = ("classify", "fallback", "clarify", "merge", NOBODY)


class Route(TypedDict):
    """The decision: who was in question, why, who decided, and who was asked in the end."""

    candidates: list[Candidate]
    threshold: float
    reason: str
    decided_by: str
    chosen: list[str]
    """The agents asked so far, `fallback` included, in that order."""


class Reply(TypedDict):
    """What one agent answered: `text` is None if it failed."""

    agent: str
    text: str | None
    message_id: str | None
    """The id of the chat message that holds the text, if one does."""
    status: str


class RouterState(Envelope, total=False):
    """The envelope, the decision, and the answers of the agents that were asked."""

    route: Route
    replies: Annotated[list[Reply], operator.add]


class Router(Pattern):
    """Gives a request to the agent that suits it best.

    Args:
        agents: The team; a model goes by their names, descriptions and examples.
        fallback: Gets what no agent suits, in an unknown name, with too little confidence, or after the candidates
            have failed; without one the user is asked.
        classifier: Asked before the model: a function, LangChain `Embeddings`, a `Classifier`, or several of them in
            turn; one that is not sure, or fails, passes on.
        model: Decides when no classifier is sure, and merges; None for the default chat model, False for none at all.
        threshold: Least confidence of an agent that is asked, 0 to 1; a classifier with less is not sure.
        clarify: How the user is asked. `message`: the run ends as `needs_input`, and the thread's next message goes on.
            `interrupt`: the run waits, also as a step of another graph (needs a checkpointer); resume it with a text.
        multiple: Ask all candidates above the threshold at once, `max_agents` at most, and merge their answers. If one
            of them fails, the rest is a `partial` answer.
        retry: For every call; None for three attempts.

    Raises:
        ConfigurationError: A name is taken twice or means another thing here, a setting makes no sense, or there is
            neither a model nor a classifier.
    """

    name = "router"

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        fallback: Agent | None = None,
        classifier: Classifier | Embeddings | Callable[[str], Any] | Sequence[Any] = (),
        model: BaseChatModel | str | Literal[False] | None = None,
        threshold: float = 0.5,
        clarify: Literal["message", "interrupt"] = "message",
        multiple: bool = False,
        max_agents: int = 3,
        retry: Retry | None = None,
    ) -> None:
        self.agents = by_name(agents)
        if taken := [one for one in self.agents if one in TAKEN_NAMES]:
            raise ConfigurationError(
                f"Agents of a router may not be called {', '.join(taken)}: that means another thing"
            )
        if not 0 <= threshold <= 1 or max_agents < 1:
            raise ConfigurationError("threshold must be between 0 and 1, max_agents 1 or more")
        if clarify not in ("message", "interrupt"):
            raise ConfigurationError(f"clarify must be 'message' or 'interrupt', not {clarify!r}")
        self.fallback = fallback
        self.clarify = clarify
        self.threshold = threshold
        self.most = max_agents if multiple else 1
        self.retry = retry
        team = list(self.agents.values())
        given = classifier if isinstance(classifier, Sequence) and not isinstance(classifier, str) else [classifier]
        classifiers = [as_classifier(one) for one in given]
        self.merger = None
        if model is not False:
            classifiers.append(ModelClassifier(team, model))
            self.merger = Agent("merger", instructions=prompts.SYNTHESIZE, model=model)
        if not classifiers:
            raise ConfigurationError("A router without a model needs a classifier")
        self.synthesizes = multiple and self.merger is not None
        self.classify = Classify(classifiers, team, threshold, retry)

    def take_ranking(self, state: RouterState, ranked: Ranking) -> dict[str, Any]:
        """Choose among the candidates: those of the team with enough confidence, else the fallback."""
        chosen = self._eligible(ranked["candidates"])[: self.most] or (["fallback"] if self.fallback else [])
        route: Route = {
            "candidates": ranked["candidates"],
            "threshold": self.threshold,
            "reason": ranked["reason"],
            "decided_by": ranked["decided_by"],
            "chosen": chosen,
        }
        update: dict[str, Any] = {"route": route, "errors": ranked["errors"]}
        if chosen or ranked["candidates"] or all(one["kind"] == "DecisionError" for one in ranked["errors"]):
            return update
        reason = f"The request could not be classified: {ranked['errors'][-1]['message']}"
        return {**update, "status": "failed", "stop_reason": reason, "messages": [AIMessage(reason)]}

    def _eligible(self, candidates: Sequence[Candidate]) -> list[str]:
        """Return the known agents with enough confidence, from the most confident down."""
        ranked = sorted(candidates, key=lambda one: -one["confidence"])
        able = [one["agent"] for one in ranked if one["confidence"] >= self.threshold]
        best = ranked[0]["agent"] if ranked else None
        # A best guess outside the team says that the request is out of scope, whatever comes second.
        return [one for one in dict.fromkeys(able) if one in self.agents] if best in self.agents else []

    def to_agents(self, state: RouterState) -> list[str]:
        """Go to the chosen agents, or ask the user; end if no classifier could be reached."""
        return (state["route"]["chosen"] or ["clarify"]) if state["status"] == "running" else [END]

    def ask_agent(self, state: RouterState) -> Assignment:
        """Hand the request on as it is."""
        return assignment(state["messages"])

    def ask_user(self, state: RouterState) -> dict[str, Any]:
        """Ask which agent is meant; the next message of the thread is classified with this question before it."""
        reason = f"No agent suits the request with confidence {self.threshold} or more: {state['route']['reason']}"
        return {"messages": [AIMessage(self._question())], "status": "needs_input", "stop_reason": reason}

    def take_clarified(self, state: RouterState, answer: Clarified) -> dict[str, Any]:
        """Go on with what the user answered, as the same request."""
        said = HumanMessage(answer["text"], id=str(uuid4()))
        return {"messages": [AIMessage(self._question()), said], "turn": said.id}

    def _question(self) -> str:
        choices = "\n".join(f"- {one.name}: {one.description}" for one in self.agents.values())
        return prompts.CLARIFY.format(choices=choices)

    def ask_merger(self, state: RouterState) -> Assignment | None:
        """Have several answers made into one."""
        context = {one["agent"]: one["text"] or "" for one in self._answered(state)}
        if len(context) < 2 or self.merger is None:
            return None
        return {**assignment(state["messages"]), "task": prompts.MERGE_TASK, "context": context}

    def merge(self, state: RouterState, merged: Answer | None = None) -> dict[str, Any]:
        """Answer the user, or turn to the next best candidate when all that were asked have failed."""
        if (following := self._next(state)) is not None:
            return {"route": {**state["route"], "chosen": [*state["route"]["chosen"], following]}}
        answered = self._answered(state)
        if not answered:
            told = "".join(f"; the last one: {one['message']}" for one in state["errors"][-1:])
            reason = f"Every agent that was asked has failed: {', '.join(state['route']['chosen'])}{told}"
            return {"status": "failed", "stop_reason": reason, "messages": [AIMessage(reason)]}
        said = self._said(state, answered, merged)
        # Of several that were asked each was to do its part; otherwise the next best has done what another could not.
        short = [one for one in (state["replies"] if self.most > 1 else answered) if one["status"] != "completed"]
        if not short:
            return {"status": "completed", "messages": said}
        status = next((one["status"] for one in short if one["text"] is not None), "partial")
        why = ", ".join(f"{one['agent']!r} ended as {one['status']}" for one in short)
        return {"status": status, "stop_reason": why, "messages": said}

    def _said(self, state: RouterState, answered: Sequence[Reply], merged: Answer | None) -> list[AIMessage]:
        """Return the answer, unless it is in the thread already."""
        if merged:
            return [closing(state["messages"], merged["text"], merged.get("message_id"))]
        if len(answered) == 1 and answered[0].get("message_id") in [one.id for one in state["messages"]]:
            return []
        text = "\n\n".join(one["text"] or "" for one in answered)
        return [closing(state["messages"], text, answered[0].get("message_id") if len(answered) == 1 else None)]

    def _answered(self, state: RouterState) -> list[Reply]:
        """Return the replies of those that did not fail, from the best candidate down."""
        answered = [one for one in state["replies"] if one["text"] is not None]
        return sorted(answered, key=lambda one: state["route"]["chosen"].index(one["agent"]))

    def merging_failed(self, state: RouterState, error: Exception) -> dict[str, Any]:
        """Answer with the answers one after the other."""
        told = problem("merge", error)
        put_together = self.merge(state)
        reason = put_together.get("stop_reason") or f"The answers could not be merged: {told['message']}"
        status = "partial" if put_together["status"] == "completed" else put_together["status"]
        return {**put_together, "status": status, "stop_reason": reason, "errors": [told]}

    def _next(self, state: RouterState) -> str | None:
        if any(one["text"] is not None for one in state["replies"]):
            return None
        chosen = state["route"]["chosen"]
        again = any(self.agents.get(one) is self.fallback for one in chosen)
        order = [*self._eligible(state["route"]["candidates"]), *(["fallback"] if self.fallback and not again else [])]
        return next((one for one in order if one not in chosen), None)

    def merged(self, state: RouterState) -> str:
        """Go to the next best candidate, or end."""
        return state["route"]["chosen"][-1] if state["status"] == "running" else END

    def inside(self) -> dict[str, list[Box]]:
        """Draw what is in the agents."""
        fallback = {"fallback": each([self.fallback])} if self.fallback else {}
        return {**{name: [Box(agent)] for name, agent in self.agents.items()}, **fallback}

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        nodes = {**self.agents, **({"fallback": self.fallback} if self.fallback else {})}
        graph = PatternGraph(self, RouterState)
        graph.add_node("classify", self._classifying())
        for name, agent in nodes.items():
            graph.add_node(name, self._asking(name, agent))
        graph.add_node("clarify", self._clarifying())
        graph.add_node("merge", self._merging())
        graph.add_edge(START, "classify")
        graph.add_conditional_edges("classify", self.to_agents, [*nodes, "clarify", END])
        for name in nodes:
            graph.add_edge(name, "merge")
        graph.add_conditional_edges("merge", self.merged, [*nodes, END])
        graph.add_edge("clarify", END if self.clarify == "message" else "classify")
        return graph

    def _classifying(self) -> Node:
        return Node(
            lambda state: state["messages"],
            self.classify,
            self.take_ranking,
            booked=lambda usage: named(usage, "classifier"),
            blank={"route": {}, "replies": []},
        )

    def _clarifying(self) -> Node:
        if self.clarify == "message":
            return Node(after=self.ask_user)
        return Node(lambda state: self._question(), AskUser(), self.take_clarified)

    def _asking(self, name: str, agent: Agent) -> Node:
        def answered(state: RouterState, answer: Answer) -> dict[str, Any]:
            said = closing(state["messages"], answer["text"], answer.get("message_id"))
            reply: Reply = {
                "agent": name,
                "text": answer["text"],
                "message_id": said.id,
                "status": answer["status"],
            }
            inside: list[Problem] = [{**one, "where": f"{name}/{one['where']}"} for one in answer["errors"]]  # type: ignore[typeddict-item]
            return {"replies": [reply], "errors": inside, "messages": [said] if self.most == 1 else []}

        def failed(state: RouterState, error: Exception) -> dict[str, Any]:
            return {
                "replies": [{"agent": name, "text": None, "message_id": None, "status": "failed"}],
                "errors": [problem(name, error)],
            }

        aloud = agent if self.most == 1 else None  # else it is the merger whose words are the answer
        return Node(self.ask_agent, agent, answered, failed=failed, booked=agent.booked, retry=self.retry, aloud=aloud)

    def _merging(self) -> Node:
        return Node(
            self.ask_merger,
            self.merger and self.merger.with_config(tags=[RESERVED]),
            self.merge,
            failed=self.merging_failed,
            booked=lambda usage: named(usage, "merger"),
            retry=self.retry,
            aloud=self.merger,
        )
