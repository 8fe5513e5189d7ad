"""Code for one row: every number that a feature is made from is computed once.

A step of a trace stands for a row at each lag; here it becomes one operation for each lag that is asked for. Operations
of one kind that do not need each other form a group, so that the kernel decides little and computes much. All numbers
lie in one array: the columns' newest rows, oldest value first, then clocks, lookup tables, constants, and results.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import assert_never

import numpy as np
import numpy.typing as npt

from almanac.features.compiler.graph import Graph, Wanted
from almanac.features.compiler.operations import OPERATIONS
from almanac.features.compiler.tracing import (
    ClockInput,
    ColumnInput,
    Expression,
    FeatureInput,
    Input,
    Operand,
    Step,
    TableInput,
    Trace,
    Value,
)

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Operations of one kind.

    Attributes:
        operation: its name.
        history: rows before the newest one that `since` reads.
        left: places of the left operands; of the newest one for `since`.
        right: places of the right operands; the left ones where there are none.
        out: place of the first result; the others follow it.
    """

    operation: str
    history: int
    left: Places
    right: Places
    out: int


@dataclass(frozen=True)
class _Operation:
    """An operation on numbers, given by their identities.

    Attributes:
        turn: how many operations outside of the kernel come before it one after the other, itself included.
        depth: how many operations come before it one after the other.
    """

    operation: str
    history: int
    left: int
    right: int
    turn: int
    depth: int

    @property
    def order(self) -> tuple[int, bool, int, str, int]:
        """Groups have the same one, and come in this order."""
        # What NumPy computes comes before the kernel's part of a turn, which may read it.
        return self.turn, OPERATIONS[self.operation].compiled, self.depth, self.operation, self.history


#: Identities: places of inputs count from 0, operations from here on, and constants below 0.
_FIRST_OPERATION = 1 << 32


class RowCode:
    """The operations that make the features of one row.

    Args:
        wanted: the features, all of which are outputs.
        reach: rows of each column.
        complete: whether no value is missing.

    Attributes:
        graph: the features as traced formulas.
        groups: the operations, in order.
        start: the array of numbers before a row's own are written: tables and constants.
        clocks: place of the first clock; they lie in the order of the graph.
        outputs: place of each feature.
    """

    def __init__(self, wanted: Wanted, reach: int, complete: bool) -> None:
        self.graph = Graph(wanted)
        self._reach = reach
        self.clocks = len(wanted.columns) * reach
        self._tables = self.clocks + len(self.graph.clocks)
        self._constants: dict[float, int] = {}
        self._numbers: dict[tuple[str, int, int, int], int] = {}
        self._operations: list[_Operation] = []
        self._steps: dict[tuple[int, int, int], int] = {}
        self._features = {
            k: (part.trace, value) for part in self.graph.parts(complete) for k, value in part.features.items()
        }
        identities = [
            self._input(FeatureInput(k), 0) if node.view is None else self._operand(Trace(), node.view, 0)
            for k, node in wanted.nodes
        ]
        self._lay_out(identities)

    def _value(self, trace: Trace, value: Value) -> int:
        return self._operand(trace, value.operand if isinstance(value, Expression) else float(value), 0)

    def _operand(self, trace: Trace, operand: Operand | float, lag: int) -> int:
        if not isinstance(operand, Operand):
            return -1 - self._constants.setdefault(operand, len(self._constants))
        source, lag = operand.source, operand.lag + lag
        if not isinstance(source, int):
            return self._input(source, lag)
        # Traces number their steps alike, so that a step is known by its trace as well.
        key = id(trace), source, lag
        if key not in self._steps:
            self._steps[key] = self._step(trace, trace.steps[source], lag)
        return self._steps[key]

    def _input(self, source: Input, lag: int) -> int:
        slot = self.graph.slots[source]
        match source:
            case ColumnInput():
                return (slot + 1) * self._reach - 1 - lag
            case ClockInput():
                return self.clocks + slot - len(self.graph.columns)
            case FeatureInput():
                return self._value(*self._features[source.position])
            case TableInput():
                return self._tables + self.graph.tables.index(source) * self.graph.entries.shape[1]
            case _:
                assert_never(source)

    def _step(self, trace: Trace, step: Step, lag: int) -> int:
        left, right = (self._operand(trace, step.operands[side], lag) for side in (0, min(1, len(step.operands) - 1)))
        # A copy is needed between rows of memory only.
        if step.operation == "positive":
            return left
        key = step.operation, step.history, left, right
        if key not in self._numbers:
            before = [self._operations[one - _FIRST_OPERATION] for one in {left, right} if one >= _FIRST_OPERATION]
            turn = max((one.turn for one in before), default=0) + (not OPERATIONS[step.operation].compiled)
            depth = max((one.depth for one in before), default=0) + 1
            self._numbers[key] = _FIRST_OPERATION + len(self._operations)
            self._operations.append(_Operation(*key, turn, depth))
        return self._numbers[key]

    def _lay_out(self, identities: list[int]) -> None:
        """Give every number its place."""
        constants = self._tables + self.graph.entries.size
        first = constants + len(self._constants)
        order = sorted(range(len(self._operations)), key=lambda at: self._operations[at].order)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(first, first + len(order))

        def place(identity: int) -> int:
            if identity >= _FIRST_OPERATION:
                return int(rank[identity - _FIRST_OPERATION])
            return identity if identity >= 0 else constants - 1 - identity

        def places(identities: list[int]) -> Places:
            return np.array([place(identity) for identity in identities], dtype=np.int64)

        self.groups: list[Group] = []
        for _, members in groupby((self._operations[at] for at in order), lambda one: one.order):
            some = list(members)
            left, right = places([one.left for one in some]), places([one.right for one in some])
            self.groups.append(Group(some[0].operation, some[0].history, left, right, first))
            first += len(some)
        self.start = np.zeros(first)
        self.start[self._tables : constants] = self.graph.entries.ravel()
        self.start[constants : constants + len(self._constants)] = list(self._constants)
        self.outputs = places(identities)


@lru_cache(maxsize=16)
def row_code(wanted: Wanted, reach: int, complete: bool) -> RowCode:
    """Return the operations of a row, made once."""
    return RowCode(wanted, reach, complete)
