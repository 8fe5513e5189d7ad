"""From the features of a specification to programs: one a column, with or without missing values, and one of the rest.

All programs share their slots: the input columns, what follows from the time, the features computed, lookup tables,
and then buffers.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from components.preprocessing import formulas
from components.preprocessing import nodes as p
from components.preprocessing.execution import Code, kernel
from components.preprocessing.expression import Expression, Recorder, Value, ago, looked_up, since
from components.preprocessing.program import Program
from components.preprocessing.windowed import Windowed

Array = npt.NDArray[np.float64]
Numbered = tuple[tuple[int, p.Node], ...]


class Lowered:
    """The programs of some features.

    Args:
        nodes: the features wanted and those that they are made from, with their positions.
        columns: the input columns that they read.
        centres: what each column's deviations are summed around.
        sizes: number of categories of each column, 0 of one of numbers.
        compiled: whether the kernel is there.

    Attributes:
        timed: the features that follow from the time alone, in the order of their slots.
        computed: the features that are computed, in the order of theirs.
        tables: lookup tables, a row each, in the order of theirs.
        buffers: number of buffers.
        before: most rows before a block's first one that a buffer holds.
    """

    def __init__(
        self,
        nodes: Numbered,
        columns: tuple[str, ...],
        centres: tuple[float, ...],
        sizes: tuple[int, ...],
        compiled: bool,
    ) -> None:
        self._nodes = dict(nodes)
        self._columns = {name: place for place, name in enumerate(columns)}
        self._centres = centres
        self.timed = [k for k, node in nodes if isinstance(node, p.Clock | p.Phase)]
        self.computed = [k for k, node in nodes if not isinstance(node, p.Clock | p.Phase) and type(node) is not p.Pick]
        coded = [(k, n) for k, n in nodes if isinstance(n, p.Indicator | p.Component)]
        self.tables = _tables([node for _, node in coded], max(sizes, default=0))
        time, made = len(columns), len(columns) + len(self.timed)
        table = made + len(self.computed)
        self._inputs = table + len(coded)
        self._time = {k: time + place for place, k in enumerate(self.timed)}
        self._made = {k: made + place for place, k in enumerate(self.computed)}
        self._table = {k: table + place for place, (k, _) in enumerate(coded)}
        self._alone = [(self._column(name, False), self._column(name, True)) for name in columns]
        self._rest = self._joint()
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

    def _column(self, name: str, complete: bool) -> Program:
        """Return the program of the features that one column makes alone, missing values being what matters."""
        recorder, place = Recorder(self._inputs), self._columns[name]
        x = recorder.input(place)
        windowed = Windowed(x, complete, self._centres[place])
        outputs: dict[int, Value] = {}
        for k, node in self._nodes.items():
            if node.inputs != (name,):
                continue
            match node:
                case p.Change():
                    outputs[self._made[k]] = x - ago(x, node.lag)
                case p.Window():
                    outputs[self._made[k]] = windowed.window(node)
                case p.Decay():
                    outputs[self._made[k]] = windowed.decayed(node)
                case p.Season():
                    outputs[self._made[k]] = windowed.season(node)
        return Program(recorder, outputs)

    def _joint(self) -> Program:
        """Return the program of categories, elapsed times, and what is made from other features."""
        recorder = Recorder(self._inputs)
        found: dict[int, Value] = {}

        def column(name: str) -> Expression:
            return recorder.input(self._columns[name])

        def feature(k: int) -> Value:
            node = self._nodes[k]
            if type(node) is p.Pick:
                return ago(column(node.column), node.lag)
            return found[k] if k in found else recorder.input(self._time[k] if k in self._time else self._made[k])

        for k, node in self._nodes.items():
            match node:
                case p.Indicator():
                    found[k] = looked_up(column(node.column), recorder.input(self._table[k]))
                case p.Component():
                    factor = looked_up(column(node.column), recorder.input(self._table[k]))
                    # Adding 0 turns the -0 of a calm from one side into 0.
                    found[k] = column(node.magnitude) * factor + 0.0
                case p.Since():
                    found[k] = since(column(node.column), node.above, node.limit)
                case p.Combine():
                    found[k] = formulas.combine(node.operation, feature(node.left), feature(node.right))
                case p.Apply():
                    found[k] = formulas.apply(node.function, feature(node.of))
        return Program(recorder, {self._made[k]: value for k, value in found.items()})


@lru_cache(maxsize=16)
def lower(
    nodes: Numbered, columns: tuple[str, ...], centres: tuple[float, ...], sizes: tuple[int, ...], compiled: bool
) -> Lowered:
    """Return the programs of some features, made once."""
    return Lowered(nodes, columns, centres, sizes, compiled)


def _tables(nodes: list[p.Indicator | p.Component], size: int) -> Array:
    """Return what each feature is for a missing code and for each code, for a magnitude of 1 where it has one."""
    result = np.full((len(nodes), size + 1), np.nan)
    for row, node in zip(result, nodes, strict=True):
        if isinstance(node, p.Component):
            row[1 : len(node.factors) + 1] = node.factors
        else:
            row[1:] = np.arange(size) == node.code
    return result
