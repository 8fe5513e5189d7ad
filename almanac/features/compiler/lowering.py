"""From recorded formulas to programs over blocks of rows: one a column, with or without gaps, and one of the rest.

All programs share their slots: those of the recordings, and then buffers.
"""

from functools import lru_cache

from almanac.features.compiler.execution import Code, kernel
from almanac.features.compiler.program import Program
from almanac.features.compiler.recordings import Recorded, Recordings, Wanted


class Lowered:
    """The programs of some features.

    Args:
        wanted: the features.
        compiled: whether the kernel is there.

    Attributes:
        timed: the features that follow from the time alone, in the order of their slots.
        computed: the features that are computed, in the order of theirs.
        tables: lookup tables, a row each, in the order of theirs.
        buffers: number of buffers.
        before: most rows before a block's first one that a buffer holds.
    """

    def __init__(self, wanted: Wanted, compiled: bool) -> None:
        recordings = Recordings(wanted)
        self.timed, self.computed, self.tables = list(recordings.timed), list(recordings.computed), recordings.tables
        gaps, whole = ([recordings.column(name, complete) for name in wanted.columns] for complete in (False, True))
        joint = recordings.joint()
        recordings.check([*gaps, joint])
        recordings.check([*whole, joint])
        self._alone = [(_program(one), _program(other)) for one, other in zip(gaps, whole, strict=True)]
        self._rest = _program(joint)
        programs = [*(program for both in self._alone for program in both), self._rest]
        self.buffers = max(program.buffers for program in programs)
        self.before = max(program.before for program in programs)
        self._kernel = kernel() if compiled else None
        self._codes: dict[tuple[bool, ...], Code] = {}

    def code(self, complete: tuple[bool, ...]) -> Code:
        """Return what computes a block.

        Args:
            complete: of each column whether the block, with the rows that it looks back on, misses no value.
        """
        if complete not in self._codes:
            chosen = [both[whole] for both, whole in zip(self._alone, complete, strict=True)]
            instructions = [one for program in [*chosen, self._rest] for one in program.instructions]
            self._codes[complete] = Code(instructions, self._kernel)
        return self._codes[complete]


def _program(recorded: Recorded) -> Program:
    return Program(recorded.recorder, recorded.outputs)


@lru_cache(maxsize=16)
def lower(wanted: Wanted, compiled: bool) -> Lowered:
    """Return the programs of some features, made once."""
    return Lowered(wanted, compiled)
