"""Tracing switched on and off, and where the spans go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import cache, cached_property
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.context import register_configure_hook

from agents.errors import ConfigurationError
from agents.runtime import install_hint

if TYPE_CHECKING:
    from openinference.instrumentation import OITracer
    from opentelemetry.sdk.trace import TracerProvider as SDKProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

SETTING = "PODIUM_TRACING"
"""The environment variable: empty or `0` for no tracing, `1`, or a collector's address."""

CONTENT_SETTING = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's own variable that lets prompts, answers and error messages into the spans: `true`."""

PATTERN = "podium_pattern"
"""Metadata of a pattern's run, `Planner#number`; nested runs inherit it, so a pattern begins where it changes."""

_TRACES_PATH = "/v1/traces"
_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")
_numbers = count(1)
_latest: Tracing | None = None


class Tracing(AbstractContextManager["Tracing"]):
    """Tracing as `trace` switched it on, until `close` or the end of a `with` block."""

    def __init__(self, to: SpanExporter | TracerProvider | str | None, *, content: bool) -> None:
        self.content = content
        self._to = to
        self.own_provider: SDKProvider | None = None
        """The provider that is closed with it; None if it is the application's."""

    @cached_property
    def tracer(self) -> OITracer:
        """The tracer of the caller's provider, the application's or one made here, chosen when a run begins."""
        from openinference.instrumentation import OITracer, TraceConfig
        from opentelemetry import trace as api

        provider = self._to if isinstance(self._to, api.TracerProvider) else api.get_tracer_provider()
        if not isinstance(self._to, api.TracerProvider | None) or isinstance(provider, api.ProxyTracerProvider):
            provider = self.own_provider = _sending(self._to)
        hide = not self.content
        config = TraceConfig(
            hide_inputs=hide, hide_outputs=hide, hide_llm_tools=hide, hide_llm_invocation_parameters=hide
        )
        return OITracer(provider.get_tracer("podium"), config=config)

    def close(self) -> None:
        """Switch it off and send what is left, unless the provider is the application's."""
        global _latest
        if _latest is self:
            _latest = None
        if self.own_provider is not None:
            self.own_provider.shutdown()

    def __exit__(self, *_: object) -> None:
        self.close()


def trace(to: SpanExporter | TracerProvider | str | None = None, *, content: bool | None = None) -> Tracing:
    """Send spans of every run from now on, in place of any earlier setting.

    Args:
        to: A span exporter, a tracer provider, or the address of a collector that speaks OTLP over HTTP. None: the
            application's tracer provider if it has set one, else the collector that the `OTEL_EXPORTER_OTLP_*`
            variables name, which is `http://localhost:4318` if there are none.
        content: Whether prompts, answers, tool arguments and error messages are in the spans; None: as the variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says; without it they are not.

    Raises:
        ConfigurationError: The extra `tracing` is not installed.
    """
    global _latest
    try:
        _watch_runs()
    except ImportError as error:
        raise ConfigurationError(f"Tracing needs OpenTelemetry: {install_hint('tracing')} ({error})") from error
    if _latest is not None:
        _latest.close()
    if content is None:
        content = os.environ.get(CONTENT_SETTING, "").strip().lower() in _YES
    _latest = Tracing(to, content=content)
    return _latest


def trace_as_set(environment: Mapping[str, str] = os.environ) -> None:
    """Switch tracing on if the environment says so; called when Podium is imported.

    Raises:
        ConfigurationError: The variable says something else than yes, no or an address, or the extra is not installed.
    """
    wanted = environment.get(SETTING, "").strip()
    if wanted.lower() in _NO:
        return
    if wanted.lower() not in _YES and not wanted.startswith(("http://", "https://")):
        raise ConfigurationError(f"{SETTING} must be 1, 0 or the http address of a collector, not {wanted!r}")
    trace(None if wanted.lower() in _YES else wanted)


def flush(seconds: float = 1.0) -> None:
    """Send the spans that have ended, waiting some seconds at most; for a process that ends at once."""
    if _latest is not None and _latest.own_provider is not None:
        sending = Thread(target=_latest.own_provider.force_flush, daemon=True)
        sending.start()
        sending.join(seconds)


def marked(config: RunnableConfig, pattern: str) -> RunnableConfig:
    """Have the run of a pattern's graph say which pattern it is, while there is tracing."""
    if _latest is None:
        return config
    return {**config, "metadata": {**config.get("metadata", {}), PATTERN: f"{pattern}#{next(_numbers)}"}}


@cache
def _watch_runs() -> None:
    """Add the handler that makes spans to every run of LangChain from now on."""
    from agents.tracing.spans import Spans

    spans = Spans(lambda: _latest, PATTERN)
    # The default of a variable is seen in every thread and task; a value would be only where contexts are copied.
    register_configure_hook(ContextVar[BaseCallbackHandler | None]("podium_spans", default=spans), inheritable=True)


def _sending(to: Any) -> SDKProvider:
    """Make a provider whose spans are sent in batches, the last one when the process ends."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if isinstance(to, str):
        to = OTLPSpanExporter(to if to.rstrip("/").endswith(_TRACES_PATH) else to.rstrip("/") + _TRACES_PATH)
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "podium"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(to or OTLPSpanExporter()))
    return provider
