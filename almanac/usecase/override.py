"""Changes of single fields of a use case from the command line."""

from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import UseCaseError
from almanac.usecase.load import load, load_text
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
    # Plain YAML will do here: `load` has already refused a key that is given twice.
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UseCaseError(f"--set {setting}: write KEY=VALUE, such as training.budget.trials=3")
        _put(data, key, _value(value, setting), setting)
    return load_text(yaml.safe_dump(data, allow_unicode=True), f"{path} with --set {' '.join(settings)}")


def _value(text: str, setting: str) -> Any:
    try:
        return yaml.safe_load(text)
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
        raise UseCaseError(f"--set {setting}: {'.'.join(parents)} has no fields")


def _step(data: Any, part: str, setting: str) -> Any:
    if isinstance(data, list):
        return data[_index(data, part, setting)]
    if isinstance(data, dict):
        # A section may be absent from the file, where its fields have their defaults.
        return data.setdefault(part, {})
    raise UseCaseError(f"--set {setting}: there is nothing below {part!r}")


def _index(data: list[Any], part: str, setting: str) -> int:
    for index, item in enumerate(data):
        if isinstance(item, dict) and item.get("name") == part:
            return index
    if part.isdigit() and int(part) < len(data):
        return int(part)
    raise UseCaseError(
        f"--set {setting}: no item {part!r}; the list has {len(data)} items, counted from 0, or their names"
    )
