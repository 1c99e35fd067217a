"""A router: classify -> the best agent (or several) | fallback | clarify -> merge -> (next best) agent -> answer."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START
from typing_extensions import TypedDict

from agents import Agent, Answer, AnyAgent, Assignment, Retry
from agents.arguments import check_limits
from agents.assignment import History, check_history
from graphs.decisions import Candidate, classifiers, plans, prompts
from graphs.engine import (
    ASKS,
    Conclusion,
    Node,
    Pattern,
    PatternGraph,
    PatternState,
    Update,
    added,
    closing,
    ended_as,
    member,
    problem,
    problems_inside,
    team_of,
)
from graphs.errors import ConfigurationError
from graphs.people import AskPerson, HumanDecision, Question

RESERVED_NAMES = ("answer", "classify", "fallback", "clarify", "merge", classifiers.NOBODY)


class Route(TypedDict):
    """The decision: the candidates, why, who decided, and which agents were asked."""

    candidates: list[Candidate]
    threshold: float
    reason: str
    decided_by: str
    chosen: list[str]
    """The agents asked so far, `fallback` included, in that order."""


class RouterReply(TypedDict):
    """The answer of one agent: `text` is None if it failed."""

    agent: str
    text: str | None
    message_id: str | None
    """The id of the chat message that shows the text, if there is one."""
    status: str


class RouterState(PatternState):
    """The shared state, the decision, and the answers of the agents that were asked."""

    route: Route
    replies: Annotated[list[RouterReply], added]
    merged: Answer | None


class Router(Pattern[RouterState]):
    """Gives a request to the agent that suits it best.

    Args:
        agents: The team; a model goes by their names, descriptions and examples.
        fallback: Gets requests that no agent suits with enough confidence, or whose candidates have failed: an agent,
            or the name of one in the team. Without a fallback the user is asked.
        classifier: Asked before the model: a function of the request's text, LangChain `Embeddings`, a `Classifier`, or
            several of them in turn; one that is not sure, or fails, passes on.
        model: Decides when no classifier is sure, and merges; None for the default chat model, False for none at all.
        threshold: Least confidence of an agent that is asked, 0 to 1; a classifier with less is not sure.
        clarify: How the user is asked. `message`: the run ends as `needs_input`, and the thread's next message goes on.
            `human`: the run waits, also as a step of another graph (needs a checkpointer); resume it with a text.
        multiple: Ask all candidates above the threshold at once, `max_agents` at most, and merge their answers. If one
            of them fails, the rest is a `partial` answer.
        history, retry: As in `Workflow`.

    Raises:
        ConfigurationError: A name is taken twice or reserved, a setting makes no sense, or there is neither a model nor
            a classifier.
    """

    name = "router"
    state_schema: type[Any] = RouterState
    record_schema: type[Any] = RouterState

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        fallback: AnyAgent | str | None = None,
        classifier: classifiers.AnyClassifier | Sequence[classifiers.AnyClassifier] = (),
        model: BaseChatModel | str | Literal[False] | None = None,
        threshold: float = 0.5,
        clarify: Literal["message", "human"] = "message",
        multiple: bool = False,
        max_agents: int = 3,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        self.agents = team_of(agents)
        if reserved := [name for name in self.agents if name in RESERVED_NAMES]:
            raise ConfigurationError(f"{', '.join(reserved)}: reserved node names in a Router; rename the agents")
        check_limits(1, max_agents=max_agents)
        if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise ConfigurationError(f"threshold must be a number from 0 to 1, not {threshold!r:.80}")
        if clarify not in ("message", "human"):
            raise ConfigurationError(f"clarify must be 'message' or 'human', not {clarify!r}")
        self.fallback = member(fallback, self.agents, role="fallback") if fallback is not None else None
        self.clarify = clarify
        self.threshold = threshold
        self.max_agents = max_agents if multiple else 1
        self.history, self.retry = check_history(history), retry
        team = list(self.agents.values())
        self.classify = classifiers.Classify(classifier, team, model=model, threshold=threshold, retry=retry)
        merger = Agent("merger", instructions=prompts.SYNTHESIZE, model=model or None)
        self.merger = merger if multiple and model is not False else None
        self.synthesizes = self.merger is not None

    def take_ranking(self, state: RouterState, ranked: classifiers.Ranking) -> Update:
        """Choose among the candidates: those of the team with enough confidence, else the fallback."""
        chosen = self._eligible(ranked["candidates"])[: self.max_agents] or (["fallback"] if self.fallback else [])
        decision = {key: ranked[key] for key in ("candidates", "reason", "decided_by")}
        update: Update = {
            "route": {**decision, "threshold": self.threshold, "chosen": chosen},
            "errors": ranked["errors"],
        }
        if chosen or ranked["candidates"] or all(error["kind"] == "DecisionError" for error in ranked["errors"]):
            return update
        reason = f"The request could not be classified: {ranked['errors'][-1]['message']}"
        return {**update, "status": "failed", "stop_reason": reason, "messages": [AIMessage(reason)]}

    def _eligible(self, candidates: Sequence[Candidate]) -> list[str]:
        """Return the agents of the team with enough confidence, the most confident first."""
        ranked = sorted(candidates, key=lambda candidate: -candidate["confidence"])
        able = [candidate["agent"] for candidate in ranked if candidate["confidence"] >= self.threshold]
        best = ranked[0]["agent"] if ranked else None
        # A best guess outside the team means that the request is out of scope, also if the second is in the team.
        return [name for name in dict.fromkeys(able) if name in self.agents] if best in self.agents else []

    def chosen(self, state: RouterState) -> list[str]:
        return state["route"]["chosen"] or ["clarify"]

    def ask_user(self, state: RouterState) -> Update:
        """Ask which agent is meant; the next message of the thread is classified with this question before it."""
        reason = f"No agent suits the request with confidence {self.threshold} or more: {state['route']['reason']}"
        return {"messages": [AIMessage(self._question())], "status": "needs_input", "stop_reason": reason}

    def ask_person(self, state: RouterState) -> Question:
        text = self._question()
        return {"action": "clarify_request", "args": {"question": text}, "description": text, "allowed": ["respond"]}

    def take_response(self, state: RouterState, decision: HumanDecision) -> Update:
        """Go on with the user's answer; the request before it is now part of the conversation."""
        asked, answer = AIMessage(self._question()), HumanMessage(decision["message"], id=str(uuid4()))
        task = self.assignment(state)
        request = task.get("request")
        is_users = request is not None and request.text == task["task"]
        before = request if request is not None and is_users else HumanMessage(task["task"])
        conversation = [*task.get("conversation", []), before, asked]
        assignment: Assignment = {**task, "task": str(answer.text), "conversation": conversation}
        if is_users:
            assignment["request"] = answer
        return {"messages": [asked, answer], "assignment": assignment}

    def _question(self) -> str:
        choices = "\n".join(f"- {agent.name}: {agent.description}" for agent in self.agents.values())
        return prompts.CLARIFICATION.format(choices=choices)

    def ask_merger(self, state: RouterState) -> Assignment | None:
        """Have several answers merged into one; a question to the user is not an answer."""
        answered = self._answered(state)
        if len(answered) < 2 or _questions(answered):
            return None
        context = {reply["agent"]: reply["text"] or "" for reply in answered}
        return {**self.assignment(state), "task": prompts.MERGE_TASK, "context": context}

    def take_merged(self, state: RouterState, merged: Answer | None) -> Update:
        """Keep the merged answer, or turn to the next best candidate when all that were asked have failed."""
        if (following := self._next(state)) is not None:
            return {"route": {**state["route"], "chosen": [*state["route"]["chosen"], following]}}
        return {"merged": merged}

    def merging_failed(self, state: RouterState, error: Exception) -> Update:
        failure = problem("merge", error)
        return {"errors": [failure], "stop_reason": f"The answers could not be merged: {failure['message']}"}

    def conclude(self, state: RouterState) -> Conclusion:
        """Answer with the agents' answers; with `multiple` the run is complete only if all of them are."""
        answered = self._answered(state)
        if not answered:
            last = "".join(f"; the last one: {error['message']}" for error in state["errors"][-1:])
            reason = f"Every agent that was asked has failed: {', '.join(state['route']['chosen'])}{last}"
            return {"text": reason, "status": "failed", "stop_reason": reason}
        asking = _questions(answered)
        shown = asking or answered
        text, message_id = "\n\n".join(reply["text"] or "" for reply in shown), None
        if len(shown) == 1:
            message_id = shown[0]["message_id"]
        elif state["merged"]:
            text, message_id = state["merged"]["text"], state["merged"].get("message_id")
        asked = state["replies"] if self.max_agents > 1 else answered
        short = asking + [reply for reply in asked if reply["status"] not in ("completed", ASKS)]
        if not short:
            status = "partial" if state["stop_reason"] else "completed"
            return {"text": text, "message_id": message_id, "status": status, "stop_reason": state["stop_reason"]}
        status = next((reply["status"] for reply in short if reply["text"] is not None), "partial")
        reason = "; ".join(ended_as(reply["agent"], reply["status"], state["errors"]) for reply in short)
        return {"text": text, "message_id": message_id, "status": status, "stop_reason": reason}

    def _answered(self, state: RouterState) -> list[RouterReply]:
        chosen = state["route"]["chosen"]
        answered = [reply for reply in state["replies"] if reply["text"] is not None]
        return sorted(answered, key=lambda reply: chosen.index(reply["agent"]))

    def _next(self, state: RouterState) -> str | None:
        if any(reply["text"] is not None for reply in state["replies"]):
            return None
        chosen = state["route"]["chosen"]
        again = any(self.agents.get(name) is self.fallback for name in chosen)
        order = [*self._eligible(state["route"]["candidates"]), *(["fallback"] if self.fallback and not again else [])]
        return next((name for name in order if name not in chosen), None)

    def merged(self, state: RouterState) -> str:
        last = state["route"]["chosen"][-1]
        return "answer" if any(reply["agent"] == last for reply in state["replies"]) else last

    def build(self) -> PatternGraph[RouterState]:
        nodes = {**self.agents, **({"fallback": self.fallback} if self.fallback else {})}
        graph = PatternGraph(self, self.state_schema)
        graph.add_node("classify", Node(self.assignment, self.classify, self.take_ranking))
        for name, agent in nodes.items():
            graph.add_node(name, self._asking(name, agent))
        if self.clarify == "human":
            graph.add_node("clarify", Node(self.ask_person, AskPerson(), self.take_response))
        else:
            graph.add_rule("clarify", self.ask_user)
        if self.merger is None:
            graph.add_rule("merge", lambda state: self.take_merged(state, None))
        else:
            merging = Node(self.ask_merger, plans.Synthesis(self.merger), self.take_merged, failed=self.merging_failed)
            graph.add_node("merge", merging)
        graph.add_edge(START, "classify")
        graph.add_conditional_edges("classify", self.chosen, [*nodes, "clarify"])
        for name in nodes:
            graph.add_edge(name, "merge")
        graph.add_conditional_edges("merge", self.merged, [*nodes, "answer"])
        graph.add_edge("clarify", "classify" if self.clarify == "human" else END)
        return graph

    def _asking(self, name: str, agent: Agent) -> Node[RouterState, Answer]:
        alone = self.max_agents == 1

        def answered(state: RouterState, answer: Answer) -> Update:
            message = closing(state["messages"], answer["text"], answer.get("message_id"), agent.name)
            shown_as = message.id if alone else None
            reply = RouterReply(agent=name, text=answer["text"], message_id=shown_as, status=answer["status"])
            errors = problems_inside(answer["errors"], name)
            return {"replies": [reply], "errors": errors, "messages": [message] if alone else []}

        def failed(state: RouterState, error: Exception) -> Update:
            reply = RouterReply(agent=name, text=None, message_id=None, status="failed")
            return {"replies": [reply], "errors": [problem(name, error)]}

        # With several agents at once it is the merger whose words are the answer.
        return Node(self.assignment, agent, answered, failed=failed, is_heard=alone)


def _questions(replies: Sequence[RouterReply]) -> list[RouterReply]:
    return [reply for reply in replies if reply["status"] == ASKS]
