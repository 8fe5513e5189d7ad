"""Code for blocks of rows: a program for each column, with or without missing values, and one for all other features.

All programs share their slots: those of the graph, and then buffers.
"""

from functools import lru_cache

from almanac.features.compiler.allocate import Program
from almanac.features.compiler.execute import Code, kernel
from almanac.features.compiler.graph import Graph, Traced, Wanted
from almanac.features.compiler.tracing import FeatureInput


class BatchCode:
    """The programs of some features.

    Args:
        wanted: the features.
        compiled: whether to use the kernel.

    Attributes:
        graph: the features as traced formulas.
        buffers: number of buffers.
        before: most rows before a block's first one that a buffer holds.
    """

    def __init__(self, wanted: Wanted, compiled: bool) -> None:
        self.graph = Graph(wanted)
        gaps, whole = ([self._program(part) for part in self.graph.parts(complete)] for complete in (False, True))
        self._columns = list(zip(gaps[:-1], whole[:-1], strict=True))
        self._rest = gaps[-1]
        self.buffers = max(program.buffers for program in [*gaps, *whole])
        self.before = max(program.before for program in [*gaps, *whole])
        self._kernel = kernel() if compiled else None
        self._codes: dict[tuple[bool, ...], Code] = {}

    def code(self, complete: tuple[bool, ...]) -> Code:
        """Return the code for a block.

        Args:
            complete: of each column whether the block, with the rows that it looks back on, misses no value.
        """
        # Few combinations of complete columns occur, each of them in many blocks.
        if complete not in self._codes:
            programs = [both[whole] for both, whole in zip(self._columns, complete, strict=True)]
            instructions = [one for program in [*programs, self._rest] for one in program.instructions]
            self._codes[complete] = Code(instructions, self._kernel)
        return self._codes[complete]

    def _program(self, part: Traced) -> Program:
        slots = self.graph.slots
        outputs = {slots[FeatureInput(k)]: value for k, value in part.features.items()}
        return Program(part.trace, outputs, slots, len(slots))


@lru_cache(maxsize=16)
def batch_code(wanted: Wanted, compiled: bool) -> BatchCode:
    """Return the programs of some features, made once."""
    return BatchCode(wanted, compiled)
