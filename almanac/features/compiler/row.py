"""The online engine with the compiled kernel: all features of one prediction time by a few calls."""

import ctypes
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.features.compiler.execution import NUMBERS
from almanac.features.compiler.operations import KERNEL, OPERATIONS
from almanac.features.compiler.recordings import Wanted
from almanac.features.compiler.scalars import Group, Scalars, scalars
from almanac.features.online_calendar import Moments
from almanac.features.spec import FeatureSpec

Array = npt.NDArray[np.float64]
Part = Callable[[], object]

_GROUP = np.dtype([(name, np.int64) for name in ("operation", "count", "out", "operands", "history")])


class Point:
    """Computes rows of features in a workspace of its own: one thread's.

    Args:
        spec: the specification.
        library: the compiled kernels.
    """

    def __init__(self, spec: FeatureSpec, library: Any) -> None:
        columns = spec.columns
        wanted = Wanted.of(spec, list(enumerate(spec.nodes)), columns)
        self._whole, self._gaps = (
            _Workspace(scalars(wanted, spec.reach, complete), library) for complete in (True, False)
        )
        self._newest = library.almanac_newest
        self._given = len(columns) * spec.reach
        self._imputed = np.array([name in spec.imputed for name in columns], dtype=np.uint8)
        self._after = (
            *(ctypes.c_int64(size) for size in (len(columns), spec.reach, spec.limit_steps)),
            ctypes.c_void_p(self._imputed.ctypes.data),
            self._whole.address,
        )
        moments = Moments(spec)
        self._moments, self._moment = moments, np.empty(len(moments.features))
        self._order = np.argsort(moments.features)

    def run(self, block: Array, time_us: int) -> Array:
        """Return the features (f,) from the known values (columns, reach and the limit of imputation)."""
        if block.dtype != np.float64 or block.strides[1] != block.itemsize:
            block = np.ascontiguousarray(block, dtype=np.float64)
        at, stride = ctypes.c_void_p(block.ctypes.data), ctypes.c_int64(block.strides[0] // block.itemsize)
        space = self._whole
        if not self._newest(at, stride, *self._after):
            space = self._gaps
            space.numbers[: self._given] = self._whole.numbers[: self._given]
        self._moments.write(time_us, self._moment)
        return space.run(self._moment.take(self._order))


class _Workspace:
    """The numbers of a row, and what computes them."""

    def __init__(self, program: Scalars, library: Any) -> None:
        self.numbers = program.start.copy()
        self.address = ctypes.c_void_p(self.numbers.ctypes.data)
        self._timed, self._wanted = program.timed, program.wanted
        self._parts: list[Part] = []
        for compiled, some in groupby(program.groups, lambda one: one.operation in KERNEL):
            if compiled:
                self._parts.append(_Call(list(some), library.almanac_point, self.address))
            else:
                self._parts += [_by_numpy(one, self.numbers) for one in some]

    def run(self, timed: Array) -> Array:
        """Return the features, once the newest rows are written."""
        self.numbers[self._timed : self._timed + len(timed)] = timed
        for part in self._parts:
            part()
        return self.numbers.take(self._wanted)


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


def _by_numpy(one: Group, numbers: Array) -> Part:
    """Return the call that computes a group of a function that the kernel does not know; those take one operand."""
    function, out = OPERATIONS[one.operation], numbers[one.out : one.out + len(one.left)]

    def call() -> None:
        with np.errstate(all="ignore"):
            function(numbers.take(one.left), out=out)

    return call
