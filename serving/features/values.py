"""One value of a request as float64, or a refusal that names its place."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from almanac.model.columns import Columns
from serving.runtime.errors import invalid

_KINDS: dict[type, str] = {
    type(None): "null", bool: "a truth value", str: "text", list: "a list", dict: "an object",
}  # fmt: skip


def number(value: Any, place: str) -> float:
    """Return a JSON number as float64, NaN for null.

    Raises:
        HTTPError: text, a truth value, a list or an object, an infinite number, or one that float64 cannot hold.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{place}: {shown(value)} is {kind(value)}; expected a number or null")
    if isinstance(value, int):
        return whole(value, place)
    if not math.isfinite(value):
        raise invalid(f"{place}: {value} is not a finite number")
    return float(value)


def whole(value: int, place: str) -> float:
    """Return an integer as float64.

    Raises:
        HTTPError: float64 has no such number.
    """
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if result != value:
        raise invalid(f"{place}: {shown(value)} cannot be held exactly in float64")
    return result


def cell(columns: Columns, name: str, value: Any, place: str) -> float:
    """Return the value of the feature `name`: a number, a category as its code, NaN for null where that may be.

    Raises:
        HTTPError: the value does not fit the feature.
    """
    if value is None:
        if name in columns.required:
            raise invalid(f"{place}: null, but {name} must have a value")
        return math.nan
    codes = columns.codes.get(name)
    if codes is None:
        return number(value, place)
    return category(codes, value, place)


def category(codes: Mapping[str, float], value: Any, place: str) -> float:
    """Return the code of a category given by name or by code."""
    if isinstance(value, str):
        if value not in codes:
            raise invalid(f"{place}: {value!r} is not a known category; one of {', '.join(codes)}")
        return codes[value]
    code = number(value, place)
    if code not in codes.values():
        raise invalid(f"{place}: {shown(value)} is not a category code; one of {told(codes)}")
    return code


def told(codes: Mapping[str, float]) -> str:
    """Return the categories with their codes, for a message."""
    return ", ".join(f"{name} ({code:g})" for name, code in codes.items())


def check_names(given: Iterable[str], names: tuple[str, ...], place: str) -> None:
    """Raise a HTTPError unless `given` are exactly `names`, in any order; missing and extra ones are named."""
    have = set(given)
    missing = [name for name in names if name not in have]
    if missing:
        raise invalid(f"{place}: missing column {listed(missing)}")
    extra = sorted(have.difference(names))
    if extra:
        raise invalid(f"{place}: unknown column {listed(extra)}; the model takes {listed(list(names), most=12)}")


def listed(names: list[str], most: int = 5) -> str:
    """Return the names as a list that stays short."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def shown(value: Any) -> str:
    """Return the value for a message, cut short."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def kind(value: Any) -> str:
    """Return what JSON calls the type of the value."""
    return _KINDS.get(type(value), "a number")
