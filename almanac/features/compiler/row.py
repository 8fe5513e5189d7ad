"""One row of features: a few calls of the compiled kernel or, where there is none, of NumPy; same bits."""

import ctypes
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.features.compiler.execute import NUMBERS
from almanac.features.compiler.graph import Wanted
from almanac.features.compiler.operations import OPERATIONS
from almanac.features.compiler.row_codegen import Group, RowCode, row_code
from almanac.features.imputation import impute

Part = Callable[[], object]

_GROUP = np.dtype([(name, np.int64) for name in ("operation", "count", "out", "operands", "history")])


class Row:
    """Computes rows of features in a workspace of its own: one thread's.

    Args:
        wanted: the features.
        reach: known rows of each column that they look back on.
        limit: further rows before those, which imputation looks back on.
        rows: row of the block that each column is read from.
        imputed: of each column whether it is imputed.
        library: the compiled kernels, None for NumPy.
    """

    def __init__(
        self, wanted: Wanted, reach: int, limit: int, rows: Sequence[int], imputed: Sequence[bool], library: Any
    ) -> None:
        self._whole, self._gaps = (_Workspace(row_code(wanted, reach, complete), library) for complete in (True, False))
        self._clocks = _Clocks(self._whole.code)
        self._newest: Array = self._whole.numbers[: len(imputed) * reach]
        self._reach, self._limit = reach, limit
        # The kernel is given their addresses, so that both are kept.
        self._rows, self._imputed = np.array(rows, dtype=np.int64), np.array(imputed, dtype=np.uint8)
        self._kernel = None if library is None else library.almanac_newest
        self._after = (
            *(ctypes.c_int64(size) for size in (len(imputed), reach, limit)),
            ctypes.c_void_p(self._rows.ctypes.data),
            ctypes.c_void_p(self._imputed.ctypes.data),
            self._whole.address,
        )

    def run(self, block: Array, time_us: int) -> Array:
        """Return the features (f,) from the known values (columns, reach and limit) and the prediction time in µs."""
        space = self._whole
        if not self._read(block):
            space = self._gaps
            # Both workspaces begin with the columns; the kernel knows the address of the first only.
            space.numbers[: len(self._newest)] = self._newest
        return space.run(self._clocks.at(time_us // 1_000_000))

    def _read(self, block: Array) -> bool:
        """Write the newest values, imputed, and return whether none of them is missing."""
        if self._kernel is None:
            with np.errstate(invalid="ignore"):
                values = (block + (block - block))[self._rows]  # -0 becomes 0, and infinity missing
            for row in np.flatnonzero(self._imputed):
                impute(values[row], self._limit)
            self._newest[:] = values[:, self._limit :].ravel()
            return not np.isnan(self._newest).any()
        # The kernel takes rows at any distance, but each row's numbers one after the other.
        if block.dtype != np.float64 or block.strides[1] != block.itemsize:
            block = np.ascontiguousarray(block, dtype=np.float64)
        at, stride = ctypes.c_void_p(block.ctypes.data), ctypes.c_int64(block.strides[0] // block.itemsize)
        return bool(self._kernel(at, stride, *self._after))


class _Clocks:
    """The clocks of a row, in the order of its code."""

    def __init__(self, code: RowCode) -> None:
        inputs = code.graph.clocks
        clocks = list(dict.fromkeys(one.clock for one in inputs))
        self._rows = [clock.row for clock in clocks]
        # Any time serves to learn how many numbers a clock gives.
        widths = np.cumsum([0, *(len(clock.row(0)) for clock in clocks)]).tolist()
        self._picked = [widths[clocks.index(one.clock)] + one.which for one in inputs]

    def at(self, second: int) -> list[float]:
        """Return the numbers at a time."""
        numbers: list[float] = []
        for row in self._rows:
            numbers += row(second)
        return [numbers[k] for k in self._picked]


class _Workspace:
    """The numbers of a row, and the calls that compute them."""

    def __init__(self, code: RowCode, library: Any) -> None:
        self.code = code
        self.numbers = code.start.copy()
        self.address = ctypes.c_void_p(self.numbers.ctypes.data)
        self._clocks = self.numbers[code.clocks : code.clocks + len(code.graph.clocks)]
        self._parts: list[Part] = []
        for compiled, some in groupby(code.groups, lambda one: library is not None and one.operation in NUMBERS):
            if compiled:
                self._parts.append(_Call(list(some), library.almanac_point, self.address))
            else:
                self._parts += [_by_numpy(one, self.numbers) for one in some]

    def run(self, clocks: list[float]) -> Array:
        """Return the features, once the newest rows are written."""
        self._clocks[:] = clocks
        for part in self._parts:
            part()
        return self.numbers.take(self.code.outputs)


class _Call:
    """The call of the kernel that computes groups."""

    def __init__(self, groups: list[Group], kernel: Any, numbers: ctypes.c_void_p) -> None:
        # The kernel is given addresses: what they point at has to live as long as the call.
        self._places = np.concatenate([np.concatenate([one.left, one.right]) for one in groups]).astype(np.int32)
        self._groups = np.zeros(len(groups), dtype=_GROUP)
        operands = 0
        for entry, one in zip(self._groups, groups, strict=True):
            entry["operation"], entry["history"] = NUMBERS[one.operation], one.history
            entry["count"], entry["out"], entry["operands"] = len(one.left), one.out, operands
            operands += 2 * len(one.left)
        self._kernel = kernel
        self._arguments = (
            ctypes.c_void_p(self._groups.ctypes.data),
            ctypes.c_int64(len(groups)),
            ctypes.c_void_p(self._places.ctypes.data),
            numbers,
        )

    def __call__(self) -> None:
        self._kernel(*self._arguments)


def _by_numpy(group: Group, numbers: Array) -> Part:
    """Return the call that computes a group by NumPy."""
    function, operands, _ = OPERATIONS[group.operation]
    out = numbers[group.out : group.out + len(group.left)]
    pairs = [(int(left), int(right)) for left, right in zip(group.left, group.right, strict=True)]

    def call() -> None:
        with np.errstate(all="ignore"):
            if operands:
                function(*(numbers.take(side) for side in (group.left, group.right)[:operands]), out=out)
                return
            for k, (left, right) in enumerate(pairs):
                if group.operation == "since":
                    rows = numbers[left - group.history : left + 1]
                    function(rows, numbers[right], group.history + 1, out=out[k : k + 1])
                else:
                    function(numbers[left : left + 1], numbers[right:], out=out[k : k + 1])

    return call
