"""From the declarations of a use case to the features, one by one."""

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from almanac.core.errors import FeatureError
from almanac.features.nodes import (
    SECOND,
    Apply,
    Change,
    Clock,
    Combine,
    Component,
    Decay,
    Grid,
    Indicator,
    Node,
    Phase,
    Pick,
    Season,
    Since,
    Window,
)
from almanac.usecase import features_section as declared
from almanac.usecase.types import steps, to_microseconds


def expand(items: list[declared.Feature], grid: Grid) -> list[Node]:
    """Return the features of all declarations, in order.

    Raises:
        FeatureError: a duration off the grid, a name given twice, or a reference to an unknown feature.
    """
    nodes: list[Node] = []
    places: dict[str, int] = {}
    for index, item in enumerate(items):
        place = f"features.items.{index}"
        try:
            found = list(_EXPAND[item.kind](item, grid, places))
        except (ValueError, KeyError) as error:
            raise FeatureError(f"{place} ({item.kind}): {error.args[0]}") from error
        for node in found:
            if node.name in places:
                raise FeatureError(f"{place} ({item.kind}): the feature {node.name} is declared twice")
            places[node.name] = len(nodes)
            nodes.append(node)
    return nodes


def _picks(item: Any, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for column in item.columns:
        yield Pick(column, item.group, column, 0)


def _lags(kind: type[Pick], stem: str, item: Any, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for column in item.columns:
        for lag in item.lags:
            yield kind(f"{column}_{stem}_{lag}", item.group, column, steps(lag, grid.frequency))


def _rolling(item: declared.Rolling, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for column in item.columns:
        for window in item.windows:
            length = _positive(window, grid)
            for statistic in item.statistics:
                least = {"std": 2, "slope": 2, "count": 0}.get(statistic, 1)
                need = 0 if statistic == "count" else max(least, math.ceil(item.min_share * length))
                yield Window(f"{column}_{statistic}_{window}", item.group, column, length, statistic, need)


def _ewm(item: declared.Ewm, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for column in item.columns:
        for half_life in item.half_lives:
            length = _positive(half_life, grid)
            yield Decay(f"{column}_ewm_{half_life}", item.group, column, length, 8 * length)


def _seasonal(item: declared.Seasonal, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    period, ahead = _positive(item.period, grid), steps(item.ahead, grid.frequency)
    first = max(1, -(-(ahead + grid.cutoff) // period))
    for column in item.columns:
        for count in item.counts:
            lags = tuple(k * period - ahead - grid.cutoff for k in range(first, first + count))
            for statistic in item.statistics:
                name = f"{column}_season_{statistic}_{item.period}_{count}"
                yield Season(name, item.group, column, lags, statistic)


def _calendar(item: declared.Calendar, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for field in item.fields:
        yield Clock(field, item.group, field, to_microseconds(item.ahead) // SECOND)


def _cyclic(item: declared.Cyclic, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    ahead = to_microseconds(item.ahead) // SECOND
    for period in item.periods:
        for harmonic in range(1, item.harmonics + 1):
            for function in ("sin", "cos"):
                name = f"{period}_{function}_{harmonic}"
                yield Phase(name, item.group, period, harmonic, function == "cos", ahead)


def _categorical(item: declared.Categorical, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    for column in item.columns:
        table = _table(column, grid)
        if item.encoding == "code":
            yield Pick(column, item.group, column, 0)
            continue
        for code, value in enumerate(table):
            slug = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") or str(code)
            yield Indicator(f"{column}_is_{slug}", item.group, column, code)


def _vector(item: declared.Vector, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    table = _table(item.direction, grid)
    if unknown := sorted(set(table) - item.degrees.keys()):
        raise ValueError(f"degrees has no angle for {', '.join(unknown)}; null stands for no direction")
    for suffix, function in (("east", math.sin), ("north", math.cos)):
        angles = [item.degrees[value] for value in table]
        factors = tuple(0.0 if angle is None else function(math.radians(angle)) for angle in angles)
        yield Component(f"{item.name}_{suffix}", item.group, item.direction, item.magnitude, factors)


def _elapsed(item: declared.Elapsed, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    yield Since(item.name, item.group, item.column, item.above, _positive(item.limit, grid))


def _interaction(item: declared.Interaction, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    left, right = _place(item.left, places), _place(item.right, places)
    yield Combine(item.name, item.group, item.operation, left, right)


def _transform(item: declared.Transform, grid: Grid, places: dict[str, int]) -> Iterator[Node]:
    yield Apply(item.name, item.group, item.function, _place(item.feature, places))


def _positive(duration: str, grid: Grid) -> int:
    if (count := steps(duration, grid.frequency)) < 1:
        raise ValueError(f"{duration} must be at least one step of {grid.frequency}")
    return count


def _table(column: str, grid: Grid) -> list[str]:
    if column not in grid.categories:
        raise ValueError(f"{column} is not a category column; known: {', '.join(grid.categories) or 'none'}")
    return grid.categories[column]


def _place(name: str, places: dict[str, int]) -> int:
    if name not in places:
        raise ValueError(f"no feature named {name} is declared before")
    return places[name]


_EXPAND: dict[str, Callable[[Any, Grid, dict[str, int]], Iterator[Node]]] = {
    "value": _picks,
    "lag": partial(_lags, Pick, "lag"),
    "difference": partial(_lags, Change, "diff"),
    "rolling": _rolling,
    "ewm": _ewm,
    "seasonal": _seasonal,
    "calendar": _calendar,
    "cyclic": _cyclic,
    "categorical": _categorical,
    "vector": _vector,
    "elapsed": _elapsed,
    "interaction": _interaction,
    "transform": _transform,
}
