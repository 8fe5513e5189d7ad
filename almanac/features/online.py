"""The online engine: the features of one prediction time from the raw rows before it, in microseconds.

It gives bit for bit what the batch engine gives: both do the same floating-point operations in the same order. The
compiled kernel computes what the batch engine's formulas say, number by number; where there is none, NumPy computes the
windows of all columns together, by code of its own.
"""

import threading
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from almanac.core.errors import FeatureError
from almanac.features.compiler.execution import library
from almanac.features.compiler.row import Point
from almanac.features.online_calendar import Moments
from almanac.features.pointwise import Derived, Points
from almanac.features.rolling import Rolling
from almanac.features.seasonal import Seasons
from almanac.features.spec import FeatureSpec
from almanac.features.windows import impute

Array = npt.NDArray[np.float64]


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
        executor: Point | _ByNumPy | None = getattr(self._local, "executor", None)
        if executor is None:
            executor = _ByNumPy(self.spec) if self._library is None else Point(self.spec, self._library)
            self._local.executor = executor
        return executor.run(block, time_us)

    def _block(self, columns: Mapping[str, Array] | Array) -> Array:
        if not isinstance(columns, Mapping):
            if columns.ndim != 2 or len(columns) != len(self.columns) or columns.shape[1] < self.history:
                wanted = (len(self.columns), self.history)
                raise FeatureError(f"the block has shape {columns.shape}; it must be {wanted}, or have more times")
            return columns[:, columns.shape[1] - self.history :]
        try:
            found = [columns[name] for name in self.columns]
        except KeyError as error:
            raise FeatureError(f"no column {error.args[0]}; the features need {', '.join(self.columns)}") from None
        history = self.history
        if not found:
            return np.empty((0, history))
        lengths = list(map(len, found))
        if min(lengths) < history:
            name, length = next(pair for pair in zip(self.columns, lengths, strict=True) if pair[1] < history)
            raise FeatureError(f"column {name}: {length} values; {history} are needed, up to the given time")
        if max(lengths) > history:
            found = [values[len(values) - history :] for values in found]
        return np.concatenate(found, dtype=np.float64).reshape(len(found), history)

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


class _ByNumPy:
    """The stages with their workspaces, which belong to one thread."""

    def __init__(self, spec: FeatureSpec) -> None:
        places = {name: k for k, name in enumerate(spec.columns)}
        self._stages = [stage(spec, places) for stage in (Points, Rolling, Seasons)]
        self._moments, self._derived = Moments(spec), Derived(spec)
        counts = [len(stage.features) for stage in (*self._stages, self._moments)]
        ordered = [k for stage in (*self._stages, self._moments) for k in stage.features]
        order = {k: place for place, k in enumerate(ordered)}
        # A derived feature's entry is overwritten once those that it is made from are in place.
        derived = self._derived.positions
        for k, node in enumerate(spec.nodes):
            if (k in order) == (k in derived):
                raise FeatureError(f"feature {node.name}: no formula computes a {type(node).__name__}")
        self._order = np.array([order.get(k, 0) for k in range(len(spec.nodes))], dtype=np.intp)
        self._made = np.empty(max(1, len(ordered)))
        ends = np.cumsum([0, *counts]).tolist()
        self._outs = [self._made[start:stop] for start, stop in pairwise(ends)]
        self._limit = spec.limit_steps
        self._block = np.empty((len(spec.columns), spec.reach + spec.limit_steps))
        self._imputed = [self._block[spec.columns.index(name)] for name in spec.imputed]
        self._newest = self._block[:, spec.limit_steps :]
        shape, size = (len(spec.columns), spec.reach), len(spec.columns) * spec.reach
        centres = np.array([[spec.centres.get(name, 0.0)] for name in spec.columns]).reshape(-1, 1)
        self._centres = np.repeat(centres, spec.reach, axis=1)
        # Deviations, presence, a 0, values, a NaN.
        self._source = np.empty(3 * size + 2)
        self._source[2 * size], self._source[-1] = 0.0, np.nan
        self._deviations = self._source[:size].reshape(shape)
        self._presence = self._source[size : 2 * size].reshape(shape)
        self._x = self._source[2 * size + 1 : -1].reshape(shape)
        self._absent = np.empty(shape, dtype=bool)
        self._complete = False

    def run(self, block: Array, time_us: int) -> Array:
        """Return the features (f,) from the known values (columns, reach, or more by the limit of imputation)."""
        with np.errstate(all="ignore"):
            return self._run(block, time_us)

    def _run(self, block: Array, time_us: int) -> Array:
        # -0 becomes 0, and infinity missing, as in the batch engine.
        np.subtract(block, block, out=self._block)
        np.add(block, self._block, out=self._block)
        for values in self._imputed:
            impute(values, self._limit)
        x = self._x
        np.copyto(x, self._newest)
        np.isnan(x, out=self._absent)
        np.subtract(x, self._centres, out=self._deviations)
        # Complete rows are the rule, and their presence stays as it was after the last complete one.
        complete = not self._absent.any()
        if not complete:
            np.copyto(self._deviations, 0.0, where=self._absent)
        if not (complete and self._complete):
            np.subtract(1.0, self._absent, out=self._presence)
        self._complete = complete
        for stage, out in zip(self._stages, self._outs[:-1], strict=True):
            stage.write(x, self._source, complete, out)
        self._moments.write(time_us, self._outs[-1])
        result: Array = self._made.take(self._order)
        self._derived.write(result)
        return result
