"""Allocation: the steps that outputs need become instructions on slots, with few buffers.

Slots are rows of numbers: inputs and outputs, which lie in tables, and buffers. A buffer is used again after the last
use of its values, so that a program's rows stay in the processor's cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from almanac.features.compiler.tracing import Expression, Input, Operand, Step, Trace, Value


@dataclass(frozen=True)
class Slot:
    """The values of a slot `lag` rows ago."""

    number: int
    lag: int


@dataclass(frozen=True)
class Instruction:
    """A step on slots.

    Attributes:
        operation: its name.
        operands: slots with lags, and numbers.
        out: slot of the result.
        before: rows before the block's first one for which it is computed as well.
        history: further rows before those that the operation reads.
    """

    operation: str
    operands: tuple[Slot | float, ...]
    out: int
    before: int
    history: int


class Program:
    """Instructions in order.

    Args:
        trace: the steps.
        outputs: the value of each output slot.
        slots: slot of each input.
        first: slot of the first buffer.

    Attributes:
        instructions: the instructions.
        buffers: how many buffers they use.
        before: most rows before a block's first one that a buffer holds.
    """

    def __init__(self, trace: Trace, outputs: Mapping[int, Value], slots: Mapping[Input, int], first: int) -> None:
        self._inputs, self._first = slots, first
        results = {
            slot: (value if isinstance(value, Expression) else trace.note("positive", value)).operand
            for slot, value in outputs.items()
        }
        before = _rows_before(trace.steps, list(results.values()))
        steps = [(number, trace.steps[number]) for number in sorted(before)]
        bound: dict[int, int] = {}
        for slot, one in results.items():
            # A step writes straight to one output where it can; others are copies.
            if isinstance(one.source, int) and not before[one.source] and one.source not in bound:
                bound[one.source] = slot
            else:
                copy = len(trace.steps) + slot
                bound[copy], before[copy] = slot, 0
                steps.append((copy, Step("positive", (one,))))
        self._allocate(steps, bound, before)
        self.before = max((one.before for one in self.instructions), default=0)

    def _allocate(self, steps: list[tuple[int, Step]], bound: dict[int, int], before: dict[int, int]) -> None:
        """Give the result of every step a slot."""
        last = {one.source: k for k, (_, step) in enumerate(steps) for one in step.reads}
        slots = dict(bound)
        free: list[int] = []
        self.buffers = 0
        self.instructions: list[Instruction] = []
        for k, (number, step) in enumerate(steps):
            if number not in slots:
                if not free:
                    free.append(self._first + self.buffers)
                    self.buffers += 1
                slots[number] = free.pop()
            operands = tuple(self._slot(one, slots) if isinstance(one, Operand) else one for one in step.operands)
            self.instructions.append(Instruction(step.operation, operands, slots[number], before[number], step.history))
            # Only now, as no operation may write where it reads.
            for done in {one.source for one in step.reads if isinstance(one.source, int)}:
                if done not in bound and last[done] == k:
                    free.append(slots[done])

    def _slot(self, one: Operand, slots: dict[int, int]) -> Slot:
        return Slot(slots[one.source] if isinstance(one.source, int) else self._inputs[one.source], one.lag)


def _rows_before(steps: list[Step], results: list[Operand]) -> dict[int, int]:
    """Return of each step that the results need how many rows before a block's first one are needed."""
    before: dict[int, int] = {}

    def need(one: Operand, rows: int) -> None:
        if isinstance(one.source, int):
            before[one.source] = max(before.get(one.source, 0), one.lag + rows)

    for one in results:
        need(one, 0)
    # Backwards, so that all uses of a step are known when it is met.
    for number in range(len(steps) - 1, -1, -1):
        if number in before:
            for one in steps[number].reads:
                need(one, before[number] + steps[number].history)
    return before
