"""OpenTelemetry spans; nothing is imported unless an OTLP endpoint is configured."""

import os
import time
from collections.abc import Callable
from typing import Any

from serving.runtime.http import Observe, Reply, Request

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def tracing() -> tuple[Observe, Callable[[], None]] | None:
    """Return the observer that records a span for each request and its shutdown, None without an endpoint.

    A span continues the trace of the client's `traceparent`. It is recorded after the answer has been sent, and
    exported by a thread of its own. `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and the other variables of the
    OpenTelemetry specification hold.
    """
    # The SDK costs memory and start time, hence the variables are read before it is imported.
    if not os.environ.get(ENDPOINT) and not os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    name = os.environ.get("OTEL_SERVICE_NAME", "almanac")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer, propagator = provider.get_tracer("almanac.serving"), TraceContextTextMapPropagator()

    def observe(request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        end = time.time_ns()
        parent = request.headers.get(b"traceparent")
        context = propagator.extract({"traceparent": parent.decode("latin-1")}) if parent else None
        span = tracer.start_span(
            f"{protocol} {request.verb}",
            context=context,
            kind=SpanKind.SERVER,
            start_time=end - int(seconds * 1e9),
            attributes=_attributes(request, reply),
        )
        span.end(end)

    return observe, provider.shutdown


def _attributes(request: Request, reply: Reply) -> dict[str, Any]:
    return {
        "http.request.method": request.method,
        "http.response.status_code": reply.status,
        "almanac.model": request.model,
        "almanac.version": request.answered_by,
        "almanac.request_id": request.id,
    }
