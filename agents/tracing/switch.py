"""Tracing switched on and off, and where the spans go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.context import register_configure_hook

from agents.errors import ConfigurationError
from agents.runtime import install_hint

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from agents.tracing.spans import Tracing

SETTING = "PODIUM_TRACING"
"""The environment variable: empty or `0` for no tracing, `1`, or a collector's address."""

CONTENT_SETTING = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's own variable that lets prompts, answers and error messages into the spans: `true`."""

PATTERN = "podium_pattern"
"""Metadata of a pattern's run, `Planner#number`; nested runs inherit it, so a pattern begins where it changes."""

_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")
_numbers = count(1)
_latest: Tracing | None = None


def trace(to: SpanExporter | TracerProvider | str | None = None, *, content: bool | None = None) -> Tracing:
    """Send spans of every run from now on, in place of any earlier setting.

    Args:
        to: A span exporter, a tracer provider, or the address of a collector that speaks OTLP over HTTP. None: the
            application's tracer provider if it has set one, else the collector that the `OTEL_EXPORTER_OTLP_*`
            variables name, `http://localhost:4318` by default.
        content: Whether prompts, answers, tool arguments and error messages are in the spans; None: as the variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says; without it they are not.

    Raises:
        ConfigurationError: The extra `tracing` is not installed.
    """
    global _latest
    try:
        from agents.tracing.spans import Tracing

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
    if (tracing := _switched_on()) and tracing.own_provider is not None:
        sending = Thread(target=tracing.own_provider.force_flush, daemon=True)
        sending.start()
        sending.join(seconds)


def marked(config: RunnableConfig, pattern: str) -> RunnableConfig:
    """Have the run of a pattern's graph say which pattern it is, while there is tracing."""
    if _switched_on() is None:
        return config
    return {**config, "metadata": {**config.get("metadata", {}), PATTERN: f"{pattern}#{next(_numbers)}"}}


def _switched_on() -> Tracing | None:
    return _latest if _latest is not None and _latest.is_on else None


@cache
def _watch_runs() -> None:
    """Add the handler that makes spans to every run of LangChain from now on."""
    from agents.tracing.spans import Spans

    spans = Spans(_switched_on, PATTERN)
    # The default of a variable is seen in every thread and task; a value would be only where contexts are copied.
    register_configure_hook(ContextVar[BaseCallbackHandler | None]("podium_spans", default=spans), inheritable=True)
