"""OpenTelemetry spans of every run, made by OpenInference's LangChain tracer, with Podium's names added.

    PODIUM_TRACING=1                        to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, else on this machine
    PODIUM_TRACING=http://collector:4318    to that collector
    trace()                                 the same from Python; `trace(exporter)` to any other place

switch   tracing on and off, and where the spans go
spans    their names and attributes (docs/tracing.md); needs the extra `podium[tracing]`, imported once there is tracing
"""

from agents.tracing.switch import flush, marked, trace, trace_as_set

__all__ = ["flush", "marked", "trace", "trace_as_set"]
