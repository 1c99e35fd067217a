"""What providers do wrong, over the wire, in each pattern: attempts, what is kept, and what is said.

Each fault meets one pattern in one way of running it, and each pattern a fault of both kinds.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import pytest

from agents import Agent, Retry
from agents.testing import LASTING_FAULTS, TRANSIENT_FAULTS, Fault, FaultyProvider, ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from tests import roles

RETRY = Retry(attempts=3, wait=0.01)
ASK = {"messages": "Do it"}
GOOD = {"evidence": "it is there", "met": True}
VERDICT = {"criteria": {"criterion_1": GOOD, "criterion_2": GOOD}, "feedback": ""}


def workflow(agents: list[Agent]) -> Any:
    return Workflow([Step("fine", "fine", "go"), Step("wired", "wired", "go")], agents=agents, retry=RETRY)


def planner(agents: list[Agent]) -> Any:
    steps = [{"id": name, "agent": name, "task": "go", "dependencies": []} for name in ("fine", "wired")]
    return Planner(agents, model=ScriptedModel([{"steps": steps}, "whole"]), max_replans=0, retry=RETRY)


def router(agents: list[Agent]) -> Any:
    ranks = [{"agent": "wired", "confidence": 0.9}, {"agent": "fine", "confidence": 0.6}]
    return Router(agents, model=ScriptedModel([{"reason": "", "candidates": ranks}]), retry=RETRY)


def supervisor(agents: list[Agent]) -> Any:
    return Supervisor(agents[1], model=ScriptedModel([VERDICT]), retry=RETRY)


def network(agents: list[Agent]) -> Any:
    first = Agent("first", function=lambda task: {"to": "wired", "task": "go on"})
    return Network([first, *agents], retry=RETRY)


def orchestrator(agents: list[Agent]) -> Any:
    alone = {"id": "fine", "agent": "fine", "task": "go", "dependencies": []}
    script = {
        roles.TRIAGE: {"reason": "", "small": True, "agent": "wired"},
        roles.PLANNER: {"steps": [alone]},
        roles.REVIEWER: VERDICT,
    }
    return Orchestrator(agents, model=ScriptedModel(script), review_steps=False, retry=RETRY)


PATTERNS: dict[Any, tuple[str, str | None]] = {
    workflow: ("partial", "fine"),
    planner: ("partial", "whole"),
    router: ("completed", "fine"),
    supervisor: ("failed", None),
    network: ("failed", None),
    orchestrator: ("completed", "fine"),
}
"""The status of each when the agent on the wire fails for good, and what it still answers."""


def streamed(graph: Any) -> Any:
    """Run a graph as Studio and the command do, which has the models stream."""
    return [chunk for mode, chunk in graph.stream(ASK, stream_mode=["messages", "values"]) if mode == "values"][-1]


WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda graph: graph.invoke(ASK),
    "ainvoke": lambda graph: asyncio.run(graph.ainvoke(ASK)),
    "stream": streamed,
}


def picks(faults: dict[str, Any], first_way: int) -> list[Any]:
    """Return each fault with one pattern and way in turn, and each pattern at least once."""
    patterns, ways = cycle(PATTERNS), islice(cycle(WAYS), first_way, None)
    names = islice(cycle(faults), max(len(faults), len(PATTERNS)))
    return [
        pytest.param(faults[name], pattern, WAYS[way], id=f"{name}-{pattern.__name__}-{way}")
        for name, pattern, way in zip(names, patterns, ways, strict=False)
    ]


def run(pattern: Any, provider: FaultyProvider, way: Callable[[Any], Any]) -> Any:
    wired = Agent("wired", instructions="Work.", model=provider.chat_model())
    return way(pattern([Agent("fine", function=lambda task: "fine"), wired]).compile())


@pytest.mark.parametrize(("fault", "pattern", "way"), picks(TRANSIENT_FAULTS, 0))
def test_a_transient_fault_is_tried_again(fault: Any, pattern: Any, way: Any) -> None:
    with FaultyProvider([fault, fault, "done"]) as provider:
        state = run(pattern, provider, way)
    assert (state["status"], len(provider.requests)) == ("completed", 3)
    assert "done" in str(state)
    assert state["errors"]
    assert all(fault["recovered"] for fault in state["errors"])


@pytest.mark.parametrize(("fault", "pattern", "way"), picks(TRANSIENT_FAULTS, 1))
def test_attempts_are_bounded(fault: Any, pattern: Any, way: Any) -> None:
    with FaultyProvider(fault) as provider:
        state = run(pattern, provider, way)
    assert len(provider.requests) == 3
    check_failure(state, pattern)


@pytest.mark.parametrize(("fault", "pattern", "way"), picks(LASTING_FAULTS, 2))
def test_a_lasting_fault_is_not_tried_again(fault: Any, pattern: Any, way: Any) -> None:
    with FaultyProvider(fault) as provider:
        state = run(pattern, provider, way)
    assert len(provider.requests) == 1
    check_failure(state, pattern)


def check_failure(state: Any, pattern: Any) -> None:
    """Check that what the other agent did is kept, and the cause is given."""
    status, text = PATTERNS[pattern]
    assert state["status"] == status
    assert text is None or state["messages"][-1].text == text
    last = state["errors"][-1] if state["errors"] else {}
    assert last["where"] in ("wired", "work", "agent")
    assert len(last["message"]) > 40


def test_keys_and_prompts_stay_out_of_errors_log_and_terminal(caplog: Any, capfd: Any) -> None:
    leaky = Fault.of(500, "key sk-verysecretkey123, prompt: Do it with mauve", "server_error")
    with FaultyProvider(leaky) as provider:
        model = provider.chat_model(api_key="sk-verysecretkey123")
        wired = Agent("wired", instructions="Work with mauve.", model=model)
        state = workflow([Agent("fine", function=lambda task: "fine"), wired]).compile().invoke(ASK)
    shown = caplog.text + "".join(capfd.readouterr())
    assert "The provider failed to answer" in state["errors"][-1]["message"]
    assert "verysecret" not in shown + str(state)
    assert "mauve" not in shown + state["errors"][-1]["message"]
    assert state["errors"][-1]["detail"] == "***, prompt: Do it with mauve"
