"""Spans of runs: their tree, their tokens, their errors, and that nothing private is in them."""

import asyncio
import json
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
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes

from agents import Agent, Retry, span_attributes, trace
from agents.errors import AgentError, ConfigurationError
from agents.testing import Reply, ScriptedModel
from agents.tracing import trace_as_set
from graphs import Planner, Step, Supervisor, Workflow
from tests.collector import Collector, tree
from tests.markdown import pages

SECRET = "tulips"
"""A word of every prompt, answer, tool call and error."""


class Receiver(InMemorySpanExporter):
    """What a collector would get, as objects."""

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.get_finished_spans() if span.name == name]

    def told(self, kind: str, attribute: str) -> list[Any]:
        spans = [one for one in self.get_finished_spans() if (one.attributes or {})["podium.kind"] == kind]
        return [(span.attributes or {}).get(attribute) for span in spans]


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


TREE = """
run planner
  invoke_workflow planner
    node plan
      decide plan
        chat scripted
    node check
    node approve
    node execute
      step plant
        invoke_agent careful
          invoke_workflow careful
            node work
              invoke_agent gardener
                chat scripted
                execute_tool look_up
                chat scripted
            node review
              invoke_agent judge
            node accept
      step tidy
        invoke_agent tidy
    node assess
    node synthesize
      invoke_agent synthesizer
        chat scripted
"""


def test_the_tree_goes_from_the_run_to_the_model_call(call: Any, received: Receiver) -> None:
    result = call(nested(), {"messages": f"Plant {SECRET}"}, {"configurable": {"thread_id": "thread"}})
    assert result["status"] == "completed"
    spans = received.get_finished_spans()
    assert tree(spans) == TREE.strip().splitlines()
    assert len({one.context.trace_id for one in spans if one.context}) == 1
    assert {(one.attributes or {})["gen_ai.conversation.id"] for one in spans} == {"thread"}
    assert received.told("pattern", "podium.pattern") == ["Supervisor", "Planner"]
    assert received.told("agent", "gen_ai.agent.name") == ["gardener", "judge", "careful", "tidy", "synthesizer"]
    assert (
        dict(received.named("step tidy")[0].attributes or {}).items()
        >= {
            "podium.step.id": "tidy",
            "podium.step.agent": "tidy",
            "podium.step.dependencies": ("plant",),
            "podium.step.attempts": 1,
            "podium.status": "completed",
        }.items()
    )


def test_tokens_add_up_to_the_usage_of_the_result(call: Any, received: Receiver) -> None:
    usage = call(nested(), {"messages": f"Plant {SECRET}"})["usage"]
    assert len(received.told("model", "gen_ai.usage.input_tokens")) == usage["calls"] == 4
    for name in ("input_tokens", "output_tokens"):
        assert sum(received.told("model", f"gen_ai.usage.{name}")) == usage[name] > 0
        assert received.told("run", f"podium.usage.{name}") == [usage[name]]
        careful = usage["agents"]["careful/gardener"][name]
        for inside in ("step plant", "invoke_agent careful", "invoke_workflow careful", "invoke_agent gardener"):
            assert (received.named(inside)[0].attributes or {})[f"podium.usage.{name}"] == careful


def test_steps_at_once_have_their_own_agents_and_calls(call: Any, received: Receiver) -> None:
    model = ScriptedModel(lambda messages: Reply(messages[-1].text, delay=0.02))
    steps = [Step(f"s{number}", "echo", "word " * number) for number in range(1, 13)]
    echo = Agent("echo", instructions="You echo.", model=model)
    result = call(Workflow(steps, agents=[echo]).compile(), {"messages": "x"})
    spans = {one.context.span_id: one for one in received.get_finished_spans() if one.context}
    chats = [one for one in spans.values() if one.name.startswith("chat")]
    assert len(chats) == 12
    for chat in chats:
        agent = spans[chat.parent.span_id]  # type: ignore[union-attr]
        step = spans[agent.parent.span_id]  # type: ignore[union-attr]
        assert (agent.name, step.name[:6]) == ("invoke_agent echo", "step s")
        spent = result["steps"][step.name[5:]]["usage"]["output_tokens"]
        assert (chat.attributes or {})["gen_ai.usage.output_tokens"] == spent


def test_every_call_is_a_span_and_a_failed_step_says_why(call: Any, received: Receiver) -> None:
    flaky = Agent("flaky", instructions="x", model=ScriptedModel([TimeoutError(SECRET), "fine"]))
    broken = Agent("broken", instructions="x", model=ScriptedModel(PermissionError(SECRET)))
    steps = [
        Step("flaky", "flaky", "x", retry=Retry(wait=0)),
        Step("broken", "broken", "x", retry=Retry(attempts=1)),
        Step("after", "flaky", "{broken}", ["broken"]),
    ]
    assert call(Workflow(steps, agents=[flaky, broken]).compile(), {"messages": "x"})["status"] == "partial"
    tries = [one.attributes or {} for one in received.named("chat scripted")]
    assert sorted(str(one.get("error.type")) for one in tries) == ["None", "PermissionError", "TimeoutError"]
    (step,), (run,) = received.named("step broken"), received.named("run workflow")
    assert (step.status.is_ok, (step.attributes or {})["error.type"]) == (False, "PermissionError")
    assert (step.attributes or {})["podium.status"] == "failed"
    assert received.named("step after")[0].attributes["podium.status"] == "skipped"  # type: ignore[index]
    assert (run.status.is_ok, (run.attributes or {})["podium.status"]) == (True, "partial")


def test_what_is_given_up_or_cancelled_ends_with_the_run(call: Any, received: Receiver) -> None:
    slow = Agent("slow", instructions="x", model=ScriptedModel(Reply("late", delay=0.4)))
    workflow = Workflow([Step("slow", "slow", "x", timeout=0.1, retry=Retry(attempts=1))], agents=[slow]).compile()
    assert call(workflow, {"messages": "x"})["status"] == "failed"
    assert {one.name for one in received.get_finished_spans() if not one.status.is_ok} >= {"step slow", "chat scripted"}
    assert received.named("chat scripted")[0].attributes["error.type"] in ("CancelledError", "Unfinished")  # type: ignore[index]


def test_a_question_to_a_person_is_no_error_and_its_answer_a_new_trace(call: Any, received: Receiver) -> None:
    ask = Agent("ask", function=lambda task: f"They said {interrupt(SECRET)}")
    graph = Workflow([Step("ask", "ask", "x")], agents=[ask]).compile(InMemorySaver())
    config = {"configurable": {"thread_id": "7"}}
    call(graph, {"messages": "x"}, config)
    assert received.named("invoke_agent ask")[0].attributes["podium.interrupted"]  # type: ignore[index]
    assert all(one.status.is_ok for one in received.get_finished_spans())
    assert call(graph, Command(resume=SECRET), config)["status"] == "completed"
    first, second = received.named("run workflow")
    assert first.context.trace_id != second.context.trace_id  # type: ignore[union-attr]
    assert received.told("run", "gen_ai.conversation.id") == ["7", "7"]


def everything(received: Receiver) -> str:
    return "\n".join(span.to_json() for span in received.get_finished_spans())


def ask_everything() -> None:
    """Have the secret in every place in which content could be."""
    nested().invoke({"messages": f"Plant {SECRET}"})
    wrong = Reply(tool_calls=[{"name": "look_up", "args": {"flower": f"not {SECRET}"}}])
    for broken in (RuntimeError(SECRET), Reply(refusal=f"No {SECRET}"), wrong):
        with suppress(RuntimeError, AgentError):
            gardener(broken).invoke(f"Plant {SECRET}")


def test_no_content_is_in_the_spans(received: Receiver) -> None:
    ask_everything()
    told = everything(received)
    assert SECRET not in told
    assert "ToolException" not in told
    assert "ValueError" in told


def test_content_is_there_when_asked_for() -> None:
    receiver = Receiver()
    with trace(receiver, content=True):
        ask_everything()
    asked, said = (receiver.told("model", f"gen_ai.{name}.messages") for name in ("input", "output"))
    last = json.loads(asked[2])
    assert [one["role"] for one in last] == ["system", "user", "assistant", "tool"]
    assert last[2]["parts"][0]["arguments"] == {"flower": SECRET}
    assert last[3]["parts"][0]["response"] == f"{SECRET} are red"
    assert json.loads(said[2])[0]["parts"] == [{"type": "text", "content": f"Plant {SECRET}"}]
    assert receiver.told("tool", "gen_ai.tool.call.result")[0] == f"{SECRET} are red"


def test_the_status_that_somebody_elses_run_gives_back_is_content(received: Receiver) -> None:
    RunnableLambda(lambda text: {"status": text, "errors": []}).invoke(SECRET)
    assert SECRET not in everything(received)
    assert len(received.get_finished_spans()) == 1


def test_the_variable_of_opentelemetry_asks_for_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    receiver = Receiver()
    with trace(receiver):
        gardener().invoke(SECRET)
    assert SECRET in everything(receiver)


def test_the_callers_span_is_above_the_run(call: Any, received: Receiver, provider: TracerProvider) -> None:
    with provider.get_tracer("caller").start_as_current_span("request"):
        call(gardener(), "x")
    assert tree(received.get_finished_spans()) == [
        "request",
        "  run gardener",
        "    invoke_agent gardener",
        "      chat scripted",
        "      execute_tool look_up",
        "      chat scripted",
    ]


def test_a_run_in_another_thread_is_traced_too(received: Receiver) -> None:
    async def other_thread() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, gardener().invoke, "x")

    asyncio.run(other_thread())
    assert len(received.named("run gardener")) == 1


def test_nothing_is_traced_after_the_end() -> None:
    receiver, after = Receiver(), Receiver()
    with trace(receiver):
        gardener().invoke("x")
    begun = len(receiver.get_finished_spans())
    gardener().invoke("x")
    assert len(receiver.get_finished_spans()) == begun == 5
    with trace(receiver), trace(after):  # the latest one counts
        gardener().invoke("x")
    assert len(after.get_finished_spans()) == 5


def test_names_are_those_of_the_semantic_conventions() -> None:
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI")}
    known.add(error_attributes.ERROR_TYPE)
    ours = {value for name, value in vars(span_attributes).items() if name.isupper() and isinstance(value, str)}
    assert {name for name in ours if not name.startswith(("podium.", "__"))} <= known
    operations = {one.value for one in gen_ai_attributes.GenAiOperationNameValues}
    assert {"chat", "execute_tool", "invoke_agent", "invoke_workflow"} <= operations


def test_spans_reach_a_collector_over_the_wire() -> None:
    with Collector() as collector, trace(collector.url):
        usage = nested().invoke({"messages": SECRET})["usage"]
        trace(InMemorySpanExporter()).close()  # sends what is left
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.services == {"podium"}
    assert len(collector.spans) == len(TREE.strip().splitlines())
    tokens = [
        one.value.int_value
        for span in collector.spans
        for one in span.attributes
        if one.key == "gen_ai.usage.input_tokens"
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
    page = next(one for one in pages() if one.name == "docs/tracing.md")
    example, shown = (next(one.text for one in page.blocks if one.language == kind) for kind in ("python", ""))
    exec(compile(example, page.name, "exec"), {"__name__": "example"})
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown.rstrip().splitlines()
