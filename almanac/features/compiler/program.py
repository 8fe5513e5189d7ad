"""From recorded steps to a program: only what the outputs need, over the rows that they need, in few buffers.

Slots are places of rows: inputs and outputs, which lie in tables, and buffers, which are used again once what they hold
has had its last use, so that a program's rows stay in the processor's cache.
"""

from dataclasses import dataclass

from almanac.features.compiler.tracing import Expression, Operand, Recorder, Step, Value


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
    operands: tuple[Operand | float, ...]
    out: int
    before: int
    history: int


class Program:
    """Instructions in order.

    Args:
        recorder: the steps; its inputs are slots of the same numbers.
        outputs: what is wanted, by slot.

    Attributes:
        instructions: what to execute.
        buffers: how many buffers they use; their slots follow the recorder's inputs.
        before: most rows before a block's first one that a buffer holds.
    """

    def __init__(self, recorder: Recorder, outputs: dict[int, Value]) -> None:
        self._recorder = recorder
        wanted = {
            slot: value if isinstance(value, Expression) else recorder.note("positive", value)
            for slot, value in outputs.items()
        }
        self._before = self._rows_before(list(wanted.values()))
        self._bound: dict[int, int] = {}
        copies = [(slot, one) for slot, one in wanted.items() if not self._bind(slot, one)]
        steps = [
            (register, step)
            for register, step in enumerate(recorder.steps, start=recorder.inputs)
            if register in self._before
        ]
        for slot, one in copies:
            # The copy's register exists nowhere else.
            register = recorder.inputs + len(recorder.steps) + slot
            self._bound[register], self._before[register] = slot, 0
            steps.append((register, Step("positive", (Operand(one.register, one.lag),))))
        self._place(steps)
        self.before = max((one.before for one in self.instructions), default=0)

    def _rows_before(self, wanted: list[Expression]) -> dict[int, int]:
        """Return for each register that is needed how many rows before a block's first one are."""
        result: dict[int, int] = {}
        for one in wanted:
            result[one.register] = max(result.get(one.register, 0), one.lag)
        first = self._recorder.inputs
        for place in range(len(self._recorder.steps) - 1, -1, -1):
            if (before := result.get(first + place)) is None:
                continue
            step = self._recorder.steps[place]
            for operand in _registers(step):
                back = before + operand.lag + step.history
                result[operand.register] = max(result.get(operand.register, 0), back)
        return result

    def _bind(self, slot: int, wanted: Expression) -> bool:
        """Let a step write straight to an output, where it can."""
        register = wanted.register
        if register < self._recorder.inputs or self._before[register] or register in self._bound:
            return False
        self._bound[register] = slot
        return True

    def _place(self, steps: list[tuple[int, Step]]) -> None:
        """Give every register a slot."""
        first = self._recorder.inputs
        last = {operand.register: k for k, (_, step) in enumerate(steps) for operand in _registers(step)}
        slots = {register: register for register in range(first)} | self._bound
        free: list[int] = []
        self.buffers = 0
        self.instructions: list[Instruction] = []
        for k, (register, step) in enumerate(steps):
            if register not in slots:
                if not free:
                    free.append(first + self.buffers)
                    self.buffers += 1
                slots[register] = free.pop()
            operands = tuple(
                Operand(slots[one.register], one.lag) if isinstance(one, Operand) else one for one in step.operands
            )
            before = self._before[register]
            self.instructions.append(Instruction(step.operation, operands, slots[register], before, step.history))
            # Only now, as no operation's result may lie where it reads.
            for done in {one.register for one in _registers(step)}:
                if done >= first and done not in self._bound and last[done] == k:
                    free.append(slots[done])


def _registers(step: Step) -> list[Operand]:
    return [operand for operand in step.operands if isinstance(operand, Operand)]
