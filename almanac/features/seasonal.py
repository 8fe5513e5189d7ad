"""Seasonal statistics of the online engine."""

import numpy as np
import numpy.typing as npt

from almanac.features import formulas
from almanac.features import nodes as p
from almanac.features.spec import FeatureSpec

Array = npt.NDArray[np.float64]


class Seasons:
    """Computes all seasonal statistics of one prediction time together.

    Args:
        spec: the specification.
        places: place of each column in the block.
    """

    def __init__(self, spec: FeatureSpec, places: dict[str, int]) -> None:
        nodes = [(k, n) for k, n in enumerate(spec.nodes) if isinstance(n, p.Season)]
        parts = [[(k, n) for k, n in nodes if n.statistic == name] for name in ("mean", "std", "min", "max")]
        nodes = [pair for part in parts for pair in part]
        self.features = [k for k, _ in nodes]
        self._ends = np.cumsum([len(part) for part in parts]).tolist()
        size = spec.reach * len(spec.columns)
        most = max((len(n.lags) for _, n in nodes), default=0)
        # Entry 2·size of the source is 0, and its last one NaN: what a shorter statistic is filled up with.
        sums, values = (np.full((most, len(nodes)), fill, dtype=np.intp) for fill in (2 * size, 3 * size + 1))
        present = sums.copy()
        for column, (_, node) in enumerate(nodes):
            newest = (places[node.column] + 1) * spec.reach - 1
            for k, lag in enumerate(node.lags):
                sums[k, column] = newest - lag
                present[k, column] = size + newest - lag
                values[k, column] = 2 * size + 1 + newest - lag
        n = self._ends[1]
        self._sums = np.stack([sums[:, :n], present[:, :n]])
        self._values = values[:, n:]
        self._centre = np.array([spec.centres.get(node.column, 0.0) for _, node in nodes])

    def write(self, x: Array, source: Array, complete: bool, out: Array) -> None:
        """Write the statistics to `out`."""
        means, deviations, smallest, greatest = self._ends
        if deviations:
            taken = source.take(self._sums)
            # accumulate adds one by one, in the order of the batch engine; reduce may not.
            total, count = np.add.accumulate(taken, axis=1)[:, -1]
            out[:means] = formulas.mean(total[:means], count[:means], self._centre[:means])
        if deviations > means:
            squares = np.add.accumulate(taken[0, :, means:] * taken[0, :, means:], axis=0)[-1]
            here = slice(means, deviations)
            out[here] = formulas.deviation(total[here], squares, count[here])
            np.copyto(out[here], np.nan, where=count[here] < 2)
        if greatest > deviations:
            values = source.take(self._values)
            n = smallest - deviations
            np.fmin.reduce(values[:, :n], axis=0, out=out[deviations:smallest])
            np.fmax.reduce(values[:, n:], axis=0, out=out[smallest:greatest])
