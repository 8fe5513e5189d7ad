"""Search of versions by conditions, such as `metrics.demand_24h.rmse < 80 and tags.team = 'air'`.

The form is that of MLflow's filter strings: comparisons joined by `and`, each of a field, an operator and a value.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.overview import describe, figures, flatten
from governance.registry.reader import Reader

_CONDITION = re.compile(
    r"""\s*(?P<field>[A-Za-z_][\w.-]*)\s*
        (?P<operator>!=|<=|>=|=|<|>|\bi?like\b)\s*
        (?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s'"]+))\s*
        (?:(?P<and>\band\b)|$)""",
    re.VERBOSE | re.IGNORECASE,
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIELDS = ("number", "status", "stage", "approval", "proposer", "rejected", "model", "registered_at", "description")


def search(registry: Reader, use_case: str, condition: str) -> list[dict[str, Any]]:
    """Return the versions that meet every condition, oldest first, as `overview.describe` describes them.

    Args:
        registry: the registry.
        use_case: the use case.
        condition: comparisons joined by `and`. Fields are number, status, stage, approval, proposer, rejected, model,
            registered_at, description, alias, tags.KEY and metrics.TARGET.FIGURE; operators are =, !=, <, <=, >, >=,
            like and ilike, whose % stands for any text.

    Raises:
        RegistryError: a condition of another form, or a field that does not exist.
    """
    tests = list(_parse(condition))
    state = registry.registered(use_case)
    found = []
    for entry in state.versions.values():
        row = describe(registry, state, entry)
        # Read once for each version, and only if a condition asks for them.
        metrics = figures(registry, use_case, entry) if any(name.startswith("metrics.") for name, _, _ in tests) else {}
        if all(_meets(_values(row, metrics, field), sign, value) for field, sign, value in tests):
            found.append(row)
    return found


def _parse(condition: str) -> Iterator[tuple[str, str, str]]:
    position, joined = 0, True
    while joined:
        match = _CONDITION.match(condition, position)
        if match is None:
            raise RegistryError(
                f"search: {condition[position:].strip() or condition!r} is no condition; expected FIELD OPERATOR "
                "VALUE, such as metrics.demand.rmse < 80, joined by and"
            )
        field, value = (
            match["field"],
            next(match[name] for name in ("single", "double", "bare") if match[name] is not None),
        )
        if field not in (*_FIELDS, "alias") and field.partition(".")[0] not in ("tags", "metrics"):
            raise RegistryError(
                f"search: there is no field {field!r}; expected {', '.join(_FIELDS)}, alias, tags.KEY or "
                "metrics.TARGET.FIGURE"
            )
        yield field, match["operator"].lower(), value
        position, joined = match.end(), match["and"] is not None


def _values(row: Mapping[str, Any], metrics: Mapping[str, Any], field: str) -> list[Any]:
    """Return the values of a field: several for aliases, none where it is absent."""
    section, _, name = field.partition(".")
    if section == "alias":
        return list(row["aliases"])
    if section == "tags":
        return [row["tags"][name]] if name in row["tags"] else []
    if section == "metrics":
        return [value for path, value in flatten(metrics.get("targets", {})) if path == name]
    return [] if row[field] is None else [row[field]]


def _meets(values: list[Any], sign: str, wanted: str) -> bool:
    # Of several values none may be equal: for any other sign one that meets the condition is enough.
    # Versions without the field meet it, as in MLflow: they do not have that value.
    if sign == "!=":
        return not any(_equal(value, wanted) for value in values)
    return any(_compare(value, sign, wanted) for value in values)


def _compare(value: Any, sign: str, wanted: str) -> bool:
    if sign == "=":
        return _equal(value, wanted)
    if sign in ("like", "ilike"):
        # fnmatch has wildcards of its own, which are plain characters in a filter string.
        text, pattern = str(value), re.sub(r"([*?\[])", r"[\1]", wanted).replace("%", "*")
        return fnmatchcase(*((text.casefold(), pattern.casefold()) if sign == "ilike" else (text, pattern)))
    # Digits may also be meant as text, as in a tag; the field decides.
    number = _number(wanted)
    if isinstance(value, int | float) and number is None:
        raise RegistryError(f"search: {wanted!r} is compared with a number; expected one")
    return _ORDER[sign](value, number) if isinstance(value, int | float) else _ORDER[sign](str(value), wanted)


def _equal(value: Any, wanted: str) -> bool:
    return value == _number(wanted) if isinstance(value, int | float) else str(value) == wanted


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
