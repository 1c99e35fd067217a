"""LangGraph by hand, a node per step or agent, with ChatOpenAI."""

from __future__ import annotations

import asyncio
import json
import operator
from functools import cache
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from benchmarks.contenders.floor import Plan, Ranking, Verdict
from benchmarks.peers import RULES, Run, Task, plan_request


@cache
def chat(model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, max_retries=0)


async def ask(model: str, text: str) -> str:
    return str((await chat(model).ainvoke([SystemMessage(RULES), HumanMessage(text)])).text)


async def form(model: str, schema: Any, text: str) -> Any:
    return await chat(model).with_structured_output(schema).ainvoke([SystemMessage(RULES), HumanMessage(text)])


class Results(TypedDict):
    results: Annotated[dict[str, str], operator.or_]


class Routed(TypedDict, total=False):
    request: str
    agent: str
    work: str
    verdict: Verdict


class Planned(Results):
    plan: list[Task]
    done: list[str]
    answer: str


def steps(tasks: list[Task]) -> Run:
    graph: Any = StateGraph(Results)

    def node(task: Task) -> Any:
        async def work(state: Results) -> dict[str, Any]:
            context = [f"{name}: {state['results'][name]}" for name in task["deps"]]
            return {"results": {task["id"]: await ask("work", "\n".join([*context, task["text"]]))}}

        return work

    for task in tasks:
        graph.add_node(task["id"], node(task))
    for task in tasks:
        graph.add_edge(task["deps"] or START, task["id"])
    compiled = graph.compile()

    async def run() -> str:
        result = await compiled.ainvoke({"results": {}}, {"recursion_limit": 10_000})
        return str(result["results"][tasks[-1]["id"]])

    return run


def review(wait: float) -> Run:
    async def work(state: Routed) -> Routed:
        feedback = state["verdict"].feedback if "verdict" in state else ""
        return {"work": await ask(f"work@{wait}", f"Write a text. {state.get('work', '')} {feedback}")}

    async def judge(state: Routed) -> Routed:
        return {"verdict": await form(f"verdict@{wait}", Verdict, f"Review: {state['work']}")}

    graph: Any = StateGraph(Routed)
    graph.add_node("work", work)
    graph.add_node("review", judge)
    graph.add_edge(START, "work")
    graph.add_edge("work", "review")
    graph.add_conditional_edges("review", lambda state: END if state["verdict"].acceptable else "work", ["work", END])
    compiled = graph.compile()

    async def run() -> str:
        return str((await compiled.ainvoke({}))["work"])

    return run


def router(wait: float, at_once: int) -> Run:
    async def classify(state: Routed) -> Routed:
        ranking = await form(f"rank@{wait}", Ranking, "Which agent? worker: does the work.")
        return {"agent": ranking.candidates[0].agent}

    async def worker(state: Routed) -> Routed:
        return {"work": await ask(f"work@{wait}", "Do it.")}

    graph: Any = StateGraph(Routed)
    graph.add_node("classify", classify)
    graph.add_node("worker", worker)
    graph.add_edge(START, "classify")
    graph.add_conditional_edges("classify", lambda state: state["agent"], ["worker"])
    compiled = graph.compile()

    async def run() -> str:
        return str((await asyncio.gather(*(compiled.ainvoke({}) for _ in range(at_once))))[-1]["work"])

    return run


def planned(tasks: list[Task], wait: float) -> Run:
    request = plan_request(tasks)

    async def write(state: Planned) -> dict[str, Any]:
        plan = await form(f"plan@{wait}", Plan, request)
        return {"plan": [{"id": step.id, "deps": step.dependencies, "text": step.task} for step in plan.steps]}

    async def work(sent: Any) -> dict[str, Any]:
        context = [f"{name}: {sent['results'][name]}" for name in sent["task"]["deps"]]
        return {"results": {sent["task"]["id"]: await ask("work", "\n".join([*context, sent["task"]["text"]]))}}

    def ready(state: Planned) -> Any:
        done = state["results"]
        open_ = [task for task in state["plan"] if task["id"] not in done]
        sends = [
            Send("work", {"task": task, "results": done}) for task in open_ if all(d in done for d in task["deps"])
        ]
        return sends or "answer"

    async def answer(state: Planned) -> dict[str, Any]:
        return {"answer": await ask(f"work@{wait}", f"Answer from: {json.dumps(state['results'])} <wait {wait}>")}

    graph: Any = StateGraph(Planned)
    graph.add_node("plan", write)
    graph.add_node("work", work)
    graph.add_node("level", lambda state: {})
    graph.add_node("answer", answer)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "level")
    graph.add_conditional_edges("level", ready, ["work", "answer"])
    graph.add_edge("work", "level")
    compiled = graph.compile()

    async def run() -> str:
        return str((await compiled.ainvoke({"results": {}}))["answer"])

    return run


def handoffs(wait: float, peers: int) -> Run:
    def hand_over_to(number: int) -> Any:
        @tool(f"handoff_to_peer{number}")
        def hand_over(task: str, reason: str) -> str:
            """Hand over."""
            return "Handed over."

        return hand_over

    def peer(number: int) -> Any:
        model: Any = chat(f"peer{number}@{wait}")
        model = model.bind_tools([hand_over_to(number + 1)]) if number + 1 < peers else model

        async def turn(state: MessagesState) -> Any:
            reply: AIMessage = await model.ainvoke([SystemMessage(RULES), *state["messages"]])
            if not reply.tool_calls:
                return {"messages": [reply]}
            heard = ToolMessage("Handed over.", tool_call_id=reply.tool_calls[0]["id"])
            return Command(goto=f"peer{number + 1}", update={"messages": [reply, heard]})

        return turn

    graph: Any = StateGraph(MessagesState)
    for number in range(peers):
        graph.add_node(f"peer{number}", peer(number), destinations=(f"peer{number + 1}",) if number + 1 < peers else ())
    graph.add_edge(START, "peer0")
    compiled = graph.compile()

    async def run() -> str:
        return str((await compiled.ainvoke({"messages": [HumanMessage("Go.")]}))["messages"][-1].text)

    return run
