"""The batch engine: the features of every row of a table.

Polars reads, checks and encodes the table and holds the result; windows are computed over blocks of rows that stay in
the processor's cache, two blocks at a time. A missing feature is NaN; the result has no nulls.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.common.errors import FeatureError
from components.preprocessing import clock, formulas
from components.preprocessing import plan as p
from components.preprocessing.spec import FeatureSpec
from components.preprocessing.table import Series, check_columns, numbers, series
from components.preprocessing.windows import Arena, Trailing, impute

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BLOCK = 4096

#: Parts of the calendar that repeat, and after which period.
_CLOCK_PERIODS = {"hour": "day", "weekday": "week", "weekend": "week"}


def compute(spec: FeatureSpec, table: pl.DataFrame, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Return entity (where there is one), time and the features of every row, Float64, NaN where missing.

    Args:
        spec: the specification.
        table: raw columns, sorted by entity and time, on the specification's grid; missing times count as missing
            values.
        names: the features wanted, all when absent.

    Raises:
        FeatureError: a missing column, an unknown name, or rows out of order; the message names it.
    """
    wanted = _wanted(spec, names)
    needed = _closure(spec.nodes, wanted)
    read = {column for k in needed for column in spec.nodes[k].inputs}
    columns = [name for name in spec.columns if name in read]
    check_columns(spec, table, columns)
    out = np.empty((len(needed), table.height))
    job = _Job(spec, needed, {name: numbers(spec, table, name) for name in columns}, out)
    job.run(list(series(spec, table)))
    keys = table.select([*([spec.entity] if spec.entity else []), pl.col(spec.time).cast(pl.Datetime("us"))])
    row = {k: place for place, k in enumerate(needed)}
    return keys.hstack(_frame([spec.names[k] for k in wanted], [out[row[k]] for k in wanted]))


def _wanted(spec: FeatureSpec, names: Sequence[str] | None) -> list[int]:
    places = {name: k for k, name in enumerate(spec.names)}
    if unknown := [name for name in names or [] if name not in places]:
        raise FeatureError(f"no feature named {unknown[0]}; known: {', '.join(places)}")
    return [places[name] for name in (spec.names if names is None else names)]


def _closure(nodes: list[p.Node], wanted: list[int]) -> list[int]:
    """Return the wanted features and those that they are made from, in order."""
    needed = set(wanted)
    for k in sorted(range(len(nodes)), reverse=True):
        node = nodes[k]
        if k in needed and isinstance(node, p.Combine):
            needed |= {node.left, node.right}
        if k in needed and isinstance(node, p.Apply):
            needed.add(node.of)
    return sorted(needed)


def _frame(names: list[str], values: list[Array]) -> pl.DataFrame:
    """Return arrays as columns without a copy."""
    arrays = [pa.Array.from_buffers(pa.float64(), len(one), [None, pa.py_buffer(one)]) for one in values]
    frame = pl.from_arrow(pa.table(arrays, names=names), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame


@dataclass(frozen=True)
class _Block:
    """Rows `start` to `stop` of an entity's grid, and where their features go."""

    columns: dict[str, Array]
    start: int
    stop: int
    origin: int
    out: Array


class _Job:
    """One computation: `out[i]` is the feature `needed[i]` of every row."""

    def __init__(self, spec: FeatureSpec, needed: list[int], columns: dict[str, Array], out: Array) -> None:
        self.spec = spec
        self.nodes = [spec.nodes[k] for k in needed]
        self.row = {k: place for place, k in enumerate(needed)}
        self.columns = columns
        self.out = out
        self.reach = spec.reach
        self._arenas = threading.local()

    def run(self, entities: list[Series]) -> None:
        """Compute all blocks of all entities."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for entity in entities:
                grid = {name: self._padded(name, entity) for name in self.columns}
                whole = entity.places is None
                out = self.out[:, entity.start : entity.stop] if whole else np.empty((len(self.nodes), entity.length))
                blocks = [
                    _Block(grid, a, min(a + BLOCK, entity.length), entity.origin, out)
                    for a in range(0, entity.length, BLOCK)
                ]
                list(pool.map(self._block, blocks))
                if not whole:
                    self.out[:, entity.start : entity.stop] = out[:, entity.places]

    def _padded(self, name: str, entity: Series) -> Array:
        """Return a column of an entity on its grid, after as many missing rows as features look back on."""
        before = self.reach - 1 + self.spec.cutoff_steps
        result = np.full(before + entity.length, np.nan)
        values = self.columns[name][entity.start : entity.stop]
        if entity.places is None:
            result[before:] = values
        else:
            result[before + entity.places] = values
        if name in self.spec.imputed:
            impute(result, self.spec.limit_steps)
        return result

    def _arena(self) -> Arena:
        arena: Arena | None = getattr(self._arenas, "arena", None)
        if arena is None:
            arena = self._arenas.arena = Arena()
        arena.reset()
        return arena

    def _block(self, block: _Block) -> None:
        first, n = self.reach - 1, block.stop - block.start
        arena = self._arena()
        centres = self.spec.centres
        trailing = {
            name: Trailing(values[block.start : block.stop + first], first, centres.get(name, 0.0), arena)
            for name, values in block.columns.items()
        }
        step = self.spec.step
        moments = (block.origin + np.arange(block.start, block.stop) * step) // p.SECOND
        rows = block.out[:, block.start : block.stop]
        maker = _Maker(trailing, moments, rows, self.row, n, step % p.SECOND == 0)
        with np.errstate(all="ignore"):
            for node, out in zip(self.nodes, rows, strict=True):
                maker.make(node, out)


class _Maker:
    """Computes the features of one block, one by one."""

    def __init__(
        self,
        columns: dict[str, Trailing],
        seconds: npt.NDArray[np.int64],
        rows: Array,
        row: dict[int, int],
        n: int,
        whole: bool,
    ) -> None:
        self.columns = columns
        self.seconds = seconds
        self.rows = rows
        self.row = row
        self.n = n
        self.step = int(seconds[1] - seconds[0]) if whole and n > 1 else 1
        self._phases: dict[tuple[str, int, int], tuple[Array, Array]] = {}

    def make(self, node: p.Node, out: Array) -> None:
        """Write a feature's values to `out`, shape (n,)."""
        match node:
            case p.Change():
                column = self.columns[node.column]
                np.subtract(column.at(0), column.at(node.lag), out=out)
            case p.Pick():
                out[:] = self.columns[node.column].at(node.lag)
            case p.Window():
                self._window(node, out)
            case p.Decay():
                self._decay(node, out)
            case p.Season():
                self._season(node, out)
            case p.Clock():
                self._tile(_CLOCK_PERIODS.get(node.field), lambda s: clock.calendar(s + node.ahead, node.field), out)
            case p.Phase():
                self._phase(node, out)
            case p.Indicator() | p.Component():
                self._category(node, out)
            case p.Since():
                self._since(node, out)
            case p.Combine():
                left, right = self.rows[self.row[node.left]], self.rows[self.row[node.right]]
                formulas.combine(node.operation, left, right, out)
            case p.Apply():
                formulas.apply(node.function, self.rows[self.row[node.of]], out)

    def _window(self, node: p.Window, out: Array) -> None:
        column, length = self.columns[node.column], node.length
        count = column.count(length)
        match node.statistic:
            case "count":
                out[:] = count
            case "mean":
                formulas.mean(column.total("d", length), count, column.centre, out)
            case "sum":
                np.add(column.total("d", length), count * column.centre, out=out)
            case "std":
                formulas.deviation(column.total("d", length), column.total("d2", length), count, out)
            case "min":
                out[:] = column.extreme("lo", length)
            case "max":
                out[:] = column.extreme("hi", length)
            case "range":
                np.subtract(column.extreme("hi", length), column.extreme("lo", length), out=out)
            case "slope":
                age, square = column.ages(length)
                formulas.slope(column.total("d", length), column.moment(length), count, age, square, out)
        if node.need > (1 if column.complete else 0):
            np.copyto(out, np.nan, where=count < node.need)

    def _decay(self, node: p.Decay, out: Array) -> None:
        column = self.columns[node.column]
        total = column.decayed("d", node.half_life, node.length)
        formulas.mean(total, column.decayed("p", node.half_life, node.length), column.centre, out)

    def _season(self, node: p.Season, out: Array) -> None:
        column = self.columns[node.column]
        values = [column.at(lag) for lag in node.lags]
        if node.statistic in ("min", "max"):
            out[:] = values[0]
            join = np.fmin if node.statistic == "min" else np.fmax
            for value in values[1:]:
                join(out, value, out=out)
            return
        count, total, squares = np.zeros(self.n), np.zeros(self.n), np.zeros(self.n)
        for value in values:
            present = value == value
            deviation = np.where(present, value - column.centre, 0.0)
            count += present
            total += deviation
            squares += deviation * deviation
        if node.statistic == "mean":
            formulas.mean(total, count, column.centre, out)
        else:
            formulas.deviation(total, squares, count, out)
            np.copyto(out, np.nan, where=count < 2)

    def _phase(self, node: p.Phase, out: Array) -> None:
        key = node.period, node.harmonic, node.ahead
        if key not in self._phases:
            seconds = self.seconds[: self._cycle(node.period)] + node.ahead
            self._phases[key] = clock.phase(seconds, node.period, node.harmonic)
        _repeat(self._phases[key][node.cosine], out)

    def _cycle(self, period: str | None) -> int:
        """Return after how many rows a period repeats, all rows where it does not repeat on the grid."""
        if period is None or clock.PERIODS[period] % self.step:
            return self.n
        return min(self.n, clock.PERIODS[period] // self.step)

    def _tile(self, period: str | None, make: Callable[[Integers], Array], out: Array) -> None:
        _repeat(make(self.seconds[: self._cycle(period)]), out)

    def _category(self, node: p.Indicator | p.Component, out: Array) -> None:
        codes = self.columns[node.column].at(0)
        known = codes == codes
        if isinstance(node, p.Indicator):
            np.copyto(out, codes == node.code)
        else:
            factors = np.array(node.factors)[np.where(known, codes, 0.0).astype(np.intp)]
            # Adding 0 turns the -0 of a calm from one side into 0.
            np.add(self.columns[node.magnitude].at(0) * factors, 0.0, out=out)
        np.copyto(out, np.nan, where=~known)

    def _since(self, node: p.Since, out: Array) -> None:
        column = self.columns[node.column]
        place = np.arange(len(column.x))
        last = np.maximum.accumulate(np.where(column.x > node.above, place, -node.limit))
        np.minimum((place - last)[column.first :], node.limit, out=out, casting="unsafe")


def _repeat(pattern: Array, out: Array) -> None:
    """Fill `out` with the pattern, over and over."""
    size = len(pattern)
    whole = len(out) // size * size
    out[:whole].reshape(-1, size)[:] = pattern
    out[whole:] = pattern[: len(out) - whole]
