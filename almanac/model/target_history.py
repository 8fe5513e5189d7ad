"""The history of a target's column: windows of each entity's past values, cut from a table on a regular grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.model.predictor import Rows

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TargetHistory:
    """The newest known value of a target's column at each row of a table.

    Attributes:
        time: prediction time of each row on the even axis of the grid, in µs, shape (n,).
        values: newest value known at that time, NaN where it is missing, shape (n,).
        step: distance of two times on it in µs.
        entity: entity of each row; None for a table of one series.
    """

    time: npt.NDArray[np.int64]
    values: Array
    step: int
    entity: npt.ArrayLike | None = None

    @cached_property
    def names(self) -> list[str]:
        """The entities in order; one empty name for a table of one series."""
        return [""] if self.entity is None else [str(name) for name in np.unique(np.asarray(self.entity, dtype=str))]

    @cached_property
    def series(self) -> Array:
        """The values on the whole grid, NaN for a row that is missing, shape (entities, times)."""
        grid = np.full((len(self.names), int(self.place.max()) + 1), np.nan)
        grid[self._codes, self.place] = self.values
        return grid

    def rows(self, X: Array, positions: Positions, length: int) -> Rows:
        """Return rows with these features (n, f) and the last `length` values known at the rows at `positions`."""
        entity = None if self.entity is None else np.asarray(self.entity)[positions].astype(str).tolist()
        return Rows(X, self.windows(positions, length) if length else None, entity)

    def windows(self, positions: Positions, length: int) -> Array:
        """Return the last `length` values known at the rows at `positions`, oldest first, shape (n, length)."""
        if not positions.size:
            return np.empty((0, length))
        last = self.place[positions]
        # Only the stretch of the series that these rows look at is padded and cut.
        start, stop = int(last.min()) - length + 1, int(last.max()) + 1
        padding = np.full((len(self.names), max(-start, 0)), np.nan)
        stretch = np.concatenate([padding, self.series[:, max(start, 0) : stop]], axis=1)
        views = np.lib.stride_tricks.sliding_window_view(stretch, length, axis=1)
        # The index copies the chosen windows only; all others stay views.
        return np.asarray(views[self._codes[positions], last - int(last.min())])

    @cached_property
    def _codes(self) -> Positions:
        if self.entity is None:
            return np.zeros(len(self.time), dtype=np.intp)
        return np.asarray(np.searchsorted(self.names, np.asarray(self.entity, dtype=str)), dtype=np.intp)

    @cached_property
    def place(self) -> Positions:
        """Position of each row on its entity's grid: by time, so that a gap in the rows shifts nothing."""
        return np.asarray((self.time - self.time.min()) // self.step, dtype=np.intp)
