"""Each kind of provider fault, over the wire, in each graph: attempts, what is kept, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agents import Agent, Retry
from agents.models.openai_compatible import openai_chat
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from tests.endpoint import Cut, Endpoint, Fault

RETRY = Retry(attempts=3, wait=0.01)
ASK = {"messages": "Do it"}
GOOD = {"evidence": "it is there", "met": True}
VERDICT = {"criteria": {"criterion_1": GOOD, "criterion_2": GOOD}, "feedback": ""}


def error(status: int, code: str, message: str = "no", **headers: str) -> Fault:
    return Fault(status, headers, {"error": {"message": message, "code": code, "type": code}})


PASSING: dict[str, Any] = {
    "rate limit": error(429, "rate_limit_exceeded", **{"retry-after": "0"}),
    "server error": error(500, "server_error"),
    "overloaded": error(503, "overloaded"),
    "dropped connection": "drop",
    "empty reply": {"content": ""},
    "error in a 200": Fault(200, {}, {"error": {"message": "upstream timed out", "code": 502}}),
}
LASTING: dict[str, Any] = {
    "wrong key": error(401, "invalid_api_key"),
    "quota used up": error(429, "insufficient_quota", "You exceeded your current quota, check your plan and billing"),
    "too long": error(400, "context_length_exceeded", "maximum context length is 8192 tokens"),
    "bad request": error(400, "invalid_request_error"),
    "no such model": error(404, "model_not_found"),
    "refusal": {"content": None, "refusal": "I cannot help with that."},
    "filtered": {"content": "", "finish_reason": "content_filter"},
    "cut off": {"content": "And then", "finish_reason": "length"},
}


def fine(task: str) -> str:
    return "fine"


def plan() -> dict[str, Any]:
    steps = [{"id": name, "agent": name, "task": "go", "dependencies": []} for name in ("fine", "wired")]
    return {"steps": steps}


def workflow(agents: list[Agent]) -> Any:
    return Workflow([Step("fine", "fine", "go"), Step("wired", "wired", "go")], agents=agents, retry=RETRY)


def planner(agents: list[Agent]) -> Any:
    return Planner(agents, model=ScriptedModel([plan(), "whole"]), max_replans=0, retry=RETRY)


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
        "how a team handles": {"reason": "", "small": True, "agent": "wired"},
        "the planner of a team": {"steps": [alone]},
        "You review": VERDICT,
    }
    return Orchestrator(agents, model=ScriptedModel(script), review_steps=False, retry=RETRY)


# Each graph, its status when the agent on the wire fails for good, and what it still answers.
GRAPHS = [
    (workflow, "partial", "fine"),
    (planner, "partial", "whole"),
    (router, "completed", "fine"),
    (supervisor, "failed", None),
    (network, "failed", None),
    (orchestrator, "completed", "fine"),
]


def run(build: Callable[[list[Agent]], Any], endpoint: Endpoint, call: Any) -> Any:
    model = openai_chat("test", base_url=endpoint.url, api_key="test")
    agents = [Agent("fine", function=fine), Agent("wired", instructions="Work.", model=model)]
    return call(build(agents).compile(), ASK)


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("build", [build for build, _, _ in GRAPHS])
def test_a_passing_fault_is_tried_again(build: Any, fault: Any, call: Any) -> None:
    with Endpoint([fault, fault, "done"]) as endpoint:
        state = run(build, endpoint, call)
    assert (state["status"], state["errors"], len(endpoint.requests)) == ("completed", [], 3)


@pytest.mark.parametrize(
    "cut", [Cut("done and more"), Cut("done and more", inside=True)], ids=["cut off", "in mid-event"]
)
@pytest.mark.parametrize("build", [build for build, _, _ in GRAPHS])
def test_a_stream_that_breaks_off_is_tried_again(build: Any, cut: Cut) -> None:
    with Endpoint([cut, cut, "done"]) as endpoint:
        state = run(build, endpoint, streamed)
    assert (state["status"], state["errors"], len(endpoint.requests)) == ("completed", [], 3)


def streamed(graph: Any, value: Any) -> Any:
    """Run a graph as Studio and the command do, which has the models stream."""
    return [chunk for mode, chunk in graph.stream(value, stream_mode=["messages", "values"]) if mode == "values"][-1]


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
@pytest.mark.parametrize(("build", "status", "text"), GRAPHS)
def test_a_lasting_fault_is_not(build: Any, status: str, text: str | None, fault: Any, call: Any) -> None:
    with Endpoint([fault], repeat=True) as endpoint:
        state = run(build, endpoint, call)
    assert (state["status"], len(endpoint.requests)) == (status, 1)
    assert text is None or state["messages"][-1].text == text
    assert state["errors"][0]["where"] in ("wired", "work", "agent")


@pytest.mark.parametrize(("build", "status", "text"), GRAPHS)
def test_attempts_are_bounded(build: Any, status: str, text: str | None, call: Any) -> None:
    with Endpoint([PASSING["server error"]], repeat=True) as endpoint:
        state = run(build, endpoint, call)
    assert (state["status"], len(endpoint.requests)) == (status, 3)


def test_keys_and_prompts_stay_out_of_errors(call: Any) -> None:
    leaky = error(401, "invalid_api_key", "Incorrect API key provided: sk-verysecretkey123. Prompt was: Do it")
    with Endpoint([leaky], repeat=True) as endpoint:
        state = run(workflow, endpoint, call)
    assert "verysecret" not in str(state)
    assert "Do it" not in str(state["errors"])


@pytest.mark.parametrize("build", [build for build, _, _ in GRAPHS])
def test_keys_and_prompts_stay_out_of_the_log_and_the_terminal(build: Any, call: Any, caplog: Any, capfd: Any) -> None:
    words = "Whisper the codeword heliotrope"
    leaky = error(500, "server_error", f"key sk-verysecretkey123, prompt {words}")
    with Endpoint([leaky], repeat=True) as endpoint:
        model = openai_chat("test", base_url=endpoint.url, api_key="sk-verysecretkey123")
        wired = Agent("wired", instructions="Work with mauve.", model=model)
        state = call(build([Agent("fine", function=fine), wired]).compile(), {"messages": words})
    assert state["errors"]
    told = caplog.text + "".join(capfd.readouterr())
    assert not [one for one in ("verysecret", "heliotrope", "mauve") if one in told + str(state["errors"])]
