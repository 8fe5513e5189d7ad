"""Rolling, exponentially weighted and seasonal statistics of the batch engine, of all columns and windows at once."""

from functools import lru_cache
from itertools import chain
from typing import ClassVar

import numpy as np

from components.preprocessing import formulas
from components.preprocessing import plan as p
from components.preprocessing.sheet import Arena, Array, Flags, Sheet, select
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
    """Statistics of sliding windows."""

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
        keys = {name: [(places[n.column], n.length, n.need) for _, n in by[name]] for name in self._ORDER}
        self._keys = list(dict.fromkeys(chain.from_iterable(keys.values())))
        self._columns = {column for column, _, _ in self._keys}
        number = {key: row for row, key in enumerate(self._keys)}
        self._counted = {name: select([number[key] for key in keys[name]]) for name in self._ORDER}
        row = {key: k for k, key in enumerate(sums)}
        self._summed = {
            (name, kind): select([row[(kind, column), length] for column, length, _ in keys[name]])
            for name, kinds in _LEAVES.items()
            for kind in kinds
        }
        ends = np.cumsum([0, *(len(by[name]) for name in self._ORDER)]).tolist()
        self._at = {name: slice(*ends[k : k + 2]) for k, name in enumerate(self._ORDER)}
        self._has = {name: bool(by[name]) for name in self._ORDER}
        self._need = np.array([[need] for _, _, need in self._keys], dtype=np.float64).reshape(-1, 1)
        self._whole = np.array([[length] for _, length, _ in self._keys], dtype=np.float64).reshape(-1, 1)
        self._centre = {
            name: np.array([centres[column] for column, _, _ in keys[name]]).reshape(-1, 1) for name in self._ORDER
        }
        self._slopes = [(column, length) for column, length, _ in keys["slope"]]
        self._tree = tree
        pairs = {name: [(column, length) for column, length, _ in keys[name]] for name in ("max", "min", "range")}
        self._greatest = Extremes(np.fmax, pairs["max"], pairs["range"])
        self._smallest = Extremes(np.fmin, pairs["min"], pairs["range"])

    def write(self, sheet: Sheet, leaves: Array, sums: Array, out: Array) -> None:
        """Write the statistics to `out`, shape (windows, n)."""
        counts, short = self._counts(sheet)
        if self._has["mean"]:
            self._mean(counts, sums, out)
        if self._has["sum"]:
            np.add(sums[self._summed["sum", "d"]], counts[self._counted["sum"]] * self._centre["sum"], out=out[self._at["sum"]])
        if self._has["std"]:
            total, squares = sums[self._summed["std", "d"]], sums[self._summed["std", "d2"]]
            formulas.deviation(total, squares, counts[self._counted["std"]], out[self._at["std"]], sheet.empty)
        if self._has["slope"]:
            self._slope(sheet, leaves, sums, counts, out[self._at["slope"]])
        if self._has["max"] or self._has["min"] or self._has["range"]:
            self._extremes(sheet, short, out)
        if self._has["count"]:
            out[self._at["count"]] = counts[self._counted["count"]]

    def _mean(self, counts: Array, sums: Array, out: Array) -> None:
        here = out[self._at["mean"]]
        formulas.mean(sums[self._summed["mean", "d"]], counts[self._counted["mean"]], self._centre["mean"], here)

    def _counts(self, sheet: Sheet) -> tuple[Array, Flags | None]:
        """Return how many values each window holds, NaN where too few, and where; one number a window if all hold all.

        A statistic of NaN values is NaN, so that only those need a mask that do not divide by the count.
        """
        if all(sheet.complete[column] for column in self._columns):
            return self._whole, None
        counts = sheet.empty(len(self._keys), sheet.n)
        for row, (column, length, _) in zip(counts, self._keys, strict=True):
            if sheet.complete[column]:
                row.fill(length)
            else:
                sheet.within(column, length, 0, row)
        short = counts < self._need
        if not short.any():
            return counts, None
        np.copyto(counts, np.nan, where=short)
        return counts, short

    def _slope(self, sheet: Sheet, leaves: Array, sums: Array, counts: Array, out: Array) -> None:
        moment = sheet.empty(len(self._slopes), sheet.n)
        for column in dict.fromkeys(column for column, _ in self._slopes):
            mine = [k for k, (c, _) in enumerate(self._slopes) if c == column]
            lengths = [self._slopes[k][1] for k in mine]
            moments(sheet, leaves[self._tree.place["d", column]], lengths, moment[mine[0] : mine[-1] + 1])
        age, square = self._ages(sheet)
        count, total = counts[self._counted["slope"]], sums[self._summed["slope", "d"]]
        formulas.slope(total, moment, count, age, square, out)

    def _ages(self, sheet: Sheet) -> tuple[Array, Array]:
        """Return the sums of age and of its square over the values there; whole numbers, so exact in any order."""
        if all(sheet.complete[column] for column, _ in self._slopes):
            ages = [np.arange(length, dtype=np.float64) for _, length in self._slopes]
            return np.array([[age.sum()] for age in ages]), np.array([[(age * age).sum()] for age in ages])
        age, square = sheet.empty(len(self._slopes), sheet.n), sheet.empty(len(self._slopes), sheet.n)
        place = np.arange(sheet.first, sheet.first + sheet.n, dtype=np.float64)
        for k, (column, length) in enumerate(self._slopes):
            count, first, second = (sheet.within(column, length, power, sheet.empty(sheet.n)) for power in range(3))
            np.subtract(place * count, first, out=age[k])
            np.add(place * place * count - 2.0 * place * first, second, out=square[k])
        return age, square

    def _extremes(self, sheet: Sheet, short: Flags | None, out: Array) -> None:
        spread = out[self._at["range"]]
        low = sheet.empty(*spread.shape)
        self._greatest.run(sheet, out[self._at["max"]], spread)
        self._smallest.run(sheet, out[self._at["min"]], low)
        np.subtract(spread, low, out=spread)
        if short is not None:
            for name in ("max", "range", "min"):
                if self._has[name]:
                    np.copyto(out[self._at[name]], np.nan, where=short[self._counted[name]])


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
    return faded(ones, ones.x, half_life, length)[0].copy()
