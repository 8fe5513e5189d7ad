"""All operations in one table, for the router, the guard and the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.protocol.router import Handler, Route
from serving.security.guard import PUBLIC


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        method: GET or POST.
        pattern: path with `{model}` and `{version}`.
        protocol: v1, v2 or http.
        verb: name for metrics; with the protocol it names the handler.
        scope: scope that a key must have; `PUBLIC` if no key is needed, None for probes, which are not limited either.
        body: name of the request's schema, None without a body.
        answer: name of the answer's schema.
        summary: one line for the OpenAPI document.
    """

    method: str
    pattern: str
    protocol: str
    verb: str
    scope: str | None
    body: str | None
    answer: str
    summary: str


_M1, _M2, _V = "/v1/models/{model}", "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
_REPOSITORY = "/v2/repository"
_CANARY = f"{_REPOSITORY}/models/{{model}}/canary"

#: Every operation.
DESCRIPTIONS: tuple[Operation, ...] = (
    Operation("POST", f"{_M1}:predict", "v1", "predict", "predict", "Rows", "Predictions", "Predict rows"),
    Operation("POST", f"{_M1}:explain", "v1", "explain", "explain", "Rows", "Explanations", "Explain predictions"),
    Operation("POST", f"{_M1}:steps", "v1", "steps", "predict", "Origins", "Steps", "Forecast every step"),
    Operation("POST", f"{_M2}/infer", "v2", "infer", "predict", "Infer", "Inferred", "Predict tensors"),
    Operation("POST", f"{_V}/infer", "v2", "infer", "predict", "Infer", "Inferred", "Predict tensors by one version"),
    Operation("GET", "/", "http", "live", None, None, "Alive", "Liveness"),
    Operation("GET", "/healthz", "http", "health", None, None, "Health", "Readiness of the server"),
    Operation("GET", "/metrics", "http", "metrics", None, None, "Text", "Prometheus metrics"),
    Operation("GET", "/openapi.json", "http", "openapi", PUBLIC, None, "Document", "This document"),
    Operation("GET", "/docs", "http", "docs", PUBLIC, None, "Page", "Page that links to this document"),
    Operation("GET", "/v1/models", "v1", "list", "predict", None, "Models", "Names of the models"),
    Operation("GET", _M1, "v1", "ready", None, None, "ModelReady", "Readiness of a model"),
    Operation("GET", "/v2", "v2", "metadata", PUBLIC, None, "Server", "Metadata of the server"),
    Operation("GET", "/v2/health/live", "v2", "live", None, None, "Live", "Liveness"),
    Operation("GET", "/v2/health/ready", "v2", "health", None, None, "Ready", "Readiness of the server"),
    Operation("GET", "/v2/models", "v2", "list", "predict", None, "Models", "Names of the models"),
    Operation("GET", _M2, "v2", "model", "predict", None, "Model", "Metadata of a model"),
    Operation("GET", f"{_M2}/ready", "v2", "ready", None, None, "ModelReady", "Readiness of a model"),
    Operation("GET", _V, "v2", "model", "predict", None, "Model", "Metadata of one version"),
    Operation("GET", f"{_V}/ready", "v2", "ready", None, None, "ModelReady", "Readiness of one version"),
    Operation("POST", f"{_M1}:ingest", "v1", "ingest", "ingest", "Observations", "Ingested", "Append observations"),
    Operation("POST", f"{_M1}:feedback", "v1", "feedback", "predict", "Feedback", "Taken", "Post observed values"),
    Operation("POST", f"{_REPOSITORY}/index", "v2", "index", "admin", "Index", "Repository", "State of the models"),
    Operation(
        "GET",
        f"{_REPOSITORY}/models/{{model}}/canary",
        "v2",
        "canary_state",
        "admin",
        None,
        "Canary",
        "Canary's evidence",
    ),
    Operation(
        "POST",
        f"{_REPOSITORY}/models/{{model}}/canary",
        "v2",
        "canary",
        "admin",
        "CanaryOrder",
        "Canary",
        "Start or move",
    ),
    Operation(
        "GET", f"{_REPOSITORY}/maintenance", "v2", "maintenance_state", "admin", None, "Maintenance", "Log level"
    ),
    Operation(
        "POST",
        f"{_REPOSITORY}/maintenance",
        "v2",
        "maintenance",
        "admin",
        "MaintenanceOrder",
        "Maintenance",
        "Log every request for a while, empty caches, or load again",
    ),
    Operation("POST", f"{_REPOSITORY}/models/{{model}}/load", "v2", "load", "admin", "Nothing", "Loaded", "Load"),
    Operation("POST", f"{_REPOSITORY}/models/{{model}}/unload", "v2", "unload", "admin", "Nothing", "Loaded", "Unload"),
)


def routes(handlers: Mapping[tuple[str, str], Handler]) -> list[Route]:
    """Return the routes of all operations.

    Args:
        handlers: handlers by protocol and verb.
    """
    return [Route(o.method, o.pattern, handlers[o.protocol, o.verb], o.verb, o.scope, o.protocol) for o in DESCRIPTIONS]
