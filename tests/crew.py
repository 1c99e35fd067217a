"""Graphs for workers: their steps write down what they do, in the folder that CREW names, and wait there for a file."""

import os
import signal
import time
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents import Agent
from agents.runtime import is_cancelled
from graphs import Step, Workflow


def folder() -> Path:
    return Path(os.environ["CREW"])


def note(text: str) -> None:
    with (folder() / "log").open("a") as file:
        file.write(f"{text}\n")


def work(task: str) -> str:
    note(task)
    return f"{task} done"


def wait(task: str, config: RunnableConfig) -> str:
    note(task)
    while not (folder() / "go").exists() and not is_cancelled(config):
        time.sleep(0.01)
    return f"{task} done"


def fail(task: str) -> str:
    if not (folder() / "go").exists():
        raise SystemError("broken, with password=hunter2abc")
    return "repaired"


def kill(task: str) -> str:
    note(task)
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


class Letter(TypedDict, total=False):
    note: str


def failing(state: Letter) -> Letter:
    return {"note": fail(state.get("note", ""))}


def asking(state: Letter) -> Letter:
    return {"note": work(f"answered {interrupt({'question': 'Which colour?'})}")}


def one_node(node: object) -> StateGraph[Letter]:
    graph = StateGraph(Letter)
    graph.add_node("node", node)  # type: ignore[call-overload]
    graph.add_edge(START, "node")
    return graph


TEAM = [Agent(function.__name__, function=function) for function in (work, wait, kill)]


def chain(middle: str) -> Workflow:
    steps = [Step("one", "work", "one"), Step("two", middle, "two", dependencies=["one"])]
    return Workflow([*steps, Step("three", "work", "three", dependencies=["two"])], agents=TEAM)


graphs = {
    "short": Workflow([Step("one", "work", "one")], agents=TEAM),
    "slow": chain("wait"),
    "deadly": chain("kill"),
    "failing": one_node(failing),
    "asking": one_node(asking),
}
