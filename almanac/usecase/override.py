"""Changes of single fields of a use case, from the command line or a pipeline's parameter."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import UseCaseError
from almanac.core.yaml_text import parse_yaml
from almanac.usecase.load import dump, load, load_text
from almanac.usecase.model import UseCase


def load_with(path: Path, settings: list[str]) -> UseCase:
    """Return the use case in the file at `path`, changed by each KEY=VALUE of `settings`.

    A key is the path of a field, such as training.budget.trials or sources.0.path; a value is YAML.

    Raises:
        UseCaseError: a setting is not KEY=VALUE, its path does not exist, or the use case breaks a rule.
    """
    usecase = load(path)
    if not settings:
        return usecase
    data = parse_yaml(path.read_text(encoding="utf-8"))
    _change(data, parse(settings), "--set ")
    return load_text(yaml.safe_dump(data, allow_unicode=True), f"{path} with --set {' '.join(settings)}")


def override(usecase: UseCase, overrides: str) -> UseCase:
    """Return a use case changed by the text of a pipeline's parameter, a YAML mapping of field paths to values.

    Raises:
        UseCaseError: the text is no such mapping, a path does not exist or leads to a source, or the use case breaks a
            rule.
    """
    if not overrides.strip():
        return usecase
    values = _mapping(overrides)
    # Whether the table may be cached was decided by the sources, when the pipeline was compiled.
    if sources := sorted(key for key in values if key.split(".")[0] == "sources"):
        raise UseCaseError(f"overrides: {sources[0]}: sources are compiled in; change the use case file and compile")
    data = json.loads(dump(usecase))
    _change(data, values, "overrides: ")
    # YAML reads a date as a date, which JSON does not have.
    return load_text(json.dumps(data, default=str), f"{usecase.name} with overrides {overrides}")


def parse(settings: Iterable[str]) -> dict[str, Any]:
    """Return the values of KEY=VALUE settings by key.

    Raises:
        UseCaseError: a setting is not KEY=VALUE, or its value is not YAML.
    """
    values = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UseCaseError(f"--set {setting}: write KEY=VALUE, such as training.budget.trials=3")
        values[key] = _value(value, setting)
    return values


def to_overrides(values: Mapping[str, Any]) -> str:
    """Return values by key as the text of a pipeline's parameter; empty for none."""
    if not values:
        return ""
    # One line, because the form of Kubeflow shows no more.
    return str(yaml.safe_dump(dict(values), default_flow_style=True, allow_unicode=True, width=10_000)).strip()


def _mapping(overrides: str) -> dict[str, Any]:
    try:
        values = parse_yaml(overrides)
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise UseCaseError(f"overrides: is not YAML ({reason})") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UseCaseError(f"overrides: {overrides!r}: expected a mapping such as {{training.budget.trials: 3}}")
    return values


def _change(data: Any, values: Mapping[str, Any], origin: str) -> None:
    for key, value in values.items():
        _put(data, key, value, f"{origin}{key}")


def _value(text: str, setting: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise UseCaseError(f"--set {setting}: the value is not YAML ({reason})") from None


def _put(data: Any, key: str, value: Any, setting: str) -> None:
    *parents, last = key.split(".")
    for part in parents:
        data = _step(data, part, setting)
    if isinstance(data, list):
        data[_index(data, last, setting)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise UseCaseError(f"{setting}: {'.'.join(parents)} has no fields")


def _step(data: Any, part: str, setting: str) -> Any:
    if isinstance(data, list):
        return data[_index(data, part, setting)]
    if isinstance(data, dict):
        # A section may be absent from the file, where its fields have their defaults.
        return data.setdefault(part, {})
    raise UseCaseError(f"{setting}: there is nothing below {part!r}")


def _index(data: list[Any], part: str, setting: str) -> int:
    for index, item in enumerate(data):
        if isinstance(item, dict) and item.get("name") == part:
            return index
    if part.isdigit() and int(part) < len(data):
        return int(part)
    raise UseCaseError(f"{setting}: no item {part!r}; the list has {len(data)} items, counted from 0, or their names")
