"""Mean of a target for each level of a category.

Means of few rows are drawn towards that of all (Micci-Barreca, 2001, doi:10.1145/507533.507538).
"""

from dataclasses import dataclass

import numpy as np

from almanac.core.arrays import Array


@dataclass(frozen=True)
class LevelMeans:
    """Mean of a target for each level, and that of all rows.

    Attributes:
        means: mean of each level, by its code; levels after the last have the mean of all.
        overall: mean of all rows, NaN without any.
    """

    means: Array
    overall: float

    @classmethod
    def of(cls, codes: Array, y: Array, smoothing: float) -> "LevelMeans":
        """Return the means of some rows.

        Args:
            codes: code of each row's level, NaN where missing, shape (n,).
            y: the target, NaN where unknown, shape (n,).
            smoothing: weight of the mean of all rows in that of each level, as a number of rows.
        """
        known = np.isfinite(codes) & np.isfinite(y)
        if not known.any():
            return cls(np.empty(0), float("nan"))
        code, truth = codes[known].astype(np.intp), y[known]
        overall, count = float(truth.mean()), np.bincount(code)
        return cls((np.bincount(code, truth) + smoothing * overall) / (count + smoothing), overall)

    def at(self, codes: Array) -> Array:
        """Return the mean of each row's level, NaN where that is missing, shape (n,)."""
        table = np.append(self.means, self.overall)
        place = np.minimum(np.nan_to_num(codes, nan=0.0), len(self.means)).astype(np.intp)
        return np.where(np.isfinite(codes), table[place], np.nan)
