"""The OpenAPI document, generated from the table of operations and the loaded models."""

from typing import Any

from almanac.core.image import VERSION
from serving.prediction.repository import Repository
from serving.protocol import schemas
from serving.protocol.routes import DESCRIPTIONS, Operation
from serving.security.guard import PUBLIC

Json = dict[str, Any]


def document(repository: Repository) -> Json:
    """Return the OpenAPI 3.1 document of the models in service."""
    paths: dict[str, Json] = {}
    for description in DESCRIPTIONS:
        paths.setdefault(description.pattern, {})[description.method.lower()] = _operation(description, repository)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Almanac: {', '.join(one.name for one in repository.use_cases)}", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": schemas.components(repository),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(description: Operation, repository: Repository) -> Json:
    pattern = description.pattern
    operation: Json = {
        # Ids must be unique, and routes with and without a version share their verb.
        "operationId": f"{description.protocol}_{description.verb}" + ("_version" if "{version}" in pattern else ""),
        "summary": description.summary,
        "tags": [description.protocol],
        "parameters": _parameters(pattern, repository),
        "responses": _responses(description.answer, description.scope, pattern),
    }
    if description.scope not in (None, PUBLIC):
        # The empty alternative makes a key optional, as it is with `--auth off`.
        operation["security"] = [{"key": []}, {"bearer": []}, {}]
    if description.body is not None:
        content = {"application/json": {"schema": _reference(description.body)}}
        operation["requestBody"] = {"required": description.body != "Index", "content": content}
    return operation


def _parameters(pattern: str, repository: Repository) -> list[Json]:
    versions = [bundle.version for one in repository.use_cases if one.traffic for bundle in one.traffic.bundles]
    values = {"model": repository.names, "version": list(dict.fromkeys(versions))}
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": allowed}}
        for name, allowed in values.items()
        if f"{{{name}}}" in pattern
    ]


def _responses(answer: str, scope: str | None, pattern: str) -> Json:
    kind = {"Text": "text/plain", "Page": "text/html"}.get(answer, "application/json")
    schema = {"type": "string"} if kind != "application/json" else _reference(answer)
    error = {"description": "refused", "content": {"application/json": {"schema": _reference("Error")}}}
    # Every operation may answer these; the guard adds its own.
    codes = ["400", "404", "405", "408", "409", "413", "415", "422", "431", "501", "503"]
    if scope is not None:
        codes += ["429"] if scope == PUBLIC else ["401", "403", "429"]
    responses: Json = {"200": {"description": "answered", "content": {kind: {"schema": schema}}}}
    return responses | {code: _not_ready() if _probe(pattern, code) else error for code in codes}


def _probe(pattern: str, code: str) -> bool:
    # These answer their usual document with 503, and no error.
    return code == "503" and pattern in ("/healthz", "/v2/health/ready")


def _not_ready() -> Json:
    return {"description": "not ready", "content": {"application/json": {"schema": {"type": "object"}}}}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
