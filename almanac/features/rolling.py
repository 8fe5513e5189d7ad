"""Rolling and exponentially weighted statistics of the online engine."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from almanac.features import formulas
from almanac.features import nodes as p
from almanac.features.pyramid import Pyramid, Request, Tree
from almanac.features.spec import FeatureSpec

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


class Rolling:
    """Computes all windows of one prediction time together.

    Args:
        spec: the specification.
        places: place of each column in the block.
    """

    _ORDER: ClassVar = ("mean", "sum", "std", "slope", "max", "min", "range", "count")

    def __init__(self, spec: FeatureSpec, places: dict[str, int]) -> None:
        nodes = list(enumerate(spec.nodes))
        by: dict[str, list[tuple[int, p.Window]]] = {
            name: [(k, n) for k, n in nodes if isinstance(n, p.Window) and n.statistic == name] for name in self._ORDER
        }
        windows = [pair for name in self._ORDER for pair in by[name]]
        decays = [(k, n) for k, n in nodes if isinstance(n, p.Decay)]
        self.features = [k for k, _ in windows] + [k for k, _ in decays]
        self._at = {}
        start = 0
        for name in self._ORDER:
            self._at[name] = slice(start, start + len(by[name]))
            start += len(by[name])
        self._windows = start
        self._whole = np.array([n.length for _, n in windows], dtype=np.float64)
        self._need = np.array([n.need for _, n in windows], dtype=np.float64)
        columns_read = [n.column for _, n in windows] + [n.column for _, n in decays]
        self._centre = np.array([spec.centres.get(name, 0.0) for name in columns_read])
        rows, columns = spec.reach, len(spec.columns)
        self._sums = Pyramid(self._sum_request(by, decays, places), rows, columns)
        self._extremes = [
            _Extremes(np.fmax, [(places[n.column], n.length) for name in ("max", "range") for _, n in by[name]], rows),
            _Extremes(np.fmin, [(places[n.column], n.length) for name in ("min", "range") for _, n in by[name]], rows),
        ]
        self._counts = _Counts([(places[n.column], n.length) for _, n in windows], rows)
        self._ages = _Ages([(places[n.column], n.length) for _, n in by["slope"]], rows, columns)
        self._shape = (columns, rows)

    def _sum_request(
        self, by: dict[str, list[tuple[int, p.Window]]], decays: list[tuple[int, p.Decay]], places: dict[str, int]
    ) -> Request:
        request, self._part = Request(), {}
        wanted = (("mean", "d"), ("sum", "d"), ("std", "d"), ("std", "d2"), ("slope", "d"), ("slope", "m"))
        for name, kind in wanted:
            start = len(request.windows)
            for _, node in by[name]:
                request.add(Tree(kind, places[node.column]), node.length)
            self._part[name, kind] = slice(start, len(request.windows))
        for kind in ("d", "p"):
            start = len(request.windows)
            for _, decay in decays:
                request.add(Tree(kind, places[decay.column], decay.half_life), decay.length)
            self._part["decay", kind] = slice(start, len(request.windows))
        return request

    def write(self, x: Array, source: Array, complete: bool, out: Array) -> None:
        """Write the statistics to `out`."""
        if not self.features:
            return
        size = x.size
        presence = source[size : 2 * size].reshape(self._shape)
        counts = self._whole if complete else self._counts.run(presence)
        sums, part, at = self._sums.run(source[: 2 * size + 1]), self._part, self._at
        centre, here = self._centre, at["mean"]
        out[here] = formulas.mean(sums[part["mean", "d"]], counts[here], centre[here])
        if (here := at["sum"]).stop > here.start:
            out[here] = formulas.total(sums[part["sum", "d"]], counts[here], centre[here])
        if (here := at["std"]).stop > here.start:
            out[here] = formulas.deviation(sums[part["std", "d"]], sums[part["std", "d2"]], counts[here])
        if (here := at["slope"]).stop > here.start:
            age, square = self._ages.whole if complete else self._ages.run(presence)
            out[here] = formulas.slope(sums[part["slope", "d"]], sums[part["slope", "m"]], counts[here], age, square)
        self._write_extremes(x, out)
        out[at["count"]] = counts[at["count"]]
        if not complete:
            np.copyto(out[: self._windows], np.nan, where=counts < self._need)
        if len(out) > self._windows:
            here = slice(self._windows, len(out))
            out[here] = formulas.mean(sums[part["decay", "d"]], sums[part["decay", "p"]], centre[here])

    def _write_extremes(self, x: Array, out: Array) -> None:
        greatest, smallest, spread = self._at["max"], self._at["min"], self._at["range"]
        if spread.stop == greatest.start:
            return
        high, low = self._extremes[0].run(x), self._extremes[1].run(x)
        a, b = greatest.stop - greatest.start, smallest.stop - smallest.start
        out[greatest] = high[:a]
        out[smallest] = low[:b]
        np.subtract(high[a:], low[b:], out=out[spread])


def _newest_first(windows: list[tuple[int, int]], rows: int) -> tuple[Places, Places]:
    """Return where the newest values of the windows' columns lie, newest first, and of each window its last one."""
    longest = max((length for _, length in windows), default=0)
    columns = sorted({column for column, _ in windows})
    gather = np.array([[(c + 1) * rows - 1 - age for age in range(longest)] for c in columns], dtype=np.intp)
    ends = [columns.index(column) * longest + length - 1 for column, length in windows]
    return gather, np.array(ends, dtype=np.intp)


class _Extremes:
    """Running extremes from the newest value back; NaN only where no value is there."""

    def __init__(self, function: np.ufunc, windows: list[tuple[int, int]], rows: int) -> None:
        self._function = function
        self._gather, self._ends = _newest_first(windows, rows)

    def run(self, x: Array) -> Array:
        if not self._ends.size:
            return np.empty(0)
        return np.asarray(self._function.accumulate(x.take(self._gather), axis=1).take(self._ends))


class _Counts:
    """How many values are there, of each window; whole numbers, so exact in any order."""

    def __init__(self, windows: list[tuple[int, int]], rows: int) -> None:
        self._gather, self._ends = _newest_first(windows, rows)

    def run(self, presence: Array) -> Array:
        if not self._ends.size:
            return np.empty(0)
        return np.asarray(np.add.accumulate(presence.take(self._gather), axis=1).take(self._ends))


class _Ages:
    """Sums of age and of its square over the values there; whole numbers, so exact in any order.

    Attributes:
        whole: those of windows that miss no value.
    """

    def __init__(self, windows: list[tuple[int, int]], rows: int, columns: int) -> None:
        longest = max((length for _, length in windows), default=0)
        age = np.arange(longest - 1, -1, -1, dtype=np.float64)
        within = age < np.array([length for _, length in windows]).reshape(-1, 1)
        self._weights = np.concatenate([np.where(within, age, 0.0), np.where(within, age * age, 0.0)]).T.copy()
        self._first = rows - longest
        self._count = len(windows)
        self._picked = np.array(
            [[c * 2 * self._count + k + part * self._count for k, (c, _) in enumerate(windows)] for part in (0, 1)],
            dtype=np.intp,
        )

        self.whole = self.run(np.ones((columns, rows)))

    def run(self, presence: Array) -> Array:
        return np.asarray((presence[:, self._first :] @ self._weights).take(self._picked))
