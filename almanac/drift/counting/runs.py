"""Runs of equal values."""

from dataclasses import dataclass

import numpy as np

from almanac.drift.counting.histogram import Numeric


@dataclass
class Runs:
    """The longest run of one and the same value, in a form that joins with the runs of later rows.

    Attributes:
        rows: rows seen.
        first: first value.
        prefix: length of the run that begins with the first row.
        last: last value.
        suffix: length of the run that ends with the last row.
        longest: length of the longest run.
    """

    rows: int = 0
    first: float = np.nan
    prefix: int = 0
    last: float = np.nan
    suffix: int = 0
    longest: int = 0

    @classmethod
    def of(cls, values: Numeric) -> "Runs":
        """Return the runs of `values` (n,); missing values form no runs."""
        n = len(values)
        if not n:
            return cls()
        equal = values[1:] == values[:-1]
        first, last = float(values[0]), float(values[-1])
        # The usual case of a measured series; the rest is for runs of two or more.
        if not equal.any():
            longest = int(not (np.isnan(values).all() if values.dtype.kind == "f" else False))
            return cls(n, first, int(first == first), last, int(last == last), longest)
        repeats = np.flatnonzero(equal)
        breaks = np.flatnonzero(np.diff(repeats) != 1)
        bounds = np.concatenate(([-1], breaks, [len(repeats) - 1]))
        longest = int(np.diff(bounds).max()) + 1
        prefix = n if len(repeats) == n - 1 else int(np.argmin(equal)) + 1
        suffix = n if len(repeats) == n - 1 else int(np.argmin(equal[::-1])) + 1
        # NaN differs from itself, and so forms no run.
        return cls(n, first, prefix if first == first else 0, last, suffix if last == last else 0, longest)

    def join(self, after: "Runs") -> "Runs":
        """Return the runs of these rows and, straight after them, those of `after`."""
        if not self.rows or not after.rows:
            return after if not self.rows else self
        meets = self.last == after.first
        bridge = self.suffix + after.prefix if meets else 0
        return Runs(
            rows=self.rows + after.rows,
            first=self.first,
            prefix=self.rows + after.prefix if meets and self.prefix == self.rows else self.prefix,
            last=after.last,
            suffix=after.rows + self.suffix if meets and after.suffix == after.rows else after.suffix,
            longest=max(self.longest, after.longest, bridge),
        )
