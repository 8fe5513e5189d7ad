"""JSON Schemas of requests and answers, with the features of the models in service."""

from typing import Any

from almanac.model.columns import Columns
from almanac.model.prediction import Output
from serving.prediction.repository import Repository

Json = dict[str, Any]

_NUMBER: Json = {"type": "number"}
_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_OBJECT: Json = {"type": "object"}
_CLOSED: Json = {"additionalProperties": False}
_ROWS: Json = {"type": "array", "items": _OBJECT, "minItems": 1}
_KEPT: Json = {"type": "integer", "description": "Rows that were stored; rows without any value are not counted."}
_DROPPED: Json = {
    "type": "integer",
    "minimum": 1,
    "description": "Rows that are older than what the store keeps; absent when there are none.",
}
_TENSOR: Json = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": _TEXT,
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": _TEXT,
        "parameters": _OBJECT,
        "data": {"type": "array"},
    },
}


def components(repository: Repository) -> dict[str, Json]:
    """Return the schemas by name."""
    rows = [_rows(bundle.columns) for bundle in repository.bundles]
    return {
        "Error": _object({"error": _TEXT}, ["error"]),
        # Which rows a path takes, its model says: one document holds for the models of all use cases.
        "Rows": rows[0] if len(rows) == 1 else {"anyOf": rows} if rows else _OBJECT,
        "Origins": {**_object({"instances": {"type": "array", "minItems": 1, "items": _origin()}}), **_CLOSED},
        "Infer": _infer(),
        "Observations": {"oneOf": [_object({name: _ROWS}) for name in ("observations", "left_out")]},
        "Feedback": _object({"feedback": {"type": "array", "items": _feedback(repository), "minItems": 1}}),
        "Index": {"type": "object", "properties": {"ready": {"type": "boolean"}}, **_CLOSED},
        "Nothing": {},
        "CanaryOrder": {
            "type": "object",
            "properties": {"version": _TEXT, "percent": _NUMBER, "end": {"const": True}},
            **_CLOSED,
        },
        "MaintenanceOrder": {
            "type": "object",
            "required": ["order"],
            "properties": {
                "order": _TEXT,
                "clear_caches": {"const": True},
                "reload": _TEXT,
                "log_level": {"enum": ["debug", "info"]},
                "seconds": _NUMBER,
            },
            **_CLOSED,
        },
        "Maintenance": _object({"log_level": _TEXT, "seconds": _NUMBER, "orders": _TEXTS}),
        "Canary": _object({"state": _TEXT, "percent": _NUMBER, "measures": _OBJECT}),
        **_answers(repository),
    }


def _answers(repository: Repository) -> dict[str, Json]:
    targets = [target for bundle in repository.bundles for target in bundle.targets.values()]
    model = {"model_name": _TEXT, "model_version": _TEXT, "model_digest": _TEXT}
    ready = {"type": "boolean"}
    return {
        "Predictions": {
            "type": "object",
            "required": ["predictions", *model],
            "properties": {
                **_columns([one for model in targets for one in model.outputs]),
                "predictions": {"type": "array"},  # numbers, or one object a row of the model of a use case
                "warnings": _TEXTS,
                **model,
            },
        },
        "Explanations": _object({"explanations": {"type": "array"}, **model}),
        "Steps": _object({"forecasts": _ROWS, **model}),
        "Inferred": {
            "type": "object",
            "required": ["model_name", "outputs"],
            "properties": {**model, "id": _TEXT, "outputs": {"type": "array", "items": _TENSOR}, "parameters": _OBJECT},
        },
        "Alive": _object({"status": _TEXT}),
        "Live": _object({"live": ready}),
        "Ready": _object({"ready": ready}),
        "Health": _object({"status": _TEXT, "model_version": _TEXT}),
        "ModelReady": _object({"name": _TEXT, "ready": ready}),
        "Models": _object({"models": _TEXTS}),
        "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _TEXTS}),
        "Model": _object(dict.fromkeys(("name", "platform"), _TEXT) | {"inputs": {"type": "array", "items": _TENSOR}}),
        "Repository": {"type": "array", "items": _object({"name": _TEXT, "state": _TEXT})},
        "Loaded": _object({"name": _TEXT}),
        "Ingested": _object({"ingested": _KEPT, "dropped": _DROPPED}, ["ingested"]),
        "Taken": _object({"taken": {"type": "integer"}, "rolling": _OBJECT}),
        "Document": _OBJECT,
    }


def _columns(outputs: list[Output]) -> Json:
    """Return the columns of a V1 answer with these outputs."""
    columns: Json = {}
    for output in outputs:
        value = _NUMBER if output.datatype == "FP64" else _TEXT
        if output.shared:
            shared = columns.get(output.column, {"items": {"properties": {}}})["items"]["properties"]
            value = _object({**shared, output.name: value})
        columns[output.column] = {"type": "array", "items": value}
    return columns


def _object(properties: Json, required: list[str] | None = None) -> Json:
    return {"type": "object", "required": required or list(properties), "properties": properties}


def _rows(columns: Columns) -> Json:
    # Every feature is required: a missing one is an error, null is a value.
    row = {
        "type": "object",
        "properties": {name: _cell(columns, name) for name in columns.names},
        "required": list(columns.names),
        **_CLOSED,
    }
    entity_request = {
        "type": "object",
        "properties": {
            "entity": _TEXT,
            "time": {"type": "string", "format": "date-time"},
            **dict.fromkeys(("history", "event", "prices"), _OBJECT),
        },
        "required": ["time"],
        **_CLOSED,
    }
    ordered = {"type": "array", "minItems": len(columns.names), "maxItems": len(columns.names)}
    table = {
        "type": "object",
        "properties": {name: {"type": "array", "items": _cell(columns, name)} for name in columns.names},
        "required": list(columns.names),
        **_CLOSED,
    }
    several = [{"type": "array", "minItems": 1, "items": item} for item in (row, ordered, entity_request)]
    return {
        "oneOf": [
            {**_object({"instances": {"oneOf": several}}), **_CLOSED},
            {**_object({"inputs": table}), **_CLOSED},
        ]
    }


def _cell(columns: Columns, name: str) -> Json:
    if name in columns.categories:
        nothing = [] if name in columns.required else [None]
        return {"enum": [*columns.codes[name], *columns.codes[name].values(), *nothing]}
    return {"type": ["number"] if name in columns.required else ["number", "null"]}


def _origin() -> Json:
    time = {"type": "string", "format": "date-time"}
    return {**_object({"entity": _TEXT, "time": time}, ["time"]), **_CLOSED}


def _infer() -> Json:
    return {
        "type": "object",
        "required": ["inputs"],
        **_CLOSED,
        "properties": {
            "id": _TEXT,
            "parameters": _OBJECT,
            "inputs": {"type": "array", "items": {**_TENSOR, **_CLOSED}, "minItems": 1},
            "outputs": {"type": "array", "items": _object({"name": _TEXT})},
        },
    }


def _feedback(repository: Repository) -> Json:
    fields: Json = dict.fromkeys(("prediction", "actual", "lower", "upper"), _NUMBER)
    fields["model_version"] = {
        "type": "string",
        "description": "Version that predicted, as the answer named it; the one that answers now when absent.",
    }
    fields["target"] = {
        "type": "string",
        "enum": [target for bundle in repository.bundles for target in bundle.targets],
    }
    return {**_object(fields, ["prediction", "actual"]), **_CLOSED}
