"""Checks of features.json and signature.json: a field that is missing or of another type is named with its file."""

from itertools import pairwise
from typing import Any

from almanac.core.errors import ModelError
from almanac.model.directory import FEATURES, SIGNATURE, Directory

_TYPES = {type(None): "null", bool: "a truth value", str: "text", list: "a list", dict: "an object"}


def read_documents(directory: Directory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return features.json and signature.json, with every field that the library reads.

    Raises:
        ModelError: a field is missing, or of another type; the message names file and field.
    """
    features, signature = directory.document(FEATURES), directory.document(SIGNATURE)
    _list(features, "names", f"{directory.path / FEATURES}", str)
    place = f"{directory.path / SIGNATURE}"
    for field, keys in (("inputs", ("name", "type")), ("features", ("name",))):
        if field == "features" and field not in signature:
            continue  # features.json names them too; without ranges and categories every number fits
        for index, item in enumerate(_list(signature, field, place)):
            _check_item(item, keys, f"{place}: {field}[{index}]")
    if signature.get("decision"):
        _check_decision(signature["decision"], f"{place}: decision")
    return features, signature


def _check_item(item: Any, keys: tuple[str, ...], place: str) -> None:
    if not isinstance(item, dict):
        raise ModelError(f"{place}: {_type(item)}; expected an object with {' and '.join(keys)}")
    for key in keys:
        if key not in item:
            raise ModelError(f"{place}: the field {key!r} is missing")
        _check_type(item[key], str, f"{place}.{key}")
    for key in ("min", "max"):
        if item.get(key) is not None:
            _check_type(item[key], float, f"{place}.{key}")
    if item.get("categories"):
        _list(item, "categories", place, str)


def _check_decision(decision: Any, place: str) -> None:
    if not isinstance(decision, dict):
        raise ModelError(f"{place}: {_type(decision)}; expected an object with thresholds and names")
    thresholds, names = _list(decision, "thresholds", place, float), _list(decision, "names", place, str)
    if any(low >= high for low, high in pairwise(thresholds)):
        raise ModelError(f"{place}.thresholds: {thresholds} do not rise")
    if (by := decision.get("by", "prediction")) not in ("prediction", "lower", "upper"):
        raise ModelError(f"{place}.by: {by!r}; expected prediction, lower or upper")
    if len(names) != len(thresholds) + 1:
        raise ModelError(f"{place}.names: {len(names)} where {len(thresholds)} thresholds need {len(thresholds) + 1}")


def _list(document: dict[str, Any], field: str, place: str, kind: type | None = None) -> list[Any]:
    if field not in document:
        raise ModelError(f"{place}: the field {field!r} is missing")
    values = document[field]
    if not isinstance(values, list):
        raise ModelError(f"{place}: {field} is {_type(values)}; expected a list")
    if kind is not None:
        separator = "." if place.endswith(("]", "decision")) else ": "
        for index, value in enumerate(values):
            _check_type(value, kind, f"{place}{separator}{field}[{index}]")
    return values


def _check_type(value: Any, kind: type, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float if kind is float else kind):
        raise ModelError(f"{place}: {_type(value)}; expected {'a number' if kind is float else 'text'}")


def _type(value: Any) -> str:
    return _TYPES.get(type(value), "a number")
