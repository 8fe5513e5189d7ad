"""Calendar and cyclic features of the batch engine, once for every distinct time."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from components.preprocessing import clock
from components.preprocessing import nodes as p

Array = npt.NDArray[np.float64]

#: Times of a block.
BLOCK = 16384

#: Parts of the calendar that repeat, and after which period.
_CLOCK_PERIODS = {"hour": "day", "weekday": "week", "weekend": "week"}


class Timeline:
    """What follows from the time alone, over times of even steps.

    Args:
        nodes: the features wanted, with their positions.
        origin: first time in µs since the epoch.
        step: distance of two times in µs.
        length: how many times.

    Attributes:
        origin: as given.
        values: the features, a row each in the order given; shape (features, length).
    """

    def __init__(self, nodes: list[tuple[int, p.Node]], origin: int, step: int, length: int) -> None:
        self._nodes = [(k, n) for k, n in nodes if isinstance(n, p.Clock | p.Phase)]
        self._row = {k: row for row, (k, _) in enumerate(self._nodes)}
        self._step = step
        self.values = np.empty((len(self._nodes), length))
        self.origin = origin

    def column(self, k: int, start: int, stop: int) -> Array:
        """Return the feature `k` of the times numbered `start` to `stop`, a view."""
        return self.values[self._row[k], start:stop]

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield the ends of the blocks to write."""
        length = self.values.shape[1] if self._nodes else 0
        for start in range(0, length, BLOCK):
            yield start, min(start + BLOCK, length)

    def write(self, start: int, stop: int) -> None:
        """Compute the features of the times numbered `start` to `stop`."""
        seconds = (self.origin + np.arange(start, stop) * self._step) // p.SECOND
        made: dict[tuple[str, int, int], tuple[Array, Array]] = {}
        for row, (_, node) in zip(self.values[:, start:stop], self._nodes, strict=True):
            if isinstance(node, p.Clock):
                cycle = self._cycle(_CLOCK_PERIODS.get(node.field), len(row))
                _repeat(clock.calendar(seconds[:cycle] + node.ahead, node.field), row)
            elif isinstance(node, p.Phase):
                key = node.period, node.harmonic, node.ahead
                if key not in made:
                    cycle = self._cycle(node.period, len(row))
                    made[key] = clock.phase(seconds[:cycle] + node.ahead, node.period, node.harmonic)
                _repeat(made[key][node.cosine], row)

    def _cycle(self, period: str | None, n: int) -> int:
        """Return after how many rows a period repeats, all rows where it does not repeat on the grid."""
        if period is None or clock.PERIODS[period] * p.SECOND % self._step:
            return n
        return min(n, clock.PERIODS[period] * p.SECOND // self._step)


def _repeat(pattern: Array, out: Array) -> None:
    """Fill `out` with the pattern, over and over."""
    done, n = len(pattern), len(out)
    out[:done] = pattern
    while done < n:
        more = min(done, n - done)
        out[done : done + more] = out[:more]
        done += more
