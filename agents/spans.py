"""A LangChain callback handler that makes OpenTelemetry spans; see `agents.tracing` for switching it on.

LangChain tells each run's id and its parent's, in whatever thread or task it is, so spans get their parents by these
ids; the ambient context only gives the parent of the outermost. Of the many runs those become spans that mean
something to a reader; what is beneath the others belongs to the next span above.

Names follow OpenTelemetry's semantic conventions for generative AI, which are still marked as in development.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp
from opentelemetry import trace as api
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from agents import span_attributes as told
from agents.runtime import model_called, usage_of_call

if TYPE_CHECKING:
    from agents.tracing import Tracing

UNFINISHED = "Unfinished"
"""The error of what had not ended when its run did, such as a step that was given up but whose thread goes on."""


class Level(NamedTuple):
    """A span to be made for a run."""

    kind: str
    """`run`, `pattern`, `node`, `step`, `agent`, `decision`, `model` or `tool`."""
    name: str
    attributes: Mapping[str, Any]


@dataclass(eq=False, slots=True)
class Traced:
    """A run that has spans and has not ended."""

    id: UUID
    levels: list[Level]
    """Outermost first: a pattern that works as an agent is one run and two spans."""
    spans: list[Span]
    above: Traced | None
    pattern: str
    """The mark of the innermost pattern around, this one included."""
    agent: str
    content: bool
    attempts: Counter[str] = field(default_factory=Counter)
    """How often each agent or decision right beneath was begun."""
    spent: Counter[str] = field(default_factory=Counter)
    beneath: set[Traced] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """Return the kind of the innermost span."""
        return self.levels[-1].kind


class Spans(BaseCallbackHandler):
    """Makes the spans; one object for all runs of the process."""

    run_inline = True  # in order, and in the context of the caller

    def __init__(self) -> None:
        self.tracing: Tracing | None = None
        """None while tracing is switched off; runs that have begun are still ended."""
        self._open: dict[UUID, Traced] = {}
        """By the id of each run that goes on: its own record, or the one of the next run above that has spans."""
        self._lock = threading.Lock()

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **about: Any
    ) -> None:
        """Begin the spans of a graph, a node, a step, an agent or a decision."""
        above = self._open.get(parent_run_id) if parent_run_id else None
        self._begin(run_id, above, _levels(above, run_id, inputs, about), about)

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Sequence[Sequence[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: Any,
    ) -> None:
        """Begin the span of a model call."""
        above = self._open.get(parent_run_id) if parent_run_id else None
        level = Level("model", f"chat {model_called(about)}".strip(), told.request(about))
        if traced := self._begin(run_id, above, [level], about):
            self._add_content(traced, lambda: told.prompts(messages[0]))

    def on_llm_start(self, serialized: Any, prompts: Sequence[str], *, run_id: UUID, **about: Any) -> None:
        """Begin the span of a call of a model that is no chat model."""
        self.on_chat_model_start(serialized, [[HumanMessage(one) for one in prompts]], run_id=run_id, **about)

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None, **about: Any
    ) -> None:
        """Begin the span of a tool call."""
        above = self._open.get(parent_run_id) if parent_run_id else None
        name = str((serialized or {}).get("name") or about.get("name") or "")
        level = Level("tool", f"execute_tool {name}", told.tool(name, about))
        if traced := self._begin(run_id, above, [level], about):
            self._add_content(traced, lambda: {told.TOOL_ARGUMENTS: input_str})

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **about: Any) -> None:
        """End the spans of a run, with the status that a step or a pattern says of itself."""
        if traced := self._ended(run_id):
            # What anything else calls its status is its own, and may be private.
            known = traced.kind in ("pattern", "step") and isinstance(outputs, dict)
            for level, span in zip(traced.levels, traced.spans, strict=True) if known else ():
                if level.kind != "agent":
                    span.set_attributes(told.outcome(level.kind, outputs))
                    if kind := told.failure(outputs):
                        _fail(span, kind)
            self._end(traced)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **about: Any) -> None:
        """End a model call, and book its tokens on all that is above it."""
        if traced := self._ended(run_id):
            traced.spans[-1].set_attributes(told.reply(response))
            self._add_content(traced, lambda: told.replies(response))
            call = usage_of_call(response, "", {})
            above = traced.above
            with self._lock:
                while above is not None:
                    above.spent.update({name: call[name] for name in told.COUNTED})  # type: ignore[literal-required]
                    above = above.above
            self._end(traced)

    def on_tool_end(self, output: Any, *, run_id: UUID, **about: Any) -> None:
        """End a tool call."""
        if traced := self._ended(run_id):
            if getattr(output, "status", "") == "error":
                _fail(traced.spans[-1], "ToolError")
            self._add_content(traced, lambda: {told.TOOL_RESULT: str(getattr(output, "content", output))})
            self._end(traced)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **about: Any) -> None:
        """End the spans of a run that failed, or that waits for a person."""
        if traced := self._ended(run_id):
            for span in traced.spans:
                if isinstance(error, GraphBubbleUp):
                    span.set_attribute(told.INTERRUPTED, True)
                else:
                    _fail(span, type(error).__name__, getattr(error, "kind", None), traced.content and str(error))
            self._end(traced, None if isinstance(error, Exception) else type(error).__name__)

    on_llm_error = on_chain_error
    on_tool_error = on_chain_error

    def _begin(
        self, run_id: UUID, above: Traced | None, levels: list[Level], about: Mapping[str, Any]
    ) -> Traced | None:
        tracing = self.tracing
        if tracing is None:
            return None
        if above is not None and not levels:
            self._open[run_id] = above
            return None
        metadata = about.get("metadata") or {}
        agents = [level.attributes[told.AGENT] for level in levels if level.kind == "agent"]
        agent = agents[-1] if agents else above.agent if above else ""
        shared = {told.THREAD: metadata.get("thread_id"), told.AGENT: agent}
        tracer = tracing.provider().get_tracer("podium")
        spans: list[Span] = []
        for level in levels:
            around = spans[-1] if spans else above.spans[-1] if above else None
            spans.append(
                tracer.start_span(
                    level.name,
                    api.set_span_in_context(around) if around else None,
                    SpanKind.CLIENT if level.kind == "model" else SpanKind.INTERNAL,
                    told.known({told.KIND: level.kind, **shared, **level.attributes, **self._attempt(above, level)}),
                )
            )
        mark = metadata.get(told.PATTERN_MARK) or (above.pattern if above else "")
        self._open[run_id] = traced = Traced(run_id, levels, spans, above, mark, agent, tracing.content)
        if above is not None:
            with self._lock:
                above.beneath.add(traced)
        return traced

    def _attempt(self, above: Traced | None, level: Level) -> dict[str, int]:
        """Count how often a node or step has begun an agent or decision, which is more than once after failures."""
        if above is None or above.kind not in ("node", "step") or level.kind not in ("agent", "decision"):
            return {}
        with self._lock:
            above.attempts[level.name] += 1
            return {told.ATTEMPT: above.attempts[level.name]}

    def _ended(self, run_id: UUID) -> Traced | None:
        """Forget a run and return it, if it has spans of its own."""
        traced = self._open.pop(run_id, None)
        return traced if traced is not None and traced.id == run_id else None

    def _end(self, traced: Traced, unfinished: str | None = None) -> None:
        """End the spans of a run, and of all beneath it if it is the outermost or was cancelled.

        LangChain tells of no end when a call of a model or tool is cancelled.
        """
        with self._lock:
            left = traced.beneath if unfinished or traced.above is None else set()
            if traced.above is not None:
                traced.above.beneath.discard(traced)
                traced.above.beneath |= traced.beneath - left
        for one in list(left):
            self._open.pop(one.id, None)
            _fail(one.spans[-1], unfinished or UNFINISHED)
            self._end(one, unfinished or UNFINISHED)
        for level, span in reversed(list(zip(traced.levels, traced.spans, strict=True))):
            if level.kind not in ("model", "tool"):
                span.set_attributes({f"{told.SPENT}.{name}": traced.spent[name] for name in told.COUNTED})
            span.end()

    def _add_content(self, traced: Traced, content: Any) -> None:
        if traced.content:
            traced.spans[-1].set_attributes(content())


def _levels(above: Traced | None, run_id: UUID, inputs: Any, about: Mapping[str, Any]) -> list[Level]:
    """Return the spans that a run is worth; none for LangChain's and LangGraph's inner machinery."""
    metadata = about.get("metadata") or {}
    name = str(about.get("name") or "")
    group, _, own = name.partition(":")
    levels = []
    if above is None:
        levels.append(Level("run", f"run {own or name}", {told.RUN_ID: str(run_id)}))
    if group == "agent":
        levels.append(Level("agent", f"invoke_agent {own}", told.agent(own)))
    elif group == "decision":
        levels.append(Level("decision", f"decide {own}", {}))
    mark = metadata.get(told.PATTERN_MARK, "")
    if mark and mark != (above.pattern if above else ""):
        levels.append(Level("pattern", f"invoke_workflow {own or name}", told.workflow(own or name, mark)))
    elif above is not None and name == metadata.get("langgraph_node"):
        is_node = any(tag.startswith("graph:step:") for tag in about.get("tags") or ())
        if is_node and above.kind == "pattern":
            levels.append(Level("node", f"node {name}", {told.NODE: name}))
        elif not is_node and above.kind in ("node", "step"):
            levels.append(Level("step", f"step {name}", told.step(name, inputs)))
    return levels


def _fail(span: Span, kind: str, detail: Any = None, message: Any = None) -> None:
    """Mark a span as failed; the message of an error may quote prompts and keys, so it is not given by default."""
    span.set_attributes(told.known({told.ERROR: kind, told.ERROR_KIND: detail}))
    span.set_status(Status(StatusCode.ERROR, message or kind))
