"""Formulas recorded once: what they do to a column, as steps over whole blocks of rows.

A formula written for arrays is called with expressions instead of them. Each operation is noted as a step, the same
one only once, and its result is an expression again; `ago` looks back in time. Numbers stay numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from almanac.features.compiler import operations

#: An array (online engine), an expression (batch engine) or a number.
Value = Any


#: The lag of a table, which is not of rows.
WHOLE = -1


@dataclass(frozen=True)
class Operand:
    """A register's values `lag` rows ago."""

    register: int
    lag: int


@dataclass(frozen=True)
class Step:
    """An operation on registers and numbers, whose result is a register of its own."""

    operation: str
    operands: tuple[Operand | float, ...]

    @property
    def history(self) -> int:
        """Rows before the first one of the result that the operation reads."""
        if self.operation != "since":
            return 0
        limit = self.operands[2]
        assert isinstance(limit, float)
        return int(limit) - 1


class Recorder:
    """Notes steps.

    Args:
        inputs: number of registers that hold something before the first step; step k's result is register inputs + k.
    """

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.steps: list[Step] = []
        self._register: dict[Step, int] = {}

    def input(self, register: int) -> "Expression":
        """Return what a register holds from the start."""
        return Expression(self, register, 0)

    def note(self, operation: str, *operands: Value) -> "Expression":
        """Return the result of an operation."""
        taken = (Operand(one.register, one.lag) if isinstance(one, Expression) else float(one) for one in operands)
        step = Step(operation, tuple(taken))
        if step not in self._register:
            self._register[step] = self.inputs + len(self.steps)
            self.steps.append(step)
        return Expression(self, self._register[step], 0)


class Expression(NDArrayOperatorsMixin):
    """What a register holds, `lag` rows ago; operators and NumPy's ufuncs note steps."""

    def __init__(self, recorder: Recorder, register: int, lag: int) -> None:
        self.recorder = recorder
        self.register = register
        self.lag = lag

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Value, **options: Any) -> "Expression":
        if method != "__call__" or options or ufunc.__name__ not in operations.OPERATIONS:
            raise TypeError(f"{ufunc.__name__} cannot be recorded")
        return self.recorder.note(ufunc.__name__, *operands)


def ago(value: Value, rows: int) -> Value:
    """Return an expression `rows` rows earlier; a number is the same at all times."""
    if not rows or not isinstance(value, Expression):
        return value
    return Expression(value.recorder, value.register, value.lag + rows)


def present(values: Expression) -> Expression:
    """Return 1 where a value is there, else 0."""
    return values.recorder.note("present", values)


def filled(values: Expression) -> Expression:
    """Return the values, 0 where one is missing."""
    return values.recorder.note("filled", values)


def since(values: Expression, above: float, limit: int) -> Expression:
    """Return how many rows ago a value was above, at most `limit`."""
    return values.recorder.note("since", values, above, limit)


def looked_up(codes: Expression, table: Expression) -> Expression:
    """Return the table's entries for the codes; its first entry is that of a missing code."""
    return codes.recorder.note("looked_up", codes, Expression(table.recorder, table.register, WHOLE))


def enough(count: Value, least: float) -> Value:
    """Return the count, NaN where it is below `least`."""
    if isinstance(count, Expression):
        return count.recorder.note("enough", count, least)
    return count if count >= least else np.nan


def floored(values: Value, floor: Value) -> Value:
    """Return the values, 0 where one is not above the floor; an array is changed in place."""
    if isinstance(values, Expression):
        return values.recorder.note("floored", values, floor)
    np.copyto(values, 0.0, where=values <= floor)
    return values
