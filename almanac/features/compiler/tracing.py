"""Tracing: a formula that is called with symbols instead of arrays leaves the steps that compute it.

Each operation is noted as a step, the same one only once, and its result is a symbol again; `ago` looks back in time.
Numbers stay numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from almanac.core.errors import FeatureError
from almanac.features.compiler.operations import OPERATIONS

#: A symbol or a number.
Value = Any

#: The lag of a lookup table, which has no rows.
WHOLE = -1


class Clock(Protocol):
    """A source of numbers that depend on the time only; hashable, with equal clocks giving equal numbers."""

    @property
    def cycle(self) -> int | None:
        """Seconds after which the numbers repeat; None where they do not."""

    def rows(self, seconds: npt.NDArray[np.int64], which: Sequence[int]) -> Sequence[npt.NDArray[np.float64]]:
        """Return some of the numbers at ascending times, in seconds since the epoch."""

    def row(self, second: int) -> Sequence[float]:
        """Return all numbers at one time; the same bits as `rows`."""


@dataclass(frozen=True)
class ColumnInput:
    """An input column, with its gaps imputed or as it was read."""

    name: str
    raw: bool = False


@dataclass(frozen=True)
class ClockInput:
    """One of the numbers of a clock."""

    clock: Clock
    which: int


@dataclass(frozen=True)
class FeatureInput:
    """Another feature, by its position."""

    position: int


@dataclass(frozen=True)
class TableInput:
    """A lookup table by code; a missing code gives NaN."""

    entries: tuple[float, ...]


Input = ColumnInput | ClockInput | FeatureInput | TableInput
#: An input, or the number of the step that computes the values.
Source = Input | int


@dataclass(frozen=True)
class Operand:
    """The values of a source `lag` rows ago."""

    source: Source
    lag: int = 0


@dataclass(frozen=True)
class Step:
    """An elementary operation on sources and numbers."""

    operation: str
    operands: tuple[Operand | float, ...]

    @property
    def history(self) -> int:
        """Rows before the first one of the result that the operation reads."""
        return int(self.operands[2]) - 1 if self.operation == "since" else 0  # type: ignore[arg-type]

    @property
    def reads(self) -> list[Operand]:
        """The operands that are no numbers."""
        return [operand for operand in self.operands if isinstance(operand, Operand)]


class Trace:
    """The steps that formulas leave.

    Attributes:
        steps: in order; a step needs only steps before it.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._numbers: dict[Step, int] = {}

    def note(self, operation: str, *operands: Value) -> "Expression":
        """Return the result of an operation."""
        taken = (one.operand if isinstance(one, Expression) else float(one) for one in operands)
        step = Step(operation, tuple(taken))
        # Equal steps share a result: windows of one column have most of their sums in common.
        if step not in self._numbers:
            self._numbers[step] = len(self.steps)
            self.steps.append(step)
        return Expression(self, Operand(self._numbers[step]))


class Expression(NDArrayOperatorsMixin):
    """The symbol of an operand; operators and NumPy's ufuncs note steps."""

    def __init__(self, trace: Trace, operand: Operand) -> None:
        self.trace = trace
        self.operand = operand

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Value, **options: Any) -> "Expression":
        if method != "__call__" or options or ufunc.__name__ not in OPERATIONS:
            raise TypeError(f"{ufunc.__name__} is no elementary operation; use one of {', '.join(OPERATIONS)}")
        return self.trace.note(ufunc.__name__, *operands)


def ago(value: Value, rows: int) -> Value:
    """Return a value `rows` rows earlier; a number is the same at all times."""
    if rows < 0:
        raise FeatureError(f"a formula looks {-rows} rows ahead; expected rows at or before the newest known one")
    if not rows or not isinstance(value, Expression):
        return value
    return Expression(value.trace, Operand(value.operand.source, value.operand.lag + rows))


def present(values: Expression) -> Expression:
    """Return 1 where there is a value, else 0."""
    return values.trace.note("present", values)


def filled(values: Expression) -> Expression:
    """Return the values, 0 where one is missing."""
    return values.trace.note("filled", values)


def enough(count: Value, least: float) -> Value:
    """Return the count, NaN where it is below `least`."""
    if isinstance(count, Expression):
        return count.trace.note("enough", count, least)
    return count if count >= least else np.nan


def floored(values: Expression, floor: Value) -> Expression:
    """Return the values, 0 where one is not above the floor."""
    return values.trace.note("floored", values, floor)


def since(values: Expression, above: float, limit: int) -> Expression:
    """Return how many rows ago a column was above a value, at most `limit`."""
    # For one row the kernel reads backwards from the newest value, and only columns lie row after row.
    if not isinstance(values.operand.source, ColumnInput):
        raise FeatureError("`since` reads a column; expected the values of one, got the result of an operation")
    return values.trace.note("since", values, above, limit)


def looked_up(codes: Expression, entries: Sequence[float]) -> Expression:
    """Return the entry for each code; NaN for a missing code."""
    table = Expression(codes.trace, Operand(TableInput(tuple(entries)), WHOLE))
    return codes.trace.note("looked_up", codes, table)
