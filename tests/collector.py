"""A collector of OpenTelemetry spans on loopback that speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

from tests.loopback import Handler, Loopback

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(Loopback):
    """Keeps every span that it is sent."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }


class _Handler(Handler):
    server: Collector

    def serve(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.paths.append(self.path)
        self.server.requests.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
        content = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()
        self.answer(content, {"Content-Type": "application/x-protobuf"})
