"""Proposal of a use case for a table: everything that its values tell, written down for a person to look at."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import yaml

from almanac.core.errors import TableError, UseCaseError
from almanac.core.files import sha256_file, write_text
from almanac.usecase import load_text

_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$"
_SLASHED = re.compile(r"^(\d{1,2})[/.](\d{1,2})[/.](\d{4})")
_MISSING = ["", "NA", "NaN", "null"]
#: More values than this make a text column a name or a note rather than a category.
_LEVELS = 30
#: Share of the steps that must be whole multiples of the median step.
_REGULAR = 0.99
_TEST_SHARE = 0.2
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


@dataclass(frozen=True)
class Wishes:
    """What the caller decides; None for what is to be inferred."""

    target: str | None = None
    time: str | None = None
    entity: str | None = None
    horizon: str | None = None


@dataclass(frozen=True)
class _Shape:
    """A table, and the roles of its columns.

    Attributes:
        frame: the table, columns named as a use case names them.
        names: the names in the file, by those of the use case.
        time: time column.
        entity: entity column; None for one series.
        target: column to forecast.
        step: distance of two rows.
    """

    frame: pl.DataFrame
    names: dict[str, str]
    time: str
    entity: str | None
    target: str
    step: timedelta

    @property
    def season(self) -> timedelta:
        """A day, or a week where rows are days."""
        return timedelta(days=7) if self.daily else timedelta(days=1)

    @property
    def daily(self) -> bool:
        """Whether a step is a day or more."""
        return self.step >= timedelta(days=1)


def propose(table: Path, out: Path, wishes: Wishes, force: bool = False) -> dict[str, str]:
    """Write the use case file that a table suggests, and return what was inferred, by topic.

    Args:
        table: CSV, Parquet or JSON lines, one row a time step and entity.
        out: the file to write; the source's path is relative to it.
        wishes: columns and horizon that the caller names.
        force: whether an existing file is replaced.

    Raises:
        TableError: the table cannot be read, has no regular time grid, or has several columns that could be meant.
        UseCaseError: the file exists.
    """
    if out.exists() and not force:
        raise UseCaseError(f"{out}: exists; choose another --out, or replace it with --force")
    shape = _shape(_read(table), wishes)
    document, assumed = _document(shape, table, out, wishes.horizon)
    text = _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    # A proposal that does not load would be found by the next command; it must not be written at all.
    load_text(text, str(out))
    write_text(out, text)
    return assumed


def _shape(frame: pl.DataFrame, wishes: Wishes) -> _Shape:
    names = {_slug(name): name for name in frame.columns}
    frame = frame.rename({name: _slug(name) for name in frame.columns})
    time = _time_column(frame, _named(frame, wishes.time, "--time"))
    frame = frame.with_columns(_as_time(frame[time]))
    entity = _entity_column(frame, time, _named(frame, wishes.entity, "--entity"))
    target = _target(frame, time, entity, _named(frame, wishes.target, "--target"))
    return _Shape(frame, names, time, entity, target, _step(frame, time, entity))


_HEADER = """\
# Proposed from the table's values. Look at every line; units, descriptions, licence, horizon and gates are yours.
# `almanac check` names the statements that governance documents need and that only people can make.
"""


def _read(path: Path) -> pl.DataFrame:
    readers = {
        ".csv": lambda: pl.read_csv(path, infer_schema_length=None, null_values=_MISSING),
        ".parquet": lambda: pl.read_parquet(path),
        ".jsonl": lambda: pl.read_ndjson(path, infer_schema_length=None),
    }
    if path.suffix not in readers:
        raise TableError(f"{path}: expected a file that ends in {', '.join(readers)}")
    try:
        frame = readers[path.suffix]()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if frame.height < 100:
        raise TableError(f"{path}: has {frame.height} rows; a use case needs some hundreds")
    return frame


def _slug(name: str) -> str:
    """Return a column name that a use case may have."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return slug if slug[:1].isalpha() else f"c_{slug}"


def _named(frame: pl.DataFrame, name: str | None, option: str) -> str | None:
    if name is not None and _slug(name) not in frame.columns:
        raise TableError(f"{option} {name}: no such column; there is {', '.join(frame.columns)}")
    return None if name is None else _slug(name)


def _time_column(frame: pl.DataFrame, named: str | None) -> str:
    times = [name for name in ([named] if named else frame.columns) if _holds_times(frame[name])]
    if times:
        # A date beside a time stamp says less than that.
        return max(times, key=lambda name: frame[name].n_unique())
    for name in [named] if named else frame.columns:
        if frame[name].dtype == pl.String and (shown := _SLASHED.match(str(frame[name].drop_nulls().first()))):
            a, b, year = (int(part) for part in shown.groups())
            both = f"{year}-{b:02}-{a:02} or {year}-{a:02}-{b:02}"
            raise TableError(f"column {name}: {shown[0]} may be {both}; write dates as ISO 8601")
    raise TableError(f"no column holds ISO 8601 times; name it by --time; there is {', '.join(frame.columns)}")


def _holds_times(column: pl.Series) -> bool:
    if column.null_count():
        return False
    return column.dtype.is_temporal() or (column.dtype == pl.String and bool(column.str.contains(_ISO).all()))


def _as_time(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.replace(" ", "T").str.to_datetime(time_unit="us", strict=True)
    return column.cast(pl.Datetime("us"))


def _entity_column(frame: pl.DataFrame, time: str, named: str | None) -> str | None:
    if named:
        return named
    if frame[time].n_unique() == frame.height:
        return None
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and name != time]
    for name in texts:
        if frame.select(name, time).n_unique() == frame.height:
            return name
    raise TableError(f"column {time}: times repeat, and no text column tells the rows apart; name it by --entity")


def _step(frame: pl.DataFrame, time: str, entity: str | None) -> timedelta:
    """Return the distance of two rows.

    Raises:
        TableError: the rows are on no regular grid.
    """
    ordered = frame.sort([*([entity] if entity else []), time])
    steps = ordered[time].diff() if entity is None else ordered.select(pl.col(time).diff().over(entity)).to_series()
    microseconds = steps.dt.total_microseconds().drop_nulls()
    step = int(microseconds.median() or 0) if len(microseconds) else 0  # type: ignore[arg-type]
    share = float(np.mean(microseconds.to_numpy() % step == 0)) if step > 0 else 0.0
    if share < _REGULAR or step % 60_000_000:
        raise TableError(f"column {time}: expected a regular grid of minutes, hours or days; resample the rows first")
    return timedelta(microseconds=step)


def _target(frame: pl.DataFrame, time: str, entity: str | None, named: str | None) -> str:
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in (time, entity)]
    if named is not None:
        if named not in numbers:
            raise TableError(f"--target {named}: holds no numbers; numeric are {', '.join(numbers)}")
        return named
    if len(numbers) != 1:
        raise TableError(
            f"which column is to be forecast? name it by --target: {', '.join(numbers) or 'none is numeric'}"
        )
    return numbers[0]


def _duration(span: timedelta) -> str:
    return next(f"{span // unit}{name}" for name, unit in _UNITS if not span % unit)


def _columns(shape: _Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the declaration of each column that features may use."""
    for name in shape.frame.columns:
        column = shape.frame[name]
        if name in (shape.time, shape.entity):
            continue
        # Room for twice the gaps that are there, so that the next months do not stop at once.
        missing = {"max_missing": round(min(1.0, 0.05 + 2 * column.null_count() / column.len()), 2)}
        if column.dtype.is_numeric():
            yield name, {"type": "float", **missing, "description": name}
        elif column.dtype == pl.String and column.n_unique() <= _LEVELS:
            levels = sorted(str(value) for value in column.drop_nulls().unique())
            yield name, {"type": "category", "categories": levels, **missing, "description": name}


def _features(shape: _Shape, numbers: list[str], categories: list[str]) -> Iterator[dict[str, Any]]:
    season, week = _duration(shape.season), _duration(timedelta(days=7))
    lags = [*(_duration(shape.step * count) for count in (1, 2, 3)), season, week]
    periods = ["week", "year"] if shape.daily else ["day", "week", "year"]
    windows = [season, _duration(4 * shape.season)]
    yield {"kind": "cyclic", "group": "temporal", "periods": periods, "harmonics": 2}
    yield {"kind": "value", "group": "lagged", "columns": numbers}
    yield {"kind": "lag", "group": "lagged", "columns": [shape.target], "lags": list(dict.fromkeys(lags))}
    statistics = ["mean", "std", "min", "max"]
    yield {
        "kind": "rolling",
        "group": "rolling",
        "columns": [shape.target],
        "windows": windows,
        "statistics": statistics,
    }
    if categories:
        yield {"kind": "categorical", "group": "categories", "columns": categories, "encoding": "code"}


def _source(shape: _Shape, table: Path, out: Path, dropped: list[str]) -> dict[str, Any]:
    read: dict[str, Any] = {"format": table.suffix.removeprefix(".")}
    if table.suffix == ".csv":
        read["null_values"] = [value for value in _MISSING if value]
    read["time"] = {"column": shape.names[shape.time]}
    kept = set(shape.names) - {shape.time, *dropped}
    if rename := {old: new for new, old in shape.names.items() if new != old and new in kept}:
        read["rename"] = rename
    if dropped:
        read["drop"] = [shape.names[name] for name in dropped]
    return {
        "name": _slug(table.stem),
        "type": "file",
        "title": table.name,
        "licence": "not stated",
        "path": os.path.relpath(table, out.parent),
        "sha256": sha256_file(table),
        "read": read,
    }


def _document(shape: _Shape, table: Path, out: Path, horizon: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the use case as data, and the assumptions in it."""
    columns = dict(_columns(shape))
    dropped = [name for name in shape.names if name not in (*columns, shape.time, shape.entity)]
    first, last = cast(datetime, shape.frame[shape.time].min()), cast(datetime, shape.frame[shape.time].max())
    test_from = (last - (last - first) * _TEST_SHARE).date()
    ahead = horizon or _duration(shape.step if shape.daily else 6 * shape.step)
    values = shape.frame[shape.target].drop_nulls().cast(pl.Float64)
    numbers = [name for name, declared in columns.items() if declared["type"] == "float"]
    items = list(_features(shape, numbers, [name for name in columns if name not in numbers]))
    assumed = {
        "time": f"{shape.time}, every {_duration(shape.step)}, {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        "entity": shape.entity or "none, one series",
        "target": f"{shape.target}, {ahead} ahead",
        "test": f"from {test_from}, the last {_TEST_SHARE:.0%} of the span",
        "left out": ", ".join(dropped) or "nothing",
    }
    document = {
        "name": _slug(out.stem),
        "title": out.stem,
        "description": f"{shape.target}, forecast {ahead} ahead.",
        "time": {"column": shape.time, "frequency": _duration(shape.step)},
        **({"entity": shape.entity} if shape.entity else {}),
        "sources": [_source(shape, table, out, dropped)],
        "columns": columns,
        "validation": {"gaps": "warning", "unsorted": "sort", "duplicates": "error"},
        "features": {"items": items},
        "targets": [{"name": f"{shape.target}_{ahead}", "column": shape.target, "horizon": ahead}],
        "split": {"test_from": test_from},
        "training": {
            # Half of the first fold's training span is then left, however short the table is.
            "folds": {"count": 2, "length": f"{max(1, int((last - first).days * _TEST_SHARE))}d"},
            "budget": {"trials": 1, "seconds": 120},
            "candidates": [
                {"name": "trees", "kind": "lightgbm", "fixed": {"n_estimators": 300, "learning_rate": 0.05}},
                {"name": "ridge", "kind": "linear", "fixed": {"alpha": 100.0}},
            ],
        },
        "evaluation": {
            "season": _duration(shape.season),
            "bands": {"edges": sorted({float(f"{values.quantile(share):.3g}") for share in (0.5, 0.9)})},
        },
        "gates": [{"rule": "beats_baselines"}],
        "governance": {"owner": "not stated", "contact": "not stated"},
    }
    return document, assumed
