"""What a model's documents must hold for it to be served: a field that is missing or odd is named with its file."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from almanac.core.errors import ModelError
from almanac.model.directory import Directory
from serving.features.values import kind


def feature_names(directory: Directory) -> list[str]:
    """Return the ordered feature names.

    Raises:
        ModelError: features.json does not list them.
    """
    place, document = directory.path / "features.json", directory.document("features.json")
    names = _list(document, "names", f"{place}")
    for at, name in enumerate(names):
        _text(name, f"{place}: names[{at}]")
    return [str(name) for name in names]


def check_documents(directory: Directory) -> None:
    """Make sure that signature.json has what a server reads of it.

    Raises:
        ModelError: a field is missing, or of another type; the message names file and field.
    """
    place, signature = f"{directory.path / 'signature.json'}", directory.document("signature.json")
    for field, keys in (("inputs", ("name", "type")), ("features", ("name",))):
        if field == "features" and field not in signature:
            continue  # features.json names them too; without ranges and categories every number fits
        for at, item in enumerate(_list(signature, field, place)):
            _check_item(item, keys, f"{place}: {field}[{at}]")
    decision = signature.get("decision")
    if decision:
        _check_decision(decision, f"{place}: decision")


def _check_item(item: Any, keys: tuple[str, ...], place: str) -> None:
    if not isinstance(item, dict):
        raise ModelError(f"{place}: {kind(item)}; expected an object with {' and '.join(keys)}")
    for key in keys:
        if key not in item:
            raise ModelError(f"{place}: the field {key!r} is missing")
        _text(item[key], f"{place}.{key}")
    for key in ("min", "max"):
        if item.get(key) is not None:
            _number(item[key], f"{place}.{key}")
    for index, category in enumerate(_list(item, "categories", place) if item.get("categories") else []):
        _text(category, f"{place}.categories[{index}]")


def _check_decision(decision: Any, place: str) -> None:
    if not isinstance(decision, dict):
        raise ModelError(f"{place}: {kind(decision)}; expected an object with thresholds and names")
    thresholds, names = _list(decision, "thresholds", place), _list(decision, "names", place)
    for at, value in enumerate(thresholds):
        _number(value, f"{place}.thresholds[{at}]")
    if any(low >= high for low, high in pairwise(thresholds)):
        raise ModelError(f"{place}.thresholds: {thresholds} do not rise")
    if len(names) != len(thresholds) + 1:
        raise ModelError(f"{place}.names: {len(names)} where {len(thresholds)} thresholds need {len(thresholds) + 1}")
    for at, name in enumerate(names):
        _text(name, f"{place}.names[{at}]")


def _list(document: Mapping[str, Any], field: str, place: str) -> list[Any]:
    if field not in document:
        raise ModelError(f"{place}: the field {field!r} is missing")
    value = document[field]
    if not isinstance(value, list):
        raise ModelError(f"{place}: {field} is {kind(value)}; expected a list")
    return value


def _text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        raise ModelError(f"{place}: {kind(value)}; expected text")


def _number(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{place}: {kind(value)}; expected a number")
