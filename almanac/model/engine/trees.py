"""The trees of a model laid out for the compiled kernels, and predictions by them.

kernels.h describes each table. Everything is computed once at load.
"""

import ctypes
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine.model_text import Forest, Header, UnsupportedModelError
from almanac.model.engine.reference import Reference
from almanac.model.offset import Offset
from almanac.model.predictor import RowCall

_LINKS = {"identity": 0, "logit": 1, "log": 2}
# A column is one byte a row, which holds the rank of a value among so many cuts.
_CUTS_OF_A_COLUMN = 255
_MOST_CUTS = 65_000  # a rank is 16 bits wide in the explanation kernel
_MOST_COLUMNS = 65_535  # a column number is 16 bits wide in the row kernel
_MOST_NODES = 65_535  # so is a node number within its tree

_LAID_OUT = (
    *("slot_feature", "slot_missing", "cut_start", "cuts", "column_start", "column_first", "column_left"),
    *("indicator_feature", "indicator_start", "indicator_words", "node_start", "leaf_start", "node_column", "node_cut"),
    *("node_left", "node_right", "leaf_value", "node_slot", "node_rank", "node_default_left", "node_count"),
    "leaf_count",
)
_OF_OFFSET = ("term_column", "term_coefficient", "term_fill")


class Model(ctypes.Structure):
    """`model` of kernels.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("features", "slots", "indicators", "columns", "trees", "link")),
        *((name, ctypes.c_int32) for name in ("offset", "terms")),
        *((name, ctypes.c_double) for name in ("sigmoid", "intercept", "low", "high")),
        *((name, ctypes.c_void_p) for name in (*_OF_OFFSET, *_LAID_OUT)),
        *((name, ctypes.c_void_p) for name in ("steps", "walks", "outputs", "jumps", "paths")),
        ("doublings", ctypes.c_int32),
    ]


@dataclass
class Layout:
    """Tables by their names in kernels.h."""

    tables: dict[str, NDArray[Any]] = field(default_factory=dict)

    def put(self, **tables: NDArray[Any]) -> None:
        """Add tables: floats as float64, bitset words as uint32, everything else as int32."""
        for name, table in tables.items():
            kind = np.float64 if table.dtype.kind == "f" else np.uint32 if table.dtype == np.uint32 else np.int32
            self.tables[name] = np.ascontiguousarray(table, dtype=kind)


def lay_out(f: Forest) -> Layout:
    """Return the tables of the trees `f`.

    Raises:
        UnsupportedModelError: more thresholds of a feature, columns or nodes than the kernels number.
    """
    layout = Layout()
    layout.put(
        node_start=f.split_start,
        leaf_start=f.leaf_start,
        node_left=f.left,
        node_right=f.right,
        leaf_value=f.leaf_value,
        node_count=f.split_count,
        leaf_count=f.leaf_count,
        node_default_left=f.default_left,
    )
    slot = _lay_out_slots(f, layout)
    rank = _lay_out_cuts(f, slot, layout)
    first_indicator = _lay_out_columns(f, slot, rank, layout)
    _lay_out_indicators(f, first_indicator, layout)
    return layout


def _lay_out_slots(f: Forest, layout: Layout) -> NDArray[np.int32]:
    """Return the number of each split's pair of feature and missing-value rule, -1 for a categorical split."""
    numerical = ~f.categorical
    # Times 4, because a missing-value rule has two bits.
    pairs, number = np.unique(f.feature[numerical] * 4 + f.missing_rule[numerical], return_inverse=True)
    layout.put(slot_feature=pairs // 4, slot_missing=pairs % 4)
    slot = np.full(len(f.feature), -1, dtype=np.int32)
    slot[numerical] = number
    return slot


def _lay_out_cuts(f: Forest, slot: NDArray[np.int32], layout: Layout) -> NDArray[np.int32]:
    """List every slot's thresholds; return the position of each numerical split's threshold."""
    rank = np.zeros(len(slot), dtype=np.int32)
    cuts: list[NDArray[np.float64]] = []
    for number in range(len(layout.tables["slot_feature"])):
        here = np.flatnonzero(slot == number)
        values, places = np.unique(f.threshold[here], return_inverse=True)
        if len(values) > _MOST_CUTS or np.isnan(values).any():
            raise UnsupportedModelError(f"feature {f.feature[here[0]]} has {len(values)} thresholds, or a NaN")
        rank[here] = places
        cuts.append(values)
    layout.put(cut_start=_starts([len(c) for c in cuts]), cuts=np.concatenate([np.zeros(0), *cuts]), node_rank=rank)
    return rank


def _lay_out_columns(f: Forest, slot: NDArray[np.int32], rank: NDArray[np.int32], layout: Layout) -> int:
    """Give every numerical split its byte column and the cut within it; return the number of such columns."""
    numerical = slot >= 0
    # Without a missing-value rule the default direction is never asked for.
    left = f.default_left & (f.missing_rule != 0)
    first = rank - rank % _CUTS_OF_A_COLUMN
    span = 2 * (_MOST_CUTS + _CUTS_OF_A_COLUMN)
    keys, number = np.unique((slot.astype(np.int64) * span + first * 2 + left)[numerical], return_inverse=True)
    column = np.zeros(len(slot), dtype=np.int32)
    column[numerical] = number
    counts = np.bincount(keys // span, minlength=len(layout.tables["slot_feature"]))
    layout.put(
        column_start=_starts(counts),
        column_first=keys % span // 2,
        column_left=keys % 2,
        node_column=column,
        node_cut=np.where(numerical, rank - first, 0),
    )
    return len(keys)


def _lay_out_indicators(f: Forest, first: int, layout: Layout) -> None:
    """Give every categorical split the byte column of its set; equal sets of a feature share one."""
    sets = sorted({(int(f.feature[split]), words) for split, words in f.sets.items()})
    numbers = {key: number for number, key in enumerate(sets)}
    column = layout.tables["node_column"]
    column_slots = np.repeat(np.arange(len(layout.tables["slot_feature"])), np.diff(layout.tables["column_start"]))
    slot = np.concatenate([column_slots, np.zeros(1, dtype=np.int64)])[column]
    for split, words in f.sets.items():
        number = numbers[int(f.feature[split]), words]
        column[split] = first + number
        slot[split] = ~number
    # One word more than any set of the feature has: the kernels keep the values there that are in no set.
    length: dict[int, int] = {}
    for feature, words in sets:
        length[feature] = max(length.get(feature, 1), 1 + len(words))
    padded = [words + (0,) * (length[feature] - len(words)) for feature, words in sets]
    layout.put(
        indicator_feature=np.array([feature for feature, _ in sets], dtype=np.int32),
        indicator_start=_starts([len(words) for words in padded]),
        indicator_words=np.array([word for words in padded for word in words], dtype=np.uint32),
        node_slot=slot,
    )
    if first + len(numbers) > _MOST_COLUMNS or np.diff(f.leaf_start).max(initial=0) * 2 > _MOST_NODES:
        raise UnsupportedModelError(f"{first + len(numbers)} different splits, or a tree with too many leaves")


def _starts(counts: Any) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


class CompiledTrees:
    """Predictions by the compiled kernels; safe to call from any thread, and without the interpreter's lock.

    Args:
        library: the compiled kernels.
        f: the trees.
        head: the model's header.
        reference: the same model by LightGBM, with its width, offset and link.

    Raises:
        UnsupportedModelError: the kernels do not cover this model.
    """

    def __init__(self, library: Any, f: Forest, head: Header, reference: Reference) -> None:
        if reference.link not in _LINKS or head.averaged:
            raise UnsupportedModelError("the trees' outputs are averaged, or transformed in a way of their own")
        self.library = library
        # Without a result type ctypes takes every result for a C int.
        library.almanac_predict_row.restype = library.almanac_row.restype = ctypes.c_double
        self.features = reference.booster.num_features
        # The kernels read a row's feature without a look at its width.
        if len(f.feature) and not 0 <= f.feature.min() <= f.feature.max() < self.features:
            raise UnsupportedModelError(f"a split asks for a feature beyond the {self.features} of the model")
        self._layout = lay_out(f)
        self._put_terms(reference.offset)
        self.model = self._fill(reference, len(f.split_start) - 1)
        self._pointer = ctypes.byref(self.model)
        self._threads = threading.local()
        # The library keeps pointers into the tables of `_layout`, which must live as long as this object.
        if library.almanac_prepare(self._pointer) != 0:
            raise MemoryError("no memory for the model's compiled form")

    def _put_terms(self, offset: Offset) -> None:
        self._layout.put(term_column=offset.columns, term_coefficient=offset.coefficients, term_fill=offset.fill)

    def _fill(self, reference: Reference, trees: int) -> Model:
        tables, offset = self._layout.tables, reference.offset
        indicators = len(tables["indicator_feature"])
        return Model(
            features=self.features,
            slots=len(tables["slot_feature"]),
            indicators=indicators,
            columns=len(tables["column_first"]) + indicators,
            trees=trees,
            link=_LINKS[reference.link],
            offset=not offset.is_zero,
            terms=len(offset.columns),
            sigmoid=reference.sigmoid,
            intercept=offset.intercept,
            low=offset.clip[0],
            high=offset.clip[1],
            **{name: tables[name].ctypes.data for name in (*_OF_OFFSET, *_LAID_OUT)},
        )

    def __del__(self) -> None:
        # A model that the kernels refuse has none: the constructor has raised before.
        if hasattr(self, "_pointer"):
            self.library.almanac_release(self._pointer)

    def predict_row(self, x: NDArray[np.float64]) -> float:
        """Return the prediction of the row `x` (f,).

        Raises:
            ValueError: `x` has another width than the model.
        """
        # A buffer for each thread, because the kernel runs without the interpreter's lock.
        try:
            row, arguments = self._threads.row
        except AttributeError:
            row, arguments = self._threads.row = self._row_buffers()
        if x.shape != row.shape:
            raise ValueError(f"a row has shape {x.shape}; the model takes ({self.features},)")
        row[:] = x
        value: float = self.library.almanac_predict_row(*arguments)
        return value

    def row_call(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> RowCall:
        """Return the one-row call for one thread; `low` and `high`, shape (f,), are the ranges of the features."""
        values, arguments = self._row_buffers()
        outside = ctypes.c_int32()
        low, high = (np.ascontiguousarray(bound, dtype=np.float64) for bound in (low, high))
        # These are addresses only; the RowCall keeps the arrays alive.
        bounds = [ctypes.c_void_p(array.ctypes.data) for array in (low, high)]
        predict = partial(self.library.almanac_row, *arguments, *bounds, ctypes.byref(outside))
        return RowCall(values, predict, outside, low, high)

    def _row_buffers(self) -> tuple[NDArray[np.float64], tuple[Any, ...]]:
        """Return a row buffer, and the arguments of the row kernels: model, row and scratch.

        Their addresses are looked up once: asking NumPy for an array's address costs as much as 200 trees.
        """
        length = 8 * self.features
        memory = np.zeros(length + self.model.columns + 1, dtype=np.uint8)
        address = memory.ctypes.data
        row = memory[:length].view(np.float64)  # which keeps the scratch behind it alive
        return row, (self._pointer, ctypes.c_void_p(address), ctypes.c_void_p(address + length))

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions (n,) of `X` (n, f), float64 and contiguous."""
        return self._predict(self.model, X)

    def score(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the trees (n,) for `X` (n, f), without offset, link and bounds."""
        # A copy, because other threads predict with the original meanwhile.
        bare = Model.from_buffer_copy(self.model)
        bare.offset, bare.link, bare.low, bare.high = 0, _LINKS["identity"], -np.inf, np.inf
        return self._predict(bare, X)

    def _predict(self, model: Model, X: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.empty(len(X))
        rows = ctypes.c_int64(len(X))
        pointers = ctypes.c_void_p(X.ctypes.data), rows, ctypes.c_void_p(out.ctypes.data)
        if self.library.almanac_predict(ctypes.byref(model), *pointers) != 0:
            raise MemoryError(f"no memory to predict {len(X)} rows")
        return out
