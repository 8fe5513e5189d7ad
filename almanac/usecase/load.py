"""Reading of use case files, with errors that name the field and the expected value."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from almanac.core.errors import UseCaseError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.usecase.model import UseCase
from almanac.usecase.types import KindUnion


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


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
    if (parsed := _json(text)) is not None:
        return _validate(lambda: UseCase.model_validate_json(text), name, parsed)
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - derives from SafeLoader
    except yaml.YAMLError as error:
        raise UseCaseError(f"{name}: is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise UseCaseError(f"{name}: must be a mapping with the fields {', '.join(UseCase.model_fields)}")
    return _validate(lambda: UseCase.model_validate(data), name, data)


def _json(text: str) -> dict[str, Any] | None:
    """Return the mapping in a JSON text, or None; a text that looks like JSON may be YAML in flow style."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _validate(make: Callable[[], UseCase], name: str, data: dict[str, Any]) -> UseCase:
    try:
        return make()
    except ValidationError as error:
        raise UseCaseError("\n".join(f"{name}: {line}" for line in explain(error, data))) from None


def explain(error: ValidationError, data: Any) -> list[str]:
    """Return a line for each error: the field, and the expected value or the extension that may be missing."""
    return [_explain(item, data) for item in error.errors(include_url=False)]


def dump(usecase: UseCase) -> str:
    """Return the use case as canonical JSON, the form in which components receive it."""
    return canonical_json(usecase.model_dump(mode="json")).decode()


def digest(usecase: UseCase) -> str:
    """Return the sha256 of the use case's content, regardless of the layout and comments of the file."""
    return sha256_bytes(dump(usecase).encode())


def schema() -> dict[str, Any]:
    """Return the JSON schema of a use case file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **UseCase.model_json_schema()}


def _explain(item: Any, data: dict[str, Any]) -> str:
    location = item["loc"]
    place = ".".join(str(part) for index, part in enumerate(location) if not _is_tag(index, location, data))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown field{_suggest(location)}"
    if item["type"] == "missing":
        return f"{place}: is missing; it is required"
    if item["type"] == "unknown_kind":
        return _unknown_kind(place, item)
    if item["type"] == "value_error" and not place:
        return str(message)
    message = f"{message[0].lower()}{message[1:]}"
    if isinstance(item["input"], dict | list):
        return f"{place}: {message}" if item["type"] == "value_error" else f"{place}: {message}; got {_kind(item)}"
    return f"{place}: {message}; got {item['input']!r}"


def _unknown_kind(place: str, item: Any) -> str:
    kinds, field = item["ctx"]["kinds"], item["ctx"]["field"]
    place = f"{place}.{field}"
    if field not in item["input"]:
        return f"{place}: is missing; it is required, one of {', '.join(sorted(kinds))}"
    return f"{place}: {kinds.unknown(item['input'][field])}"


def _kind(item: Any) -> str:
    return "a mapping" if isinstance(item["input"], dict) else "a list"


def _is_tag(index: int, location: tuple[Any, ...], data: dict[str, Any]) -> bool:
    """Return whether a part of an error's location is a tag that pydantic adds for a union, and not a field."""
    part = location[index]
    value = _value_at(location[:index], data)
    if not isinstance(part, str) or not isinstance(value, dict) or part in value:
        return False
    return part in (value.get("type"), value.get("kind"), value.get("rule"))


def _value_at(location: tuple[Any, ...], data: Any) -> Any:
    """Return the value at a location, skipping the tags of unions."""
    for step in location:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            continue
    return data


def _suggest(location: tuple[Any, ...]) -> str:
    fields = _fields_at(location[:-1])
    if not fields:
        return ""
    close = difflib.get_close_matches(str(location[-1]), fields, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(sorted(fields))}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    models: list[type[BaseModel]] = [UseCase]
    for part in location:
        if isinstance(part, int):
            continue
        tagged = [model for model in models if part in _tags(model)]
        stepped = [
            m for model in models if part in model.model_fields for m in _models(model.model_fields[part].annotation)
        ]
        models = stepped or tagged or models
    return [field for model in models for field in model.model_fields]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    for key in ("type", "kind", "rule"):
        if key in model.model_fields:
            return get_args(model.model_fields[key].annotation)
    return ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, KindUnion):
        return list(annotation.declarations().values())
    return [model for argument in get_args(annotation) for model in _models(argument)]
