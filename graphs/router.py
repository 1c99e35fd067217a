"""A router: classify -> the agent that suits (or several) | fallback | clarify -> merge -> (next best) agent | end."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.prompts import Assignment
from agents.retry import Retry
from agents.usage import named
from graphs import prompts
from graphs.classifiers import Candidate, Classified, Classifier, Classify, ModelClassifier, as_classifier
from graphs.errors import ConfigurationError
from graphs.pattern import Node, Pattern, PatternGraph, by_name
from graphs.state import Envelope, Problem, assignment, problem

OWN_NODES = ("classify", "fallback", "clarify", "merge")


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
    status: str


class RouterState(Envelope, total=False):
    """The envelope, the decision, and the answers of the agents that were asked."""

    route: Route
    replies: Annotated[list[Reply], operator.add]


class Router(Pattern):
    """Gives a request to the agent that suits it best.

    Args:
        fallback: Gets what no agent suits, in an unknown name, with too little confidence, or after the candidates
            have failed; without one the user is asked (status `needs_input`).
        classifier: Asked before the model: a function, LangChain `Embeddings`, a `Classifier`, or several of them in
            turn; one that is not sure passes on.
        model: Decides when no classifier is sure; None for the default chat model, False for none at all.
        threshold: Least confidence of an agent that is asked, 0 to 1.
        multiple: Ask all candidates above the threshold at once, `max_agents` at most, and merge their answers.
    """

    name = "router"

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        fallback: Agent | None = None,
        classifier: Classifier | Embeddings | Callable[[str], Any] | Sequence[Any] = (),
        model: BaseChatModel | str | bool | None = None,
        threshold: float = 0.5,
        multiple: bool = False,
        max_agents: int = 3,
        retry: Retry | None = None,
    ) -> None:
        self.agents = by_name(agents)
        reserved = sorted(set(self.agents) & set(OWN_NODES))
        if reserved:
            raise ConfigurationError(f"Agents of a router may not be called {', '.join(reserved)}: its nodes are")
        if not 0 <= threshold <= 1:
            raise ConfigurationError(f"threshold must be between 0 and 1, not {threshold}")
        self.fallback = fallback
        self.threshold = threshold
        self.most = max_agents if multiple else 1
        self.retry = retry
        team = list(self.agents.values())
        given = classifier if isinstance(classifier, Sequence) else [classifier]
        classifiers = [as_classifier(one) for one in given]
        if not isinstance(model, bool):
            classifiers.append(ModelClassifier(team, model))
        if not classifiers:
            raise ConfigurationError("A router without a model needs a classifier")
        self.classify = Classify(classifiers, team)
        self.merger = Agent("merger", instructions=prompts.SYNTHESIZE, model=None if isinstance(model, bool) else model)

    def take_ranking(self, state: RouterState, ranked: Classified) -> dict[str, Any]:
        """Choose among the candidates: those of the team with enough confidence, else the fallback."""
        return {"route": self._route(ranked, self._eligible(ranked["candidates"])[: self.most])}

    def ranking_failed(self, state: RouterState, error: Exception) -> dict[str, Any]:
        """Go on without a decision."""
        told = problem("classify", error)
        undecided: Classified = {"candidates": [], "reason": told["message"], "decided_by": "none", "usage": {}}  # type: ignore[typeddict-item]
        return {"route": self._route(undecided, []), "errors": [told]}

    def _route(self, ranked: Classified, chosen: list[str]) -> Route:
        return {
            "candidates": ranked["candidates"],
            "threshold": self.threshold,
            "reason": ranked["reason"],
            "decided_by": ranked["decided_by"],
            "chosen": chosen or (["fallback"] if self.fallback else []),
        }

    def _eligible(self, candidates: Sequence[Candidate]) -> list[str]:
        """Return the known agents with enough confidence, from the most confident down."""
        ranked = sorted(candidates, key=lambda one: -one["confidence"])
        able = [one["agent"] for one in ranked if one["confidence"] >= self.threshold]
        best = ranked[0]["agent"] if ranked else None
        # A best guess outside the team says that the request is out of scope, whatever comes second.
        return [one for one in dict.fromkeys(able) if one in self.agents] if best in self.agents else []

    def to_agents(self, state: RouterState) -> list[str]:
        """Go to the chosen agents, or ask the user."""
        return state["route"]["chosen"] or ["clarify"]

    def ask_agent(self, state: RouterState) -> Assignment:
        """Hand the request on as it is."""
        return assignment(state["messages"])

    def ask_user(self, state: RouterState) -> dict[str, Any]:
        """Ask which agent is meant; the next message of the thread is classified with this question before it."""
        choices = "\n".join(f"- {one.name}: {one.description}" for one in self.agents.values())
        reason = f"No agent suits the request with confidence {self.threshold} or more: {state['route']['reason']}"
        asked = AIMessage(prompts.CLARIFY.format(choices=choices))
        return {"messages": [asked], "status": "needs_input", "stop_reason": reason}

    def ask_merger(self, state: RouterState) -> Assignment | None:
        """Have several answers made into one."""
        answered = [one for one in state["replies"] if one["text"] is not None]
        if len(answered) < 2 or self._next(state):  # noqa: PLR2004
            return None
        context = {one["agent"]: one["text"] or "" for one in answered}
        return {**assignment(state["messages"]), "task": prompts.MERGE_TASK, "context": context}

    def merge(self, state: RouterState, merged: Answer | None) -> dict[str, Any]:
        """Answer the user, or turn to the next best candidate when all that were asked have failed."""
        if (following := self._next(state)) is not None:
            return {"route": {**state["route"], "chosen": [*state["route"]["chosen"], following]}}
        answered = [one for one in state["replies"] if one["text"] is not None]
        if not answered:
            reason = f"Every agent that was asked has failed: {', '.join(state['route']['chosen'])}"
            return {"status": "failed", "stop_reason": reason, "messages": [AIMessage(reason)]}
        text = merged["text"] if merged else "\n\n".join(one["text"] or "" for one in answered)
        status = next((one["status"] for one in answered if one["status"] != "completed"), "completed")
        why = None if status == "completed" else f"{answered[0]['agent']!r} ended as {status}"
        return {"status": status, "stop_reason": why, "messages": [AIMessage(text)]}

    def merging_failed(self, state: RouterState, error: Exception) -> dict[str, Any]:
        """Answer with the answers one after the other."""
        return {**self.merge(state, None), "errors": [problem("merge", error)]}

    def _next(self, state: RouterState) -> str | None:
        if any(one["text"] is not None for one in state["replies"]):
            return None
        order = [*self._eligible(state["route"]["candidates"]), *(["fallback"] if self.fallback else [])]
        return next((one for one in order if one not in state["route"]["chosen"]), None)

    def merged(self, state: RouterState) -> str:
        """Go to the next best candidate, or end."""
        return state["route"]["chosen"][-1] if state["status"] == "running" else END

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        nodes = {**self.agents, **({"fallback": self.fallback} if self.fallback else {})}
        graph = PatternGraph(self, RouterState)
        graph.add_node("classify", self._classifying())
        for name, agent in nodes.items():
            graph.add_node(name, self._asking(name, agent))
        graph.add_node("clarify", Node(after=self.ask_user))
        graph.add_node("merge", self._merging())
        graph.add_edge(START, "classify")
        graph.add_conditional_edges("classify", self.to_agents, [*nodes, "clarify"])
        for name in nodes:
            graph.add_edge(name, "merge")
        graph.add_conditional_edges("merge", self.merged, [*nodes, END])
        graph.add_edge("clarify", END)
        return graph

    def _classifying(self) -> Node:
        return Node(
            lambda state: state["messages"],
            self.classify,
            self.take_ranking,
            failed=self.ranking_failed,
            booked=lambda usage: named(usage, "classifier"),
            retry=self.retry,
            blank={"route": {}, "replies": []},
        )

    def _asking(self, name: str, agent: Agent) -> Node:
        def answered(state: RouterState, answer: Answer) -> dict[str, Any]:
            reply: Reply = {"agent": name, "text": answer["text"], "status": answer["status"]}
            inside: list[Problem] = [{**one, "where": f"{name}/{one['where']}"} for one in answer["errors"]]  # type: ignore[typeddict-item]
            return {"replies": [reply], "errors": inside}

        def failed(state: RouterState, error: Exception) -> dict[str, Any]:
            return {
                "replies": [{"agent": name, "text": None, "status": "failed"}],
                "errors": [problem(name, error)],
            }

        return Node(self.ask_agent, agent, answered, failed=failed, booked=agent.booked, retry=self.retry)

    def _merging(self) -> Node:
        return Node(
            self.ask_merger,
            self.merger,
            self.merge,
            failed=self.merging_failed,
            booked=self.merger.booked,
            retry=self.retry,
        )
