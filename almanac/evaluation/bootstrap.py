"""Moving-block bootstrap of metrics that are functions of sums.

RMSE, R² or coverage is a function of sums over rows. Hence no row is resampled: the sums of every block of
consecutive time steps are computed once from cumulative sums, and a repeat adds up the blocks that it draws
(Künsch, 1989, doi:10.1214/aos/1176347265). Blocks preserve the dependence of neighbouring hours, which single rows
would not. All series of a table share the drawn blocks, which preserves the dependence between entities.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array

#: Share of the repeats between the two ends of an interval.
CONFIDENCE = 0.95

#: Width of an interval of `CONFIDENCE` in standard errors.
STANDARD_ERRORS = 2 * 1.959964

# With fewer blocks the repeats would hardly differ.
_FEWEST_BLOCKS = 4
# An interval of the few repeats that are defined would be too narrow.
_FEWEST_SHARE = 0.9


@dataclass(frozen=True)
class Bootstrap:
    """Blocks drawn once for all metrics of a table.

    Attributes:
        step: time step of each row, counted from the first, shape (n,).
        length: steps of a block.
        starts: first step of each drawn block, shape (repeats, blocks).
    """

    step: npt.NDArray[np.int64]
    length: int
    starts: npt.NDArray[np.int64]

    @classmethod
    def draw(cls, time: npt.NDArray[np.int64], frequency: int, block: int, repeats: int, seed: int = 0) -> "Bootstrap":
        """Draw the blocks.

        Args:
            time: time of each row on the even axis of the grid, in µs, shape (n,), n at least 1.
            frequency: µs between two steps.
            block: length of a block in µs; at most a quarter of the span is used.
            repeats: number of repeats.
            seed: random seed.
        """
        step = (time - time.min()) // frequency
        count = int(step.max()) + 1
        # A short test span gets shorter blocks rather than repeats that hardly differ.
        length = max(1, min(block // frequency, count // _FEWEST_BLOCKS))
        random = np.random.default_rng(seed)
        # Rounded up: the metrics are ratios of sums, so that some steps more than the span has do not matter.
        starts = random.integers(0, count - length + 1, size=(repeats, -(-count // length)))
        return cls(step, length, starts)

    def sums(self, rows: Array) -> Array:
        """Return the sums of each repeat, shape (repeats, k), of the rows' terms, shape (n, k)."""
        total = np.cumsum(_by_step(self.step, rows), axis=0)
        # Differences of cumulative sums: the sums of every block of this length at once.
        blocks = total[self.length :] - total[: -self.length]
        result = np.zeros((self.starts.shape[0], rows.shape[1]))
        for drawn in self.starts.T:
            result += blocks[drawn]
        return result

    @property
    def blocks(self) -> float:
        """Number of blocks in the span."""
        return (int(self.step.max()) + 1) / self.length


def sums_by_step(time: npt.NDArray[np.int64], frequency: int, values: Array) -> Array:
    """Return the sum of the rows' values, shape (n,), at each time step, 0 without a row, shape (steps,)."""
    return np.asarray(_by_step((time - time.min()) // frequency, values[:, None])[1:, 0])


def _by_step(step: npt.NDArray[np.int64], rows: Array) -> Array:
    """Return the sums of each time step, shape (steps + 1, k), the first all zero."""
    # Several series have rows at one step; `reduceat` adds up neighbours.
    order = np.argsort(step, kind="stable")
    present, first = np.unique(step[order], return_index=True)
    steps = np.zeros((int(step.max()) + 2, rows.shape[1]))
    steps[present + 1] = np.add.reduceat(rows[order], first, axis=0)
    return steps


def interval(values: Array) -> list[float] | None:
    """Return the percentile interval of a metric's repeats, shape (repeats,); None if too few are finite."""
    finite = values[np.isfinite(values)]
    if finite.size < _FEWEST_SHARE * values.size:
        return None
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return [float(low), float(high)]
