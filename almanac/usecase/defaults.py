"""Defaults of a use case file: whatever it leaves out but name, time, sources and targets.

They follow from the step of the grid and from the targets, and are filled in before the file is validated, so that a
use case that was read is always whole. `almanac check FILE --explain` prints them.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from almanac.usecase.address import UNSTATED
from almanac.usecase.types import to_duration, to_timedelta

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
#: Longest lag or window in steps, since a server keeps the history of it for every entity.
MOST_STEPS = 2100
#: Parts of the calendar that are proposed as features, which have their names.
PARTS = ("hour", "weekday", "month")
#: Cycles over which the mean of one phase is taken.
_COUNTS = (4, 12, 26)
#: Cycles over which the mean of all phases is taken.
_LEVELS = (4, 8)
#: Largest shares of missing values of a column that the file does not declare; its target's rows are left out.
_MISSING = 1.0


def cycles_of(week: int) -> tuple[timedelta, ...]:
    """Return the periods after which series repeat: a day, a week of so many open days, 52 weeks."""
    return _DAY, week * _DAY, 52 * week * _DAY


def open_weekdays(time: Mapping[str, Any]) -> int:
    """Return the days of a week that have steps by the section on time of a file, 5 where a calendar names none."""
    calendar = time.get("calendar")
    if calendar is None:
        return 7
    weekdays = calendar.get("weekdays") if isinstance(calendar, dict) else None
    return len(weekdays) if isinstance(weekdays, list) and weekdays else 5


def complete(data: Any) -> Any:
    """Return a use case file with the defaults of the fields that it leaves out; only mappings are changed."""
    if not isinstance(data, dict) or not isinstance(data.get("time"), dict):
        return data
    step = _length(data["time"].get("frequency")) or _HOUR
    data = dict(data)
    if isinstance(data.get("targets"), list):
        data["targets"] = [_target(item, step) for item in data["targets"]]
    if isinstance(data.get("sources"), list):
        data["sources"] = [_source(item, data["time"]) for item in data["sources"]]
    name = str(data.get("name"))
    data.setdefault("title", name.replace("_", " ").capitalize())
    data.setdefault("description", f"Forecast of {', '.join(_columns(data)) or 'a table'}.")
    if "columns" not in data:
        data["columns"] = {column: {"type": "float", "max_missing": _MISSING} for column in _columns(data)}
        # Which other columns there are is not known without the table.
        if isinstance(data.get("sources"), list):
            data["sources"] = [_open(item) for item in data["sources"]]
    if isinstance(data["columns"], dict):
        data["columns"] = {name: _described(name, column) for name, column in data["columns"].items()}
    sections = _sections(data, step)
    # Histories of events follow from their entities, which have no common pattern.
    if data.get("events") is not None:
        del sections["features"]
    for section, value in sections.items():
        data.setdefault(section, value)
    if isinstance(data["training"], dict):
        data["training"] = {"candidates": candidates(40), **data["training"]}
    if isinstance(data["evaluation"], dict):
        data["evaluation"] = {**_evaluation(data, step), **data["evaluation"]}
    drift = data.get("drift", {})
    # Days that are only counted have no months to compare a window with.
    if data["time"].get("origin") is not None and isinstance(drift, dict):
        data["drift"] = {"season": "none", **drift}
    return data


def features(
    step: timedelta,
    horizon: timedelta,
    target: str,
    others: Mapping[str, str],
    cycles: Iterable[timedelta],
    yearly: bool,
    taken: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return features that fit a step and a season.

    Args:
        step: step of the grid.
        horizon: how far ahead the forecast is.
        target: column that is forecast.
        others: type of every other column by its name.
        cycles: periods after which the series may repeat, shortest first.
        yearly: whether the table is long enough to learn the course of a year.
        taken: names that no feature may have, besides those of the columns.
    """
    cycles = [cycle for cycle in cycles if cycle <= MOST_STEPS * step]
    items: list[dict[str, Any]] = []
    parts = ["hour", "weekday"] if step < _DAY else ["weekday", "month"] if step == _DAY else ["month"]
    periods = ["day", "week"] if step < _DAY else ["week"] if step < 7 * _DAY else []
    periods += ["year"] if yearly else []
    ahead = to_duration(horizon)
    # A column of the table may have the name of a calendar feature already.
    if fields := [part for part in parts if part not in (*others, *taken, target)]:
        items.append({"kind": "calendar", "group": "temporal", "fields": fields, "ahead": ahead})
    if periods:
        items.append({"kind": "cyclic", "group": "temporal", "periods": periods, "harmonics": 2, "ahead": ahead})
    items.append({"kind": "value", "group": "lagged", "columns": [target]})
    # The same phase as the target's time, one cycle before, and the row's own.
    phases = [lag for cycle in cycles for lag in (cycle - horizon, cycle) if lag >= step]
    items.append(_spans("lag", "lagged", target, {"lags": [step, 2 * step, 3 * step, *phases]}))
    windows = _spans("rolling", "rolling", target, {"windows": [4 * step, *cycles]})
    items.append(windows | {"statistics": ["mean", "std", "min", "max"]})
    # The level of each series, which many series of few rows share a model without.
    levels = [count * cycle for cycle in cycles[-1:] for count in _LEVELS if (count + 1) * cycle <= MOST_STEPS * step]
    if levels:
        items.append(_spans("rolling", "rolling", target, {"windows": levels}) | {"statistics": ["mean"]})
    # The mean of one phase over many cycles, without which no model beats the climatology of a noisy series.
    for cycle in cycles:
        if counts := [count for count in _COUNTS if (count + 1) * cycle <= MOST_STEPS * step]:
            same = {"kind": "seasonal", "group": "seasonal", "columns": [target], "period": to_duration(cycle)}
            items.append({**same, "counts": counts, "statistics": ["mean"], "ahead": ahead})
    if numbers := [name for name, kind in others.items() if kind != "category"]:
        items.append({"kind": "value", "group": "other", "columns": numbers})
    if categories := [name for name, kind in others.items() if kind == "category"]:
        items.append({"kind": "categorical", "group": "other", "columns": categories, "encoding": "code"})
    return items


def many_levels(columns: list[str], target: str) -> list[dict[str, Any]]:
    """Return features of categories with too many levels for a code: their shares, and a target's means.

    Args:
        columns: the categories.
        target: name of the target.
    """
    if not columns:
        return []
    encoded = {"kind": "encoded", "group": "other", "columns": columns}
    return [encoded, {**encoded, "encoding": "target", "target": target}]


def candidates(least: int, changes: bool = False) -> list[dict[str, Any]]:
    """Return the candidates: trees, a ridge regression, and their blend.

    Args:
        least: rows that a leaf has at least.
        changes: whether further trees learn the change since the last value, which carries a level beyond the training
            span that trees cannot reach.
    """
    trees = {"learning_rate": 0.05, "n_estimators": 300, "num_leaves": 31, "min_child_samples": least}
    learners: list[dict[str, Any]] = [
        {"name": "trees", "kind": "lightgbm", "fixed": trees},
        *([{"name": "changes", "kind": "lightgbm", "predict": "difference", "fixed": trees}] if changes else []),
        {"name": "ridge", "kind": "linear", "fixed": {"alpha": 10.0}},
    ]
    # Where none is much better their errors differ, and the mean of all is better than each.
    return [*learners, {"name": "blend", "kind": "blend", "of": [each["name"] for each in learners]}]


def gates() -> list[dict[str, Any]]:
    """Return the conditions on which a model may be registered."""
    return [
        {"rule": "beats_baselines", "metric": "rmse"},
        {"rule": "not_worse_than_registered", "metric": "rmse"},
        {"rule": "coverage", "within": 0.05, "bands": False},
    ]


def _season(data: Mapping[str, Any], step: timedelta) -> timedelta:
    """Return the period after which a series of this step is taken to repeat."""
    cycles = cycles_of(open_weekdays(data["time"]))
    return next((cycle for cycle in cycles if not cycle % step and cycle >= 2 * step), 4 * step)


def _sections(data: Mapping[str, Any], step: timedelta) -> dict[str, Any]:
    test = 14 * _DAY if step < _HOUR else 60 * _DAY if step < _DAY else 365 * _DAY if step == _DAY else 1095 * _DAY
    return {
        "features": {"items": _features(data, step)},
        "split": {"test": f"last {test // _DAY}d", "train": "expanding"},
        "training": {},
        "evaluation": {},
        "gates": gates(),
        "governance": {},
    }


def _features(data: Mapping[str, Any], step: timedelta) -> list[dict[str, Any]]:
    targets = [item for item in _items(data.get("targets")) if isinstance(item, dict)]
    columns = data["columns"] if isinstance(data["columns"], dict) else {}
    kinds = {name: str(column.get("type")) for name, column in columns.items() if isinstance(column, dict)}
    taken = {str(data["time"].get("column")), str(data.get("entity"))}
    period = _season(data, step)
    all_cycles = cycles_of(open_weekdays(data["time"]))
    # The course of a year takes a longer table than a file without features promises.
    cycles = [cycle for cycle in all_cycles[:-1] if cycle >= period and not cycle % step]
    result: list[dict[str, Any]] = []
    for target in {str(item.get("column")): item for item in targets}.values():
        column = str(target.get("column"))
        horizon = _length(target.get("horizon")) or step
        others = {name: kind for name, kind in kinds.items() if name != column}
        # The first target brings the calendar and the other columns, a second one its own past.
        for item in features(step, horizon, column, others, cycles, yearly=False, taken=taken):
            if not result or item.get("columns") == [column] or not _shares(item, result):
                result.append(item)
    return result


def _shares(item: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> bool:
    return any(item["kind"] == other["kind"] for other in items)


def _evaluation(data: Mapping[str, Any], step: timedelta) -> dict[str, Any]:
    block = _DAY if step < _HOUR else 7 * _DAY if step <= _DAY else 12 * step
    return {"season": to_duration(_season(data, step)), "bands": {"edges": []}, "block": to_duration(block)}


def _target(item: Any, step: timedelta) -> Any:
    if not isinstance(item, dict):
        return item
    horizon = item.get("horizon", to_duration(step))
    return {"name": f"{item.get('column')}_{horizon}", **item, "horizon": horizon}


def _source(item: Any, time: Mapping[str, Any]) -> Any:
    if not isinstance(item, dict):
        return item
    item = {"title": str(item.get("name")), "licence": UNSTATED, **item}
    read = item.get("read", {})
    if isinstance(read, dict):
        item["read"] = {"time": {"column": time.get("column", "timestamp")}, **read}
    return item


def _open(item: Any) -> Any:
    if isinstance(item, dict) and isinstance(item.get("read"), dict):
        return {**item, "read": {"others": "drop", **item["read"]}}
    return item


def _described(name: Any, column: Any) -> Any:
    return {"description": str(name), **column} if isinstance(column, dict) else column


def _columns(data: Mapping[str, Any]) -> list[str]:
    names = [item.get("column") for item in _items(data.get("targets")) if isinstance(item, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _spans(kind: str, group: str, column: str, spans: Mapping[str, list[timedelta]]) -> dict[str, Any]:
    durations = {field: [to_duration(span) for span in sorted(set(values))] for field, values in spans.items()}
    return {"kind": kind, "group": group, "columns": [column], **durations}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _length(value: Any) -> timedelta | None:
    try:
        return to_timedelta(value) or None
    except (TypeError, ValueError):
        return None
