"""OpenInference's LangChain tracer, with the names of pattern, node, step and agent on every span, and no content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from openinference.instrumentation import OITracer, TraceConfig
from openinference.instrumentation.langchain._tracer import OpenInferenceTracer
from opentelemetry import trace as api
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider as SDKProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import StatusCode, TracerProvider

_OUTERMOST, _MARK, _LOOP = "outermost", "mark", "loop"
"""Names that are not shown: the outermost run, the pattern's number, and whether this is in an agent's own loop."""

_TRACES_PATH = "/v1/traces"
_HIDDEN = (_OUTERMOST, _MARK, _LOOP)


def _without_content(method: str) -> Callable[..., Run]:
    """Return the handler of an error, which puts the exception on its span only if spans have content."""

    def report(self: Spans, error: BaseException, *args: object, **options: object) -> Run:
        handler = OpenInferenceTracer if self.has_content else BaseTracer
        return cast("Run", getattr(handler, method)(self, error, *args, **options))

    return report


class Tracing(AbstractContextManager["Tracing"]):
    """Tracing as `trace` switched it on, until `close` or the end of a `with` block."""

    def __init__(self, to: SpanExporter | TracerProvider | str | None, *, content: bool) -> None:
        self.content = content
        self.is_on = True
        self._to = to
        self.own_provider: SDKProvider | None = None
        """The provider that is closed with it; None if it is the application's."""

    @cached_property
    def tracer(self) -> OITracer:
        """The tracer of the caller's provider, the application's or one made here, chosen when a run begins."""
        provider = self._to if isinstance(self._to, TracerProvider) else api.get_tracer_provider()
        if not isinstance(self._to, TracerProvider | None) or isinstance(provider, api.ProxyTracerProvider):
            provider = self.own_provider = _sending(self._to)
        hide = not self.content
        config = TraceConfig(
            hide_inputs=hide, hide_outputs=hide, hide_llm_tools=hide, hide_llm_invocation_parameters=hide
        )
        return OITracer(provider.get_tracer("podium"), config=config)

    def close(self) -> None:
        """Switch it off and send what is left, unless the provider is the application's."""
        was_on, self.is_on = self.is_on, False
        if was_on and self.own_provider is not None:
            self.own_provider.shutdown()

    def __exit__(self, *_: object) -> None:
        self.close()


def _sending(to: Any) -> SDKProvider:
    """Make a provider whose spans are sent in batches, the last one when the process ends."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if isinstance(to, str):
        to = OTLPSpanExporter(to if to.rstrip("/").endswith(_TRACES_PATH) else to.rstrip("/") + _TRACES_PATH)
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "podium"}))
    provider = SDKProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(to or OTLPSpanExporter()))
    return provider


class Spans(OpenInferenceTracer):
    """Makes the spans of all runs of the process; `pattern` is the key of metadata that names a run's pattern."""

    run_inline = True  # in order, and in the context of the caller
    on_chain_error, on_llm_error, on_tool_error = map(
        _without_content, ("on_chain_error", "on_llm_error", "on_tool_error")
    )

    def __init__(self, latest: Callable[[], Tracing | None], pattern: str) -> None:
        super().__init__(None, False)  # type: ignore[arg-type]  # the tracer is chosen when a run begins
        self._latest = latest
        self._pattern = pattern
        self._names: dict[UUID, dict[str, str]] = {}
        """Names of each run that has not ended, those of the runs around it included."""

    @property
    def has_content(self) -> bool:
        """Whether prompts, answers and messages of errors may be in the spans."""
        return bool((tracing := self._latest()) and tracing.content)

    def _start_trace(self, run: Run) -> None:  # type: ignore[override]  # wrapped there to be timed
        self.run_map[str(run.id)] = run
        if tracing := self._latest():
            self._tracer = tracing.tracer  # type: ignore[assignment]
            super()._start_trace(run)
            above = self._names.get(run.parent_run_id or run.id, {_OUTERMOST: str(run.id)})
            self._names[run.id] = names = {**above, **self._own_names(run, above)}
            shown = {f"podium.{name}": value for name, value in names.items() if name not in _HIDDEN}
            self._spans_by_run[run.id].set_attributes(shown)

    def _own_names(self, run: Run, above: Mapping[str, str]) -> dict[str, str]:
        metadata: Mapping[str, object] = run.metadata or {}
        kind, _, agent = str(run.name).partition(":")
        names = {"agent": agent, _LOOP: "1"} if kind == "agent" else {}
        if (mark := str(metadata.get(self._pattern, ""))) and mark != above.get(_MARK):
            return {**names, _MARK: mark, _LOOP: "", "pattern": mark.partition("#")[0]}
        if run.name == metadata.get("langgraph_node") and not above.get(_LOOP):
            is_node = any(tag.startswith("graph:step:") for tag in run.tags or ())
            names["node" if is_node else "step"] = run.name
        return names

    def _end_trace(self, run: Run) -> None:  # type: ignore[override]  # wrapped there to be timed
        above = self._names.get(run.parent_run_id, {}) if run.parent_run_id else {}
        names = self._names.pop(run.id, {})
        if any(names.get(name) != above.get(name) for name in (_MARK, "step")):
            self._tell_outcome(run)
        if not self.has_content:
            # Messages of errors may quote prompts; states would be hidden anyway, but are costly to write as JSON.
            run.error = run.error and f"{run.error.partition('(')[0]}()"
            run.inputs, run.outputs = {}, run.outputs if run.run_type == "llm" else {}
        super()._end_trace(run)
        if names.get(_OUTERMOST) == str(run.id):
            self._end_abandoned(str(run.id))

    def _tell_outcome(self, run: Run) -> None:
        """Add the status that a pattern or step has; one that failed is an error though nothing was raised."""
        outputs: Mapping[str, Any] = run.outputs if isinstance(run.outputs, Mapping) else {}
        span, status = self.get_span(run.id), outputs.get("status")
        if span is not None and isinstance(status, str):
            span.set_attribute("podium.status", status)
            if status == "failed" and not run.error:
                problems = outputs.get("problems") or outputs.get("errors") or [{"kind": "failed", "message": ""}]
                run.error = f"{problems[-1]['kind']}({problems[-1]['message']!r})"

    def _end_abandoned(self, outermost: str) -> None:
        """End the spans of runs that were given up or cancelled, of which LangChain reports no end."""
        for run_id in [run_id for run_id, names in [*self._names.items()] if names.get(_OUTERMOST) == outermost]:
            self._names.pop(run_id, None)
            if (span := self._spans_by_run.pop(run_id, None)) is not None:
                span.set_status(StatusCode.ERROR, "Unfinished")
                span.end()
