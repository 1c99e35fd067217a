"""Patterns of a user: a guard before `answer` that every run passes, nodes before others, and other edges."""

from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, RouterState, Step, Supervisor, Workflow
from graphs.engine import Conclusion, Pattern, PatternGraph, PatternState
from tests.tables import each

PASSED = {"acceptable": True, "evidence": "It is fine."}
TRIAGE = {"reason": "small", "small": True, "agent": "ann"}
ann = Agent("ann", "Knows.", function=lambda task: "the secret")


def planning(steps: str, *answers: str) -> Planner:
    plan = [{"id": name, "agent": "ann", "task": name, "dependencies": []} for name in steps]
    return Planner([ann], model=ScriptedModel([{"steps": plan}, *answers]))


def accept(*_: Any) -> Any:
    return PASSED


def reject(*_: Any) -> Any:
    return {"acceptable": False, "feedback": "Again."}


PATTERNS: dict[str, Any] = {
    "workflow": Workflow([Step("a", "ann", "x")], agents=[ann]),
    "plan of one step": planning("a"),
    "plan of two steps": planning("ab", "the secret"),
    "router": Router([ann], classifier=lambda text: "ann", model=False),
    "router of several": Router(
        [ann, Agent("bob", function=lambda task: "hm")],
        classifier=lambda text: ["ann", "bob"],
        model=ScriptedModel("the secret"),
        multiple=True,
    ),
    "accepted work": Supervisor(ann, review=accept),
    "escalated work": Supervisor(ann, review=reject),
    "network": Network([ann]),
    "round robin": Network([ann], turns="round_robin", max_turns=1),
    "orchestrator": Orchestrator([ann], model=ScriptedModel([TRIAGE]), review=accept),
}


def guarded(pattern: Any) -> Any:
    def guard(state: Any) -> dict[str, Any]:
        end = pattern.ending(state)
        if "secret" not in end["text"]:
            return {}
        refusal = AIMessage("No.", id=end.get("message_id"))
        return {"status": "failed", "stop_reason": f"guarded: {end['status']}", "messages": [refusal]}

    graph: PatternGraph[Any] = pattern.build()
    return graph.put_before("answer", "guard", guard).compile()


@pytest.mark.parametrize("name", PATTERNS)
def test_every_answer_passes_the_guard(name: str) -> None:
    result = guarded(PATTERNS[name]).invoke({"messages": "hi"})
    assert [message.text for message in result["messages"]] == ["hi", "No."]
    expected = {"escalated work": "escalated", "round robin": "partial"}.get(name, "completed")
    assert (result["status"], result["stop_reason"]) == ("failed", f"guarded: {expected}")


def test_an_answer_that_the_guard_lets_pass_stays_as_it_is() -> None:
    result = guarded(Workflow([Step("a", "bob", "x")], agents=[Agent("bob", function=str.upper)])).invoke(
        {"messages": "hi"}
    )
    assert (result["status"], result["messages"][-1].text) == ("completed", "X")


class Trail(PatternState):
    seen: list[str]


class Letters(Pattern[Trail]):
    """Visits `a` and `b` at the same time, then `c`."""

    name = "letters"

    def visit(self, name: str) -> Any:
        return lambda state: {"seen": [*state["seen"], name]} if name > "b" else {}

    def conclude(self, state: Trail) -> Conclusion:
        return {"text": "".join(state["seen"]), "status": "completed", "stop_reason": None}

    def build(self) -> PatternGraph[Trail]:
        graph = PatternGraph(self, Trail)
        for name in "abc":
            graph.add_node(name, self.visit(name))
        graph.add_edge(START, "a")
        graph.add_edge(START, "b")
        graph.add_edge(["a", "b"], "c")
        graph.add_edge("c", END)
        return graph


def said(graph: PatternGraph[Trail]) -> str:
    return str(graph.compile().invoke({"messages": "hi"})["messages"][-1].text)


def test_a_node_is_put_before_one_that_waits_for_several() -> None:
    letters = Letters()
    assert said(letters.build().put_before("c", "x", letters.visit("x"))) == "xc"


def test_what_follows_a_node_is_replaced_by_another_node() -> None:
    letters = Letters()
    graph = letters.build().replace_edges("c", "y")
    graph.add_node("y", letters.visit("y"))
    graph.add_edge("y", END)
    assert said(graph) == "cy"


def test_what_follows_a_node_is_replaced_by_a_route() -> None:
    letters = Letters()

    def again(state: Trail) -> Literal["c", "__end__"]:
        return "c" if len(state["seen"]) < 3 else "__end__"

    graph = letters.build().replace_edges("c", again)
    assert said(graph) == "ccc"
    assert {(edge.source, edge.target) for edge in graph.compile().get_graph().edges if edge.conditional} == {
        ("c", "c"),
        ("c", "answer"),
    }


def test_routes_and_nodes_may_be_async_in_every_form() -> None:
    letters = Letters()

    async def again(state: Trail) -> Literal["c", "__end__"]:
        return "c" if len(state["seen"]) < 2 else "__end__"

    class Late:
        async def __call__(self, state: Trail) -> Any:
            return {"seen": [*state["seen"], "!"]}

    graph = letters.build().replace_edges("c", again).put_before("answer", "late", Late())
    assert said(graph) == "cc!"


def test_of_two_guards_both_see_what_ends_by_an_edge_that_comes_later() -> None:
    letters = Letters()
    graph = letters.build().put_before("answer", "x", letters.visit("x")).put_before("answer", "y", letters.visit("y"))
    graph.add_node("z", letters.visit("z")).replace_edges("c", "z").add_edge("z", END)
    assert said(graph) == "czxy"


class Billed(RouterState):
    customer: str


class BilledRouter(Router):
    """A router whose state has a key of the user's own, and a node that reads it."""

    state_schema = Billed

    def guard(self, state: Billed) -> dict[str, Any]:
        end = self.ending(state)
        return {"messages": [AIMessage(f"{end['text']} For {state['customer']}.", id=end.get("message_id"))]}

    def build(self) -> PatternGraph[RouterState]:
        return super().build().put_before("answer", "guard", self.guard)


def test_a_subclass_extends_the_state_of_a_pattern(call: Any) -> None:
    ann = Agent("ann", function=lambda task: "Done.")
    graph = BilledRouter([ann], classifier=lambda text: "ann", model=False).compile(InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    state = call(graph, {"messages": "hi", "customer": "Bo"}, thread)
    assert (state["messages"][-1].text, state["customer"], state["status"]) == ("Done. For Bo.", "Bo", "completed")
    assert call(graph, {"messages": "hi"}, thread)["messages"][-1].text == "Done. For ."


@each("returned", [None, {"stop_reason": "done"}, Command(), Command(update={"stop_reason": "done"})])
def test_model_calls_of_a_function_are_counted_whatever_it_returns(returned: Any, call: Any) -> None:
    class Asking(Pattern[PatternState]):
        def build(self) -> PatternGraph[PatternState]:
            model = ScriptedModel(["word"])

            def ask(state: PatternState) -> Any:
                model.invoke("?")
                return returned

            return PatternGraph(self, PatternState).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)

    assert call(Asking().compile(), {"messages": "Go."})["usage"]["calls"] == 1
