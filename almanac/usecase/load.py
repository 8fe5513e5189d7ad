"""Reading of use case files, with errors that name the field and the expected value."""

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from almanac.core.errors import UseCaseError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.core.yaml_text import parse_yaml
from almanac.usecase.model import UseCase
from almanac.usecase.types import KindUnion

#: Fields without which there is no use case.
MANDATORY = ("name", "time", "sources", "targets")
_COMPLETED = {"Target": {"name", "horizon"}, "Training": {"candidates"}, "Evaluation": {"season", "bands"}}


def load(path: Path) -> UseCase:
    """Return the use case in the YAML file at `path`.

    Raises:
        UseCaseError: the file is missing, is not YAML, or breaks a rule; every broken rule is listed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UseCaseError(f"{path}: cannot be read: {error}") from error
    return load_text(text, str(path))


def load_text(text: str, name: str) -> UseCase:
    """Return the use case in a YAML (or JSON) text, which is called `name` in errors."""
    if text.lstrip().startswith("{") and (usecase := _from_json(text, name)) is not None:
        return usecase
    try:
        data = parse_yaml(text)
    except yaml.YAMLError as error:
        raise UseCaseError(f"{name}: is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise UseCaseError(f"{name}: must be a mapping with the fields {', '.join(UseCase.model_fields)}")
    try:
        return UseCase.model_validate(data)
    except ValidationError as error:
        raise _error(error, name) from None


def _from_json(text: str, name: str) -> UseCase | None:
    """Return the use case in a JSON text; None if it is not JSON, but perhaps YAML in flow style."""
    try:
        # JSON has no dates: in this mode pydantic reads them from texts, which it otherwise refuses.
        return UseCase.model_validate_json(text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None
        raise _error(error, name) from None


def explain(error: ValidationError, model: type[BaseModel] = UseCase, *, values: bool = True) -> list[str]:
    """Return a line for each error of a model: the field, and the expected value or the extension to install.

    Args:
        error: the errors.
        model: the model.
        values: whether the given values are repeated; they may be secrets where settings have places for secrets.
    """
    return [_explain(item, model, values) for item in error.errors(include_url=False)]


def _error(error: ValidationError, name: str) -> UseCaseError:
    return UseCaseError("\n".join(f"{name}: {line}" for line in explain(error)))


def dump(usecase: UseCase) -> str:
    """Return the use case as canonical JSON, the form in which components receive it."""
    return canonical_json(usecase.model_dump(mode="json")).decode()


def digest(usecase: UseCase) -> str:
    """Return the sha256 of the use case's content, regardless of the layout and comments of the file."""
    # Defaults are written out, so that a release which changes one changes the digest as well.
    return sha256_bytes(dump(usecase).encode())


def schema() -> dict[str, Any]:
    """Return the JSON schema of a use case file."""
    written = UseCase.model_json_schema()
    # What a file leaves out is filled in before the validation, which asks for everything.
    written["required"] = list(MANDATORY)
    for definition in written["$defs"].values():
        if "required" in definition:
            optional = _COMPLETED.get(str(definition.get("title")), {"read"})
            definition["required"] = [name for name in definition["required"] if name not in optional]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **written}


def _explain(item: Any, model: type[BaseModel], values: bool) -> str:
    path, fields = _walk(item["loc"], model)
    # Pydantic puts these words before the message of a validator.
    field, message = ".".join(path), item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{field}: unknown field{_suggest(path[-1], fields)}"
    # A missing field has no value that could be shown.
    if item["type"] == "missing":
        return f"{field}: is missing; it is required"
    if item["type"] == "unknown_kind":
        return _unknown_kind(field, item)
    # A rule across sections names its field by itself.
    if item["type"] == "value_error" and not field:
        return str(message)
    message = f"{field}: {message[0].lower()}{message[1:]}"
    if item["type"] == "password" or not values:
        return message
    if not isinstance(item["input"], dict | list):
        return f"{message}; got {item['input']!r}"
    if item["type"] == "value_error":
        return message
    return f"{message}; got {'a mapping' if isinstance(item['input'], dict) else 'a list'}"


def _unknown_kind(field: str, item: Any) -> str:
    kinds, tag = item["ctx"]["kinds"], item["ctx"]["field"]
    if tag not in item["input"]:
        return f"{field}.{tag}: is missing; it is required, one of {', '.join(sorted(kinds))}"
    return f"{field}.{tag}: {kinds.unknown(item['input'][tag])}"


def _walk(location: tuple[str | int, ...], root: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Return the path of an error without the tags that pydantic adds for unions, and the fields known at its end."""
    models = [root]
    path, fields = [], []
    for part in location:
        tagged = [model for model in models if part == _tag(model)]
        if tagged:
            models = tagged
            continue
        # Added after the name of a mapping's key that is wrong.
        if part == "[key]":
            continue
        path.append(str(part))
        fields = [field for model in models for field in model.model_fields]
        found = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        # An index of a list or a key of a mapping is no field: the models stay those of the items.
        models = [model for field in found for model in _models(field.annotation)] or models
    return path, fields


def _suggest(name: str, fields: list[str]) -> str:
    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(sorted(fields))}" if fields else ""


def _tag(model: type[BaseModel]) -> Any:
    """Return the tag of a member of a union: the one value that its discriminating field allows."""
    for key in ("type", "kind", "rule"):
        if key in model.model_fields and len(values := get_args(model.model_fields[key].annotation)) == 1:
            return values[0]
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, KindUnion):
        return list(annotation.declarations().values())
    return [model for argument in get_args(annotation) for model in _models(argument)]
