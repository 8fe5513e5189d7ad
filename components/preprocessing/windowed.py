"""Rolling, exponentially weighted and seasonal statistics of the batch engine, of all columns and windows at once."""

from functools import lru_cache
from typing import ClassVar

import numpy as np

from components.preprocessing import formulas
from components.preprocessing import nodes as p
from components.preprocessing.sheet import Arena, Array, Sheet, select
from components.preprocessing.trees import Extremes, Leaf, Sums, faded, moments

Numbered = list[tuple[int, p.Node]]

_LEAVES: dict[str, tuple[str, ...]] = {"mean": ("d",), "sum": ("d",), "slope": ("d",), "std": ("d", "d2")}


class Statistics:
    """Computes all statistics of a block.

    Args:
        nodes: the features wanted, with their positions.
        places: place of each column in a sheet.
        centres: what deviations are summed around, of each column.

    Attributes:
        features: positions of the features, in the order of the rows that are written.
    """

    def __init__(self, nodes: Numbered, places: dict[str, int], centres: Array) -> None:
        windows = [(k, n) for k, n in nodes if isinstance(n, p.Window)]
        decays = [(k, n) for k, n in nodes if isinstance(n, p.Decay)]
        seasons = [(k, n) for k, n in nodes if isinstance(n, p.Season)]
        sums = sorted(
            {((kind, places[n.column]), n.length) for _, n in windows for kind in _LEAVES.get(n.statistic, ())}
        )
        leaves: list[Leaf] = [("d", places[n.column]) for _, n in decays]
        leaves += [(kind, places[n.column]) for _, n in seasons for kind in _LEAVES.get(n.statistic, ())]
        self._sums = Sums(leaves, sums, centres)
        self._windows = _Windows(windows, places, centres, sums, self._sums)
        self._decays = [(n, places[n.column]) for _, n in decays]
        self._seasons = [(n, places[n.column]) for _, n in seasons]
        self._centres: list[float] = centres.tolist()
        self.features = self._windows.features + [k for k, _ in decays] + [k for k, _ in seasons]

    def write(self, sheet: Sheet, out: Array) -> None:
        """Write the features to `out`, shape (features, n)."""
        if not self.features:
            return
        leaves, sums = self._sums.run(sheet)
        place = len(self._windows.features)
        self._windows.write(sheet, leaves, sums, out[:place])
        for decay, column in self._decays:
            deviations = leaves[self._sums.place["d", column]]
            self._decay(sheet, decay, column, deviations, out[place])
            place += 1
        for season, column in self._seasons:
            self._season(sheet, season, column, leaves, out[place])
            place += 1

    def _decay(self, sheet: Sheet, node: p.Decay, column: int, deviations: Array, out: Array) -> None:
        if sheet.complete[column]:
            total = faded(sheet, deviations[np.newaxis], node.half_life, node.length)[0]
            weight = _whole_weight(node.half_life, node.length)
        else:
            both = sheet.empty(2, len(deviations))
            both[0], both[1] = deviations, sheet.presence(column)
            total, weight = faded(sheet, both, node.half_life, node.length)
        formulas.mean(total, weight, self._centres[column], out)

    def _season(self, sheet: Sheet, node: p.Season, column: int, leaves: Array, out: Array) -> None:
        if node.statistic in ("min", "max"):
            join = np.fmin if node.statistic == "min" else np.fmax
            _chain(join, [sheet.at(column, lag) for lag in node.lags], out)
            return
        total = _chain(np.add, self._lagged(sheet, leaves[self._sums.place["d", column]], node), sheet.empty(sheet.n))
        count = np.array([float(len(node.lags))])
        if not sheet.complete[column]:
            count = _chain(np.add, self._lagged(sheet, sheet.presence(column), node), sheet.empty(sheet.n))
        if node.statistic == "mean":
            formulas.mean(total, count, self._centres[column], out)
            return
        squares = leaves[self._sums.place["d2", column]]
        formulas.deviation(total, _chain(np.add, self._lagged(sheet, squares, node), sheet.empty(sheet.n)), count, out)
        if len(node.lags) < 2 or not sheet.complete[column]:
            np.copyto(out, np.nan, where=count < 2)

    @staticmethod
    def _lagged(sheet: Sheet, values: Array, node: p.Season) -> list[Array]:
        return [values[sheet.first - lag : sheet.first - lag + sheet.n] for lag in node.lags]


class _Windows:
    """Statistics of sliding windows: all as if no value were missing, then again the rows where one is."""

    _ORDER: ClassVar = ("mean", "sum", "std", "slope", "max", "range", "min", "count")

    def __init__(
        self,
        nodes: list[tuple[int, p.Window]],
        places: dict[str, int],
        centres: Array,
        sums: list[tuple[Leaf, int]],
        tree: Sums,
    ) -> None:
        by = {
            name: sorted(
                ((k, n) for k, n in nodes if n.statistic == name),
                key=lambda pair: (places[pair[1].column], pair[1].length),
            )
            for name in self._ORDER
        }
        self.features = [k for name in self._ORDER for k, _ in by[name]]
        ends = np.cumsum([0, *(len(by[name]) for name in self._ORDER)]).tolist()
        self._at = {name: slice(*ends[k : k + 2]) for k, name in enumerate(self._ORDER)}
        windows = {name: [(places[n.column], n.length) for _, n in by[name]] for name in self._ORDER}
        self._windows = windows
        row = {key: k for k, key in enumerate(sums)}
        rows = {
            (name, kind): [row[(kind, column), length] for column, length in windows[name]]
            for name, kinds in _LEAVES.items()
            for kind in kinds
        }
        self._summed = {key: select(places) for key, places in rows.items()}
        self._whole = {name: _column([length for _, length in windows[name]]) for name in self._ORDER}
        self._centre = {name: _column([centres[column] for column, _ in windows[name]]) for name in self._ORDER}
        ages = [np.arange(length, dtype=np.float64) for _, length in windows["slope"]]
        self._ages = _column([age.sum() for age in ages]), _column([(age * age).sum() for age in ages])
        self._tree = tree
        self._greatest = Extremes(np.fmax, windows["max"], windows["range"])
        self._smallest = Extremes(np.fmin, windows["min"], windows["range"])
        self._uses: dict[tuple[int, int, int], list[tuple[str, int, list[int]]]] = {}
        for name in self._ORDER:
            for k, (_, node) in enumerate(by[name]):
                use = name, k, [rows[name, kind][k] for kind in _LEAVES.get(name, ())]
                self._uses.setdefault((places[node.column], node.length, node.need), []).append(use)

    def write(self, sheet: Sheet, leaves: Array, sums: Array, out: Array) -> None:
        """Write the statistics to `out`, shape (windows, n)."""
        summed, whole, centre = self._summed, self._whole, self._centre
        parts = {name: out[at] for name, at in self._at.items() if at.stop > at.start}
        moment = self._moments(sheet, leaves)
        if "mean" in parts:
            formulas.mean(sums[summed["mean", "d"]], whole["mean"], centre["mean"], parts["mean"])
        if "sum" in parts:
            np.add(sums[summed["sum", "d"]], whole["sum"] * centre["sum"], out=parts["sum"])
        if "std" in parts:
            total, squares = sums[summed["std", "d"]], sums[summed["std", "d2"]]
            formulas.deviation(total, squares, whole["std"], parts["std"], sheet.empty)
        if "slope" in parts:
            formulas.slope(sums[summed["slope", "d"]], moment, whole["slope"], *self._ages, parts["slope"])
        if parts.keys() & {"max", "min", "range"}:
            self._extremes(sheet, out)
        if "count" in parts:
            parts["count"][:] = whole["count"]
        for (column, length, need), uses in self._uses.items():
            if not sheet.complete[column]:
                self._repair(sheet, column, length, need, uses, sums, moment, parts)

    def _moments(self, sheet: Sheet, leaves: Array) -> Array:
        windows = self._windows["slope"]
        result = sheet.empty(len(windows), sheet.n)
        for column in dict.fromkeys(column for column, _ in windows):
            mine = [k for k, (other, _) in enumerate(windows) if other == column]
            deviations = leaves[self._tree.place["d", column]]
            moments(sheet, deviations, [windows[k][1] for k in mine], result[mine[0] : mine[-1] + 1])
        return result

    def _extremes(self, sheet: Sheet, out: Array) -> None:
        spread = out[self._at["range"]]
        low = sheet.empty(*spread.shape)
        self._greatest.run(sheet, out[self._at["max"]], spread)
        self._smallest.run(sheet, out[self._at["min"]], low)
        np.subtract(spread, low, out=spread)

    def _repair(
        self,
        sheet: Sheet,
        column: int,
        length: int,
        need: int,
        uses: list[tuple[str, int, list[int]]],
        sums: Array,
        moment: Array,
        parts: dict[str, Array],
    ) -> None:
        """Write the rows whose window misses a value. A count too small is NaN, and so is what divides by it."""
        counts = sheet.count(column, length, sheet.empty(sheet.n))
        rows = np.flatnonzero(counts != length)
        if not rows.size:
            return
        count = counts.take(rows)
        few = count < need
        short = rows[few]
        count[few] = np.nan
        for name, k, of in uses:
            out, taken = parts[name][k], [sums[row].take(rows) for row in of]
            match name:
                case "mean":
                    out[rows] = formulas.mean(taken[0], count, self._centre[name][k])
                case "sum":
                    out[rows] = taken[0] + count * self._centre[name][k]
                case "std":
                    out[rows] = formulas.deviation(taken[0], taken[1], count)
                case "slope":
                    age, square = sheet.ages(column, length, rows)
                    out[rows] = formulas.slope(taken[0], moment[k].take(rows), count, age, square)
                case "count":
                    out[rows] = count
                case _:
                    out[short] = np.nan


def _column(values: list[float]) -> Array:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def _chain(join: np.ufunc, values: list[Array], out: Array) -> Array:
    """Join values one by one, in their order."""
    if len(values) == 1:
        out[:] = values[0]
        return out
    join(values[0], values[1], out=out)
    for value in values[2:]:
        join(out, value, out=out)
    return out


@lru_cache
def _whole_weight(half_life: int, length: int) -> Array:
    """Return the sum of the weights of a window without missing values, by the order of operations of any other."""
    ones = Sheet(np.ones((1, length)), length - 1, Arena())
    return np.array(faded(ones, ones.x, half_life, length)[0])
