"""Execution of instructions on blocks of rows: by the compiled kernel or, where there is none, by NumPy; same bits."""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import NoCompilerError
from almanac.features.compiler.allocate import Instruction, Slot
from almanac.features.compiler.operations import COMPILED, OPERATIONS
from almanac.features.compiler.tracing import WHOLE
from almanac.native.libraries import FEATURES

Places = npt.NDArray[np.int64]

_FIELDS = ("operation", "out", "left", "left_lag", "right", "right_lag", "before", "history")
_INSTRUCTION = np.dtype([*((name, np.int64) for name in _FIELDS), ("constant", np.float64)])
#: The kernels' numbers of the operations.
NUMBERS = {name: number for number, name in enumerate(COMPILED)}


@lru_cache
def library() -> Any:
    """Return the compiled kernels, or None where there are none and no compiler; `almanac.native` logs why."""
    try:
        kernels = FEATURES.load()
    except NoCompilerError:
        return None
    kernels.almanac_operations.restype = ctypes.c_char_p
    if (names := kernels.almanac_operations().decode().lower().split()) != COMPILED:
        raise AssertionError(f"operations.h lists {names}; expected those of operations.py, {COMPILED}")
    return kernels


def kernel() -> Any:
    """Return the kernel for blocks of rows, or None as `library` does."""
    kernels = library()
    return None if kernels is None else kernels.almanac_execute


class Slots:
    """The rows that instructions work on.

    Args:
        matrices: rows of slots, in the order of the slots; contiguous each.
    """

    def __init__(self, matrices: Sequence[Array]) -> None:
        # These views keep the memory alive to which the addresses point.
        self.rows = [row for matrix in matrices for row in matrix]
        self.addresses = np.concatenate(
            [matrix.ctypes.data + matrix.strides[0] * np.arange(len(matrix)) for matrix in matrices]
        )


class Code:
    """Instructions ready to run.

    Args:
        instructions: in order.
        kernel: the compiled kernel, None for NumPy.
    """

    def __init__(self, instructions: Sequence[Instruction], kernel: Any) -> None:
        self._kernel = kernel
        self._parts: list[list[Instruction] | _Compiled] = []
        for compiled, some in groupby(instructions, lambda one: kernel is not None and one.operation in NUMBERS):
            part = list(some)
            self._parts.append(_Compiled(part) if compiled else part)

    def run(self, slots: Slots, first: Places, n: int) -> None:
        """Compute `n` rows.

        Args:
            slots: where they are.
            first: place of the first of them in each slot's row.
            n: how many.
        """
        # Eight bytes a number: the kernel gets each slot's address of the block's first row.
        addresses = slots.addresses + 8 * first
        for part in self._parts:
            if isinstance(part, _Compiled):
                self._kernel(part.address, part.length, ctypes.c_void_p(addresses.ctypes.data), ctypes.c_int64(n))
            else:
                _run(part, slots.rows, first.tolist(), n)


class _Compiled:
    """Instructions as the kernel reads them."""

    def __init__(self, instructions: list[Instruction]) -> None:
        # Kept by this object, because the kernel reads it by its address.
        self._program = _encode(instructions)
        self.address = ctypes.c_void_p(self._program.ctypes.data)
        self.length = ctypes.c_int64(len(instructions))


def _encode(instructions: list[Instruction]) -> npt.NDArray[np.void]:
    result = np.zeros(len(instructions), dtype=_INSTRUCTION)
    for entry, one in zip(result, instructions, strict=True):
        entry["operation"] = NUMBERS[one.operation]
        entry["out"], entry["before"], entry["history"] = one.out, one.before, one.history
        entry["left"] = entry["right"] = -1
        for side, operand in zip(("left", "right"), one.operands, strict=False):
            if isinstance(operand, Slot):
                entry[side], entry[f"{side}_lag"] = operand.number, operand.lag
            else:
                entry["constant"] = operand
    return result


def _run(instructions: list[Instruction], rows: list[Array], first: list[int], n: int) -> None:
    """Compute by NumPy."""

    def value(operand: Slot | float, back: int) -> Array | float:
        if not isinstance(operand, Slot):
            return operand
        row, start = rows[operand.number], first[operand.number] - operand.lag
        return row if operand.lag == WHOLE else row[start - back : start + n]

    for one in instructions:
        back, start = one.before + one.history, first[one.out]
        out = rows[one.out][start - one.before : start + n]
        OPERATIONS[one.operation].function(*(value(operand, back) for operand in one.operands), out=out)
