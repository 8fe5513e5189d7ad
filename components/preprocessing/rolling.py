"""Rolling and exponentially weighted statistics of the online engine."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from components.preprocessing import formulas
from components.preprocessing import plan as p
from components.preprocessing.pyramid import Pyramid, Request, Tree
from components.preprocessing.spec import FeatureSpec

Array = npt.NDArray[np.float64]


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
        self._need = np.array([n.need for _, n in windows], dtype=np.float64)
        columns_read = [n.column for _, n in windows] + [n.column for _, n in decays]
        self._centre = np.array([spec.centres.get(name, 0.0) for name in columns_read])
        rows, columns = spec.reach, len(spec.columns)
        self._sums = Pyramid(self._sum_request(by, decays, places), rows, columns, np.add)
        self._extremes = Pyramid(self._extreme_request(by, places), rows, columns, np.maximum)
        self._ages(windows, by["slope"], rows, places)
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

    def _extreme_request(self, by: dict[str, list[tuple[int, p.Window]]], places: dict[str, int]) -> Request:
        request = Request()
        for name, kind in (("max", "hi"), ("min", "lo"), ("range", "hi"), ("range", "lo")):
            for _, node in by[name]:
                request.add(Tree(kind, places[node.column]), node.length)
        return request

    def _ages(
        self, windows: list[tuple[int, p.Window]], slopes: list[tuple[int, p.Window]], rows: int, places: dict[str, int]
    ) -> None:
        """Make the matrix whose product with presence counts values and sums their ages: whole numbers, so exact."""
        lengths = sorted({node.length for _, node in windows})
        age = np.arange(rows - 1, -1, -1, dtype=np.float64)
        self._weights = np.concatenate(
            [np.where(age < np.array(lengths).reshape(-1, 1), age**power, 0.0) for power in (0, 1, 2)]
        ).T.copy()
        width, wide = len(lengths), 3 * len(lengths)
        at = {length: k for k, length in enumerate(lengths)}
        counts = [places[n.column] * wide + at[n.length] for _, n in windows]
        first = [places[n.column] * wide + width + at[n.length] for _, n in slopes]
        second = [places[n.column] * wide + 2 * width + at[n.length] for _, n in slopes]
        self._counted = np.array([*counts, *first, *second], dtype=np.intp)

    def write(self, x: Array, source: Array, time_us: int, out: Array) -> None:
        """Write the statistics to `out`."""
        if not self.features:
            return
        size = x.size
        presence = source[size : 2 * size].reshape(self._shape)
        counts = (presence @ self._weights).take(self._counted)
        sums, part, at = self._sums.run(source[: 2 * size + 1]), self._part, self._at
        centre = self._centre
        for name in ("mean", "sum"):
            if (here := at[name]).stop > here.start:
                total = sums[part[name, "d"]]
                if name == "mean":
                    formulas.mean(total, counts[here], centre[here], out[here])
                else:
                    np.add(total, counts[here] * centre[here], out=out[here])
        if (here := at["std"]).stop > here.start:
            formulas.deviation(sums[part["std", "d"]], sums[part["std", "d2"]], counts[here], out[here])
        if (here := at["slope"]).stop > here.start:
            n, ages = here.stop - here.start, counts[self._windows :]
            moment = sums[part["slope", "m"]]
            formulas.slope(sums[part["slope", "d"]], moment, counts[here], ages[:n], ages[n:], out[here])
        self._write_extremes(source[2 * size + 1 :], out)
        out[at["count"]] = counts[at["count"]]
        here = slice(self._windows, len(out))
        np.copyto(out[: self._windows], np.nan, where=counts[: self._windows] < self._need)
        if here.stop > here.start:
            formulas.mean(sums[part["decay", "d"]], sums[part["decay", "p"]], centre[here], out[here])

    def _write_extremes(self, values: Array, out: Array) -> None:
        greatest, smallest, spread = self._at["max"], self._at["min"], self._at["range"]
        if spread.stop == greatest.start:
            return
        found = self._extremes.run(values)
        a, b = greatest.stop - greatest.start, smallest.stop - smallest.start
        out[greatest] = found[:a]
        np.negative(found[a : a + b], out=out[smallest])
        if n := spread.stop - spread.start:
            # Highest plus the negated lowest is their difference.
            np.add(found[a + b : a + b + n], found[a + b + n :], out=out[spread])
