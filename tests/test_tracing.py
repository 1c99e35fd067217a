"""Spans of runs: their names, their tokens, their errors, and that nothing private is in them."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agents import Agent, Retry, trace
from agents.errors import AgentError, ConfigurationError
from agents.testing import Reply, ScriptedModel
from agents.tracing import trace_as_set
from graphs import Planner, Step, Supervisor, Workflow
from tests.collector import Collector
from tests.markdown import page

SECRET = "tulips"
"""A word of every prompt, answer, tool call and error."""


class Receiver(InMemorySpanExporter):
    """What a collector would get, as objects."""

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.get_finished_spans() if span.name == name]

    def of_kind(self, kind: str) -> list[ReadableSpan]:
        spans = [span for span in self.get_finished_spans() if attributes(span).get("openinference.span.kind") == kind]
        return sorted(spans, key=lambda span: span.start_time or 0)


class Balance(SpanProcessor):
    """Counts the spans that have begun and not ended."""

    def __init__(self) -> None:
        self.open = 0

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.open += 1

    def on_end(self, span: Any) -> None:
        self.open -= 1


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def received(provider: TracerProvider) -> Iterator[Receiver]:
    """Trace what the test runs; every span that has begun must have ended when it is over."""
    receiver, balance = Receiver(), Balance()
    provider.add_span_processor(SimpleSpanProcessor(receiver))
    provider.add_span_processor(balance)
    with trace(provider):
        yield receiver
    assert balance.open == 0


@tool
def look_up(flower: str) -> str:
    """Look up a flower."""
    if flower != SECRET:
        raise ValueError(f"there are only {SECRET}")
    return f"{SECRET} are red"


def gardener(*replies: Any) -> Agent:
    call = {"name": "look_up", "args": {"flower": SECRET}}
    model = ScriptedModel([*replies, Reply(tool_calls=[call]), f"Plant {SECRET}"], repeat=True)
    return Agent("gardener", "Plants.", instructions=f"You plant {SECRET}.", tools=[look_up], model=model)


def nested() -> Any:
    """A planner of two steps: one supervised agent that uses a tool, and one function that waits for it."""
    judge = Agent("judge", function=lambda context: {"acceptable": True, "evidence": context["result"]})
    careful = Supervisor(gardener(), reviewer=judge).as_agent("careful", "Plants well.")
    tidy = Agent("tidy", "Tidies.", function=lambda task: task.strip())
    steps = [
        {"id": "plant", "agent": "careful", "task": f"Plant {SECRET}", "dependencies": []},
        {"id": "tidy", "agent": "tidy", "task": "Tidy up", "dependencies": ["plant"]},
    ]
    model = ScriptedModel({"You are the planner": {"steps": steps}}, default=f"There are {SECRET}")
    return Planner([careful, tidy], model=model).compile()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_every_span_names_its_pattern_node_step_and_agent(call: Any, received: Receiver) -> None:
    result = call(nested(), {"messages": f"Plant {SECRET}"}, {"configurable": {"thread_id": "thread"}})
    assert result["status"] == "completed"
    spans = received.get_finished_spans()
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    assert {attributes(span)["session.id"] for span in spans} == {"thread"}
    names = ("podium.pattern", "podium.node", "podium.step", "podium.agent")
    models = [tuple(attributes(span).get(name) for name in names) for span in received.of_kind("LLM")]
    assert models == [
        ("Planner", "plan", None, None),
        ("Supervisor", "work", "plant", "gardener"),
        ("Supervisor", "work", "plant", "gardener"),
    ]
    (tidy,) = received.named("agent:tidy")
    assert [attributes(tidy).get(name) for name in names] == ["Planner", "execute", "tidy", "tidy"]
    assert attributes(received.named("planner")[0])["podium.status"] == "completed"
    assert [span.name for span in received.of_kind("TOOL")] == ["look_up"]


def test_tokens_add_up_to_the_usage_of_the_result(call: Any, received: Receiver) -> None:
    usage = call(nested(), {"messages": f"Plant {SECRET}"})["usage"]
    models = [attributes(span) for span in received.of_kind("LLM")]
    assert len(models) == usage["calls"] == 3
    assert sum(span["llm.token_count.prompt"] for span in models) == usage["input_tokens"] > 0
    assert sum(span["llm.token_count.completion"] for span in models) == usage["output_tokens"] > 0


def test_steps_at_once_have_their_own_agents_and_calls(call: Any, received: Receiver) -> None:
    model = ScriptedModel(lambda messages: Reply(messages[-1].text, delay=0.02))
    steps = [Step(f"s{number}", "echo", "word " * number) for number in range(1, 13)]
    echo = Agent("echo", instructions="You echo.", model=model)
    result = call(Workflow(steps, agents=[echo]).compile(), {"messages": "x"})
    models = [attributes(span) for span in received.of_kind("LLM")]
    assert {span["podium.step"]: span["llm.token_count.completion"] for span in models} == {
        name: record["usage"]["output_tokens"] for name, record in result["steps"].items()
    }


def test_every_attempt_is_a_span_and_a_failed_step_says_why(call: Any, received: Receiver) -> None:
    flaky = Agent("flaky", instructions="x", model=ScriptedModel([TimeoutError(SECRET), "fine"]))
    broken = Agent("broken", instructions="x", model=ScriptedModel(PermissionError(SECRET)))
    steps = [
        Step("flaky", "flaky", "x", retry=Retry(wait=0)),
        Step("broken", "broken", "x", retry=Retry(attempts=1)),
        Step("after", "flaky", "{broken}", ["broken"]),
    ]
    assert call(Workflow(steps, agents=[flaky, broken]).compile(), {"messages": "x"})["status"] == "partial"
    tries = [span for span in received.of_kind("LLM") if attributes(span)["podium.step"] == "flaky"]
    assert [(span.status.is_ok, span.status.description) for span in tries] == [(False, "TimeoutError()"), (True, None)]
    (step,), (run,) = received.named("broken"), received.named("workflow")
    assert (step.status.is_ok, step.status.description) == (False, "PermissionError()")
    assert attributes(step)["podium.status"] == "failed"
    assert attributes(received.named("after")[0])["podium.status"] == "skipped"
    assert (run.status.is_ok, attributes(run)["podium.status"]) == (True, "partial")


def test_abandoned_and_cancelled_work_ends_with_the_run(call: Any, received: Receiver) -> None:
    slow = Agent("slow", instructions="x", model=ScriptedModel(Reply("late", delay=3)))
    workflow = Workflow([Step("slow", "slow", "x", timeout=1, retry=Retry(attempts=1))], agents=[slow]).compile()
    assert call(workflow, {"messages": "x"})["status"] == "failed"
    (model,) = received.of_kind("LLM") or received.named("ScriptedModel")
    assert not model.status.is_ok
    assert not received.named("slow")[0].status.is_ok


def test_a_question_to_a_person_is_not_an_error_and_its_answer_a_new_trace(call: Any, received: Receiver) -> None:
    ask = Agent("ask", function=lambda task: f"They said {interrupt(SECRET)}")
    graph = Workflow([Step("ask", "ask", "x")], agents=[ask]).compile(InMemorySaver())
    config = {"configurable": {"thread_id": "7"}}
    call(graph, {"messages": "x"}, config)
    assert all(span.status.is_ok for span in received.get_finished_spans())
    assert SECRET not in everything(received)
    assert call(graph, Command(resume=SECRET), config)["status"] == "completed"
    first, second = received.named("workflow")
    assert first.context.trace_id != second.context.trace_id  # type: ignore[union-attr]


def everything(received: Receiver) -> str:
    return "\n".join(span.to_json() for span in received.get_finished_spans())


def ask_everything() -> None:
    """Have the secret in every place in which content could be."""
    nested().invoke({"messages": f"Plant {SECRET}"})
    wrong = Reply(tool_calls=[{"name": "look_up", "args": {"flower": f"not {SECRET}"}}])
    gardener(wrong).invoke(f"Plant {SECRET}")
    for broken in (RuntimeError(SECRET), Reply(refusal=f"No {SECRET}")):
        with suppress(RuntimeError, AgentError):
            gardener(broken).invoke(f"Plant {SECRET}")


def test_no_content_is_in_the_spans(received: Receiver) -> None:
    ask_everything()
    assert SECRET not in everything(received)
    assert "RuntimeError" in everything(received)


@pytest.mark.parametrize("setting", ["argument", "variable"])
def test_content_is_there_when_asked_for(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", str(setting == "variable"))
    receiver = Receiver()
    with trace(receiver, content=True if setting == "argument" else None):
        ask_everything()
    models = [attributes(span) for span in receiver.of_kind("LLM")]
    assert SECRET in models[1]["llm.input_messages.0.message.content"]
    assert f"Plant {SECRET}" in [span.get("llm.output_messages.0.message.content") for span in models]
    assert f"{SECRET} are red" in attributes(receiver.of_kind("TOOL")[0])["output.value"]
    assert any(SECRET in str(event.attributes) for span in receiver.get_finished_spans() for event in span.events)


def test_the_status_that_somebody_elses_run_gives_back_is_content(received: Receiver) -> None:
    RunnableLambda(lambda text: {"status": text, "errors": []}).invoke(SECRET)
    assert SECRET not in everything(received)
    assert len(received.get_finished_spans()) == 1


def test_the_callers_span_is_above_the_run(call: Any, received: Receiver, provider: TracerProvider) -> None:
    with provider.get_tracer("caller").start_as_current_span("request"):
        call(gardener(), "x")
    (request,), (agent,) = received.named("request"), received.named("agent:gardener")
    assert agent.parent == request.context


def test_a_run_in_another_thread_is_traced_too(received: Receiver) -> None:
    async def other_thread() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, gardener().invoke, "x")

    asyncio.run(other_thread())
    assert len(received.named("agent:gardener")) == 1


def test_nothing_is_traced_after_the_end() -> None:
    receiver, after = Receiver(), Receiver()
    with trace(receiver):
        gardener().invoke("x")
    begun = len(receiver.get_finished_spans())
    gardener().invoke("x")
    assert len(receiver.get_finished_spans()) == begun > 0
    with trace(receiver), trace(after):  # the latest one counts
        gardener().invoke("x")
    assert len(after.get_finished_spans()) == begun


def test_spans_reach_a_collector_over_the_wire() -> None:
    with Collector() as collector, trace(collector.url):
        usage = nested().invoke({"messages": SECRET})["usage"]
        trace(InMemorySpanExporter()).close()  # sends the rest
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.services == {"podium"}
    tokens = [
        attribute.value.int_value
        for span in collector.spans
        for attribute in span.attributes
        if attribute.key == "llm.token_count.prompt"
    ]
    assert sum(tokens) == usage["input_tokens"]


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_no_means_no(value: str) -> None:
    receiver = Receiver()
    with trace(receiver):
        trace_as_set({"PODIUM_TRACING": value})
        gardener().invoke("x")
    assert receiver.get_finished_spans()


def test_a_setting_that_is_neither_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"PODIUM_TRACING must be 1, 0 or the http address .* not 'maybe'"):
        trace_as_set({"PODIUM_TRACING": "maybe"})


def test_the_page_shows_the_tree_that_its_example_prints(capsys: pytest.CaptureFixture[str]) -> None:
    tracing = page("docs/tracing.md")
    example, shown = (next(block.text for block in tracing.blocks if block.language == kind) for kind in ("python", ""))
    exec(compile(example, tracing.name, "exec"), {"__name__": "example"})
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown.rstrip().splitlines()
