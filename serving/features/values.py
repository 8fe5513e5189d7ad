"""One value of a request as float64, or an error that names its location."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.levels import some
from almanac.model.columns import Columns
from serving.runtime.errors import invalid

_TYPES: dict[type, str] = {
    type(None): "null", bool: "a truth value", str: "text", list: "a list", dict: "an object",
}  # fmt: skip


def number(value: Any, location: str) -> float:
    """Return a JSON number as float64, NaN for null.

    Raises:
        HTTPError: text, a truth value, a list or an object, an infinite number, or one that float64 cannot hold.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{location}: {shortened(value)} is {json_type(value)}; expected a number or null")
    if isinstance(value, int):
        return exact_float(value, location)
    if not math.isfinite(value):
        raise invalid(f"{location}: {value} is not a finite number")
    return float(value)


def exact_float(value: int, location: str) -> float:
    """Return an integer as float64.

    Raises:
        HTTPError: float64 would round it.
    """
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    # Python compares an integer with a float exactly, without rounding.
    if result != value:
        raise invalid(f"{location}: {shortened(value)} cannot be held exactly in float64")
    return result


def feature_value(columns: Columns, name: str, value: Any, location: str) -> float:
    """Return the value of the feature `name`: a number, the code of a category, or NaN for an allowed null.

    Raises:
        HTTPError: the value does not fit the feature.
    """
    if value is None:
        if name in columns.required:
            raise invalid(f"{location}: null, but {name} must have a value")
        return math.nan
    codes = columns.codes.get(name)
    return number(value, location) if codes is None else category(codes, value, location)


def category(codes: Mapping[str, float], value: Any, location: str) -> float:
    """Return the code of a category given by name or by code."""
    if isinstance(value, str):
        if value not in codes:
            raise invalid(f"{location}: {value!r} is not a known category; one of {some(codes)}")
        return codes[value]
    code = number(value, location)
    if code not in codes.values():
        raise invalid(f"{location}: {shortened(value)} is not a category code; one of {code_list(codes)}")
    return code


def check_names(names: Iterable[str], expected: tuple[str, ...], location: str) -> None:
    """Check that `names` are exactly the expected ones, in any order.

    Raises:
        HTTPError: naming the missing or unknown ones.
    """
    present = set(names)
    if missing := [name for name in expected if name not in present]:
        raise invalid(f"{location}: missing column {name_list(missing)}")
    if unknown := sorted(present.difference(expected)):
        message = f"unknown column {name_list(unknown)}; the model takes {name_list(list(expected), most=12)}"
        raise invalid(f"{location}: {message}")


def code_list(codes: Mapping[str, float]) -> str:
    """Return the categories with their codes, for a message."""
    return some(f"{name} ({code:g})" for name, code in codes.items())


def name_list(names: list[str], most: int = 5) -> str:
    """Return names for a message, at most so many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def shortened(value: Any) -> str:
    """Return a value for a message, cut to 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def json_type(value: Any) -> str:
    """Return the name of a value's JSON type."""
    return _TYPES.get(type(value), "a number")
