"""From recorded formulas to the numbers of one row: every value that a feature is made from is computed once.

A step of a recording stands for a row at each lag; here it becomes one operation for each lag that is asked for.
Operations of the same kind that do not need each other form a group, so that the kernel decides little and computes
much. All numbers lie in one array: the columns' newest rows, oldest value first, what follows from the time, the lookup
tables, constants, and then results.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
import numpy.typing as npt

from almanac.features import nodes as p
from almanac.features.compiler.operations import KERNEL
from almanac.features.compiler.recordings import Recorded, Recordings, Wanted
from almanac.features.compiler.tracing import Expression, Operand, Step, Value

Array = npt.NDArray[np.float64]
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
class _Scalar:
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
        return self.turn, self.operation in KERNEL, self.depth, self.operation, self.history


class Scalars:
    """The operations that make the features of one row.

    Args:
        wanted: the features, which are all given out.
        reach: rows of each column.
        complete: whether no value is missing.

    Attributes:
        groups: what to compute, in order.
        start: the array of numbers before a row's own are written: tables and constants.
        timed: place of the first of the features that follow from the time alone; they lie in order.
        wanted: place of each feature.
    """

    def __init__(self, wanted: Wanted, reach: int, complete: bool) -> None:
        nodes, columns = wanted.nodes, wanted.columns
        self._given = Recordings(wanted)
        self._reach = reach
        self.timed = len(columns) * reach
        self._tables = self.timed + len(self._given.timed)
        self._constants: dict[float, int] = {}
        self._scalars: dict[tuple[str, int, int, int], int] = {}
        self._made: list[_Scalar] = []
        self._known: dict[tuple[int, int, int], int] = {}
        parts = [*(self._given.column(name, complete) for name in columns), self._given.joint()]
        self._given.check(parts)
        self._source = {slot: part for part in parts for slot in part.outputs}
        identities = [self._feature(k, node) for k, node in nodes]
        self._lay_out(identities)

    def _feature(self, k: int, node: p.Node) -> int:
        if k in self._given.timed:
            return self._input(self._given.timed[k], 0)
        if type(node) is p.Pick:
            return self._input(self._given.columns[node.column], node.lag)
        slot = self._given.computed[k]
        return self._value(self._source[slot], self._source[slot].outputs[slot])

    # Identities: places of what is given count from 0, operations from 2^32 on, and constants below 0.

    def _value(self, part: Recorded, value: Value) -> int:
        if isinstance(value, Expression):
            return self._register(part, value.register, value.lag)
        return -1 - self._constants.setdefault(float(value), len(self._constants))

    def _operand(self, part: Recorded, operand: Operand | float, lag: int) -> int:
        if isinstance(operand, Operand):
            return self._register(part, operand.register, operand.lag + lag)
        return self._value(part, operand)

    def _register(self, part: Recorded, register: int, lag: int) -> int:
        if register < self._given.slots:
            return self._input(register, lag)
        key = id(part), register, lag
        if key not in self._known:
            self._known[key] = self._step(part, part.recorder.steps[register - part.recorder.inputs], lag)
        return self._known[key]

    def _input(self, slot: int, lag: int) -> int:
        given = self._given
        if slot < len(given.columns):
            return (slot + 1) * self._reach - 1 - lag
        if slot < len(given.columns) + len(given.timed):
            return self.timed + slot - len(given.columns)
        if slot >= given.first_table:
            return self._tables + (slot - given.first_table) * int(given.tables.shape[1])
        source = self._source[slot]
        return self._value(source, source.outputs[slot])

    def _step(self, part: Recorded, step: Step, lag: int) -> int:
        if step.operation == "looked_up":
            code, table = step.operands
            assert isinstance(table, Operand)
            return self._note("looked_up", 0, self._operand(part, code, lag), self._input(table.register, 0))
        operands = [self._operand(part, one, lag) for one in step.operands[:2]]
        if step.operation == "positive":
            return operands[0]
        return self._note(step.operation, step.history, operands[0], operands[-1])

    def _note(self, operation: str, history: int, left: int, right: int) -> int:
        key = operation, history, left, right
        if key not in self._scalars:
            before = [self._made[one - _MADE] for one in {left, right} if one >= _MADE]
            turn = max((one.turn for one in before), default=0) + (operation not in KERNEL)
            depth = max((one.depth for one in before), default=0) + 1
            self._scalars[key] = _MADE + len(self._made)
            self._made.append(_Scalar(*key, turn, depth))
        return self._scalars[key]

    def _lay_out(self, identities: list[int]) -> None:
        """Give every number its place."""
        tables = self._given.tables.ravel()
        constants = self._tables + len(tables)
        first = constants + len(self._constants)
        order = sorted(range(len(self._made)), key=lambda at: self._made[at].order)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(first, first + len(order))

        def places(some: list[int]) -> Places:
            return np.array(
                [rank[one - _MADE] if one >= _MADE else one if one >= 0 else constants - 1 - one for one in some],
                dtype=np.int64,
            )

        self.groups = []
        for _, members in groupby((self._made[at] for at in order), lambda one: one.order):
            some = list(members)
            left, right = places([one.left for one in some]), places([one.right for one in some])
            self.groups.append(Group(some[0].operation, some[0].history, left, right, first))
            first += len(some)
        self.start = np.zeros(first)
        self.start[self._tables : constants] = tables
        self.start[constants : constants + len(self._constants)] = list(self._constants)
        self.wanted = places(identities)


_MADE = 1 << 32


@lru_cache(maxsize=16)
def scalars(wanted: Wanted, reach: int, complete: bool) -> Scalars:
    """Return the operations of a row, made once."""
    return Scalars(wanted, reach, complete)
