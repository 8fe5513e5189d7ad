"""Groups of rows: bands of the last known value, calendar parts, categories."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array, Mask
from almanac.core.errors import TableError
from almanac.features.columns import numbers
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.evaluation_section import Group

UNKNOWN = "unknown"
_SEASONS = ("winter", "spring", "summer", "autumn")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Slices:
    """A grouping of rows, in which every row has a group.

    Attributes:
        names: the names of the groups, in order; that of the unknown is the last.
        code: position of each row's group in `names`, shape (n,).
    """

    names: list[str]
    code: npt.NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str], code: npt.NDArray[np.int64]) -> "Slices":
        """Return the grouping by these codes; negative ones, of rows in no named group, become that of the unknown."""
        known = [name for name in names if name != UNKNOWN]
        # A category that is itself called unknown is the same group to a reader, and becomes it.
        places = np.array([known.index(name) if name != UNKNOWN else len(known) for name in names] + [len(known)])
        return cls([*known, UNKNOWN], np.asarray(places[np.where(code < 0, len(names), code)], dtype=np.int64))

    def items(self) -> list[tuple[str, Mask]]:
        """Return each group that has rows, with a mask of them."""
        return [(name, self.code == code) for code, name in enumerate(self.names) if (self.code == code).any()]

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The group of each row by name, shape (n,)."""
        return np.asarray(self.names)[self.code]


def largest(groups: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the entries of the groups with most rows, at most so many of them, in their order."""
    kept = set(sorted(groups, key=lambda name: -groups[name]["n"])[:most])
    return {name: entry for name, entry in groups.items() if name in kept}


def band_names(usecase: UseCase) -> list[str]:
    """Return the names of the bands, by default their ranges."""
    bands = usecase.evaluation.bands
    if bands.names is not None:
        return list(bands.names)
    edges = [f"{edge:g}" for edge in bands.edges]
    if not edges:
        return ["all"]
    first = f"0-{edges[0]}" if bands.edges[0] > 0 else f"under {edges[0]}"
    return [first, *(f"{low}-{high}" for low, high in pairwise(edges)), f"over {edges[-1]}"]


def bands_of(usecase: UseCase, last: Array) -> Slices:
    """Return the band of each row's last known value; an edge belongs to the band below."""
    code = np.searchsorted(usecase.evaluation.bands.edges, last, side="left").astype(np.int64)
    return Slices.of(band_names(usecase), np.where(np.isfinite(last), code, -1))


def group_of(usecase: UseCase, table: pl.DataFrame, group: Group, model: Model) -> Slices:
    """Return a declared group of each row, as known at the prediction time.

    Raises:
        TableError: the group's column is no feature.
    """
    if group.calendar is not None:
        return _calendar(_local(table[usecase.time.column], usecase.time.zone), group.calendar)
    name = str(group.column)
    # The entity is a key of the feature table and no feature, so that it still has its texts.
    if name in table.columns and not table.schema[name].is_numeric():
        return _labels(table[name].cast(pl.String))
    categories = categories_of(model).get(name) or usecase.columns[name].categories or []
    if name in table.columns:
        code = np.nan_to_num(numbers(table, name), nan=-1.0).astype(np.int64)
        return Slices.of(categories, np.where((code >= 0) & (code < len(categories)), code, -1))
    indicator = {value: f"{name}_is_{_slug(value, code)}" for code, value in enumerate(categories)}
    if missing := [each for each in indicator.values() if each not in table.columns]:
        raise TableError(f"evaluation.groups.{group.name}: neither {name} nor {missing[0]} is a feature; declare one")
    # The category itself is no feature, but its indicators together say the same.
    indicators = np.column_stack([numbers(table, each) for each in indicator.values()])
    return Slices.of(categories, np.where((indicators == 1).any(axis=1), (indicators == 1).argmax(axis=1), -1))


def _slug(value: str, code: int) -> str:
    """Return a category as the name of its indicator feature spells it."""
    return re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") or str(code)


def categories_of(model: Model) -> dict[str, list[str]]:
    """Return the values of each fitted category in the order of their codes."""
    tables = model.spec.get("categories") or model.features.get("fitted", {}).get("categories") or {}
    return {str(name): [str(value) for value in values] for name, values in tables.items()}


def _labels(values: pl.Series) -> Slices:
    names = sorted(values.drop_nulls().unique().to_list())
    codes = {name: code for code, name in enumerate(names)}
    return Slices.of(names, np.asarray([codes.get(value, -1) for value in values], dtype=np.int64))


def _local(time: pl.Series, zone: str | None) -> pl.Series:
    """Return times in UTC as those of the clocks of a zone."""
    return time if zone is None else time.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)


def _calendar(time: pl.Series, part: str) -> Slices:
    month, weekday = time.dt.month() - 1, time.dt.weekday() - 1
    parts: dict[str, tuple[Sequence[str], pl.Series]] = {
        "hour": ([f"{hour:02d}" for hour in range(24)], time.dt.hour()),
        "weekday": (_DAYS, weekday),
        "weekend": (("weekday", "weekend"), weekday >= 5),
        "month": (_MONTHS, month),
        "quarter": (("Q1", "Q2", "Q3", "Q4"), month // 3),
        # December opens the winter.
        "season": (_SEASONS, (month + 1) % 12 // 3),
    }
    names, code = parts[part]
    return Slices.of(names, code.to_numpy().astype(np.int64))
