"""The online engine: the features of one prediction time from the raw rows before it, in microseconds.

Its bits are those of the batch engine: both do the same floating-point operations in the same order. The compiled
kernel computes the formulas number by number; where there is none, NumPy does, a few times slower.
"""

import threading
from collections.abc import Mapping

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import FeatureError
from almanac.features.compiler.execute import library
from almanac.features.compiler.row import Row
from almanac.features.spec import FeatureSpec


class OnlineEngine:
    """Computes rows of features; safe to use from several threads.

        engine = OnlineEngine(spec)
        x = engine.row({name: values for name in engine.columns}, time_us)

    Args:
        spec: the specification.
        compiled: whether to use the compiled kernel where there is one.

    Attributes:
        history: grid rows that a row of features needs: those up to and including the prediction time.
        columns: input columns, in the order of a block's rows.
        names: ordered feature names.
    """

    def __init__(self, spec: FeatureSpec, compiled: bool = True) -> None:
        self.spec = spec
        self._library = library() if compiled else None
        self.history = spec.history
        self.columns = tuple(spec.columns)
        self.names = tuple(spec.names)
        self._cutoff = spec.cutoff_steps
        self._local = threading.local()

    def row(self, columns: Mapping[str, Array] | Array, time_us: int) -> Array:
        """Return the features (f,), float64, NaN where missing.

        Args:
            columns: for each input column its values at the last `history` or more grid times, oldest first, the last
                one at the prediction time; or a block of them, shape (columns, history or more). Categories are
                codes of the fitted table; NaN is missing.
            time_us: prediction time in µs since the epoch.

        Raises:
            FeatureError: a column is missing or too short, or holds values newer than the cutoff allows.
        """
        block = self._known(self._block(columns))
        # A workspace belongs to one thread: the kernels write to it without a lock.
        row: Row | None = getattr(self._local, "row", None)
        if row is None:
            spec = self.spec
            wanted, imputed = spec.wanted(list(enumerate(spec.nodes)), spec.columns), set(spec.imputed)
            rows = [spec.columns.index(one.name) for one in wanted.columns]
            flags = [one.name in imputed and not one.raw for one in wanted.columns]
            row = self._local.row = Row(wanted, spec.reach, spec.limit_steps, rows, flags, self._library)
        return row.run(block, time_us)

    def _block(self, columns: Mapping[str, Array] | Array) -> Array:
        if not isinstance(columns, Mapping):
            # The kernel reads by address: a block of another shape would be read beyond its end.
            if columns.ndim != 2 or len(columns) != len(self.columns) or columns.shape[1] < self.history:
                shape = (len(self.columns), self.history)
                raise FeatureError(f"the block has shape {columns.shape}; expected {shape}, or have more times")
            return columns[:, columns.shape[1] - self.history :]
        try:
            rows = [columns[name] for name in self.columns]
        except KeyError as error:
            raise FeatureError(f"no column {error.args[0]}; the features need {', '.join(self.columns)}") from None
        history = self.history
        if not rows:
            return np.empty((0, history))
        lengths = list(map(len, rows))
        if min(lengths) < history:
            name, length = next(pair for pair in zip(self.columns, lengths, strict=True) if pair[1] < history)
            raise FeatureError(f"column {name}: {length} values; {history} are needed, up to the given time")
        if max(lengths) > history:
            rows = [values[len(values) - history :] for values in rows]
        return np.concatenate(rows, dtype=np.float64).reshape(len(rows), history)

    def _known(self, block: Array) -> Array:
        """Return the part of a block that may be seen."""
        if not self._cutoff:
            return block
        newer = block[:, self.history - self._cutoff :]
        if not np.isnan(newer).all():
            name = self.columns[int((~np.isnan(newer)).any(axis=1).argmax())]
            raise FeatureError(
                f"column {name}: holds values newer than the cutoff of {self.spec.cutoff} before the prediction time "
                f"allows; the last {self._cutoff} values must be missing"
            )
        return block[:, : self.history - self._cutoff]
