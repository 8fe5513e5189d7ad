"""The features of a specification as recorded formulas: those that one column makes alone, and those of several.

All of them share their slots: the input columns, what follows from the time, the features computed, and lookup tables.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from almanac.core.errors import FeatureError
from almanac.features import formulas
from almanac.features import nodes as p
from almanac.features.compiler.tracing import Expression, Recorder, Value, ago, looked_up, since
from almanac.features.spec import FeatureSpec
from almanac.features.windowed import Windowed

Array = npt.NDArray[np.float64]
Numbered = tuple[tuple[int, p.Node], ...]


@dataclass(frozen=True)
class Recorded:
    """Steps, and what is wanted of them.

    Attributes:
        recorder: the steps; its inputs are slots of the same numbers.
        outputs: what each slot of a computed feature is to hold.
    """

    recorder: Recorder
    outputs: dict[int, Value]


class Wanted(NamedTuple):
    """What is to be computed, and from what.

    Attributes:
        nodes: the features wanted and those that they are made from, with their positions.
        columns: the input columns that they read.
        centres: what each column's deviations are summed around.
        sizes: number of categories of each column, 0 of one of numbers.
    """

    nodes: Numbered
    columns: tuple[str, ...]
    centres: tuple[float, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, spec: FeatureSpec, nodes: Sequence[tuple[int, p.Node]], columns: Sequence[str]) -> Self:
        """Return some features of a specification, and the columns that they read."""
        centres = tuple(spec.centres.get(name, 0.0) for name in columns)
        sizes = tuple(len(spec.categories.get(name, ())) for name in columns)
        return cls(tuple(nodes), tuple(columns), centres, sizes)


class Recordings:
    """The formulas of some features.

    Args:
        wanted: the features.

    Attributes:
        columns: slot of each input column.
        timed: slot of each feature that follows from the time alone, by its position.
        computed: slot of each feature that is computed.
        tables: lookup tables, a row each, in the order of their slots.
        first_table: slot of the first table.
        slots: number of all slots.
    """

    def __init__(self, wanted: Wanted) -> None:
        nodes, columns, centres, sizes = wanted
        self._nodes = dict(nodes)
        self._centres = centres
        timed = [k for k, node in nodes if isinstance(node, p.Clock | p.Phase)]
        computed = [k for k, node in nodes if not isinstance(node, p.Clock | p.Phase) and type(node) is not p.Pick]
        coded = [(k, n) for k, n in nodes if isinstance(n, p.Indicator | p.Component)]
        self.columns = {name: place for place, name in enumerate(columns)}
        self.timed = {k: len(columns) + place for place, k in enumerate(timed)}
        self.computed = {k: len(columns) + len(timed) + place for place, k in enumerate(computed)}
        self.tables = _tables([node for _, node in coded], max(sizes, default=0))
        self.first_table = len(columns) + len(timed) + len(computed)
        self.slots = self.first_table + len(coded)
        self._table = {k: self.first_table + place for place, (k, _) in enumerate(coded)}

    def column(self, name: str, complete: bool) -> Recorded:
        """Return the features that one column makes alone, missing values being what matters."""
        recorder, place = Recorder(self.slots), self.columns[name]
        x = recorder.input(place)
        windowed = Windowed(x, complete, self._centres[place])
        outputs: dict[int, Value] = {}
        for k, node in self._nodes.items():
            if node.inputs != (name,):
                continue
            match node:
                case p.Change():
                    outputs[self.computed[k]] = x - ago(x, node.lag)
                case p.Window():
                    outputs[self.computed[k]] = windowed.window(node)
                case p.Decay():
                    outputs[self.computed[k]] = windowed.decayed(node)
                case p.Season():
                    outputs[self.computed[k]] = windowed.season(node)
                case _:
                    # The rest belongs to `joint`; `check` sees that nothing is left out.
                    continue
        return Recorded(recorder, outputs)

    def joint(self) -> Recorded:
        """Return categories, elapsed times, and what is made from other features."""
        recorder = Recorder(self.slots)
        found: dict[int, Value] = {}

        def column(name: str) -> Expression:
            return recorder.input(self.columns[name])

        def feature(k: int) -> Value:
            node = self._nodes[k]
            if type(node) is p.Pick:
                return ago(column(node.column), node.lag)
            return found[k] if k in found else recorder.input(self.timed[k] if k in self.timed else self.computed[k])

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
                case _:
                    # The rest belongs to `column`.
                    continue
        return Recorded(recorder, {self.computed[k]: value for k, value in found.items()})

    def check(self, parts: Sequence[Recorded]) -> None:
        """Check that each feature is computed by exactly one of the parts.

        Raises:
            FeatureError: one is not, and would be whatever the memory holds.
        """
        times = Counter(slot for part in parts for slot in part.outputs)
        for k, slot in self.computed.items():
            if times[slot] != 1:
                node = self._nodes[k]
                raise FeatureError(
                    f"feature {node.name}: {times[slot]} formulas compute a {type(node).__name__}; expected exactly one"
                )


def _tables(nodes: list[p.Indicator | p.Component], size: int) -> Array:
    """Return what each feature is for a missing code and for each code, for a magnitude of 1 where it has one."""
    result = np.full((len(nodes), size + 1), np.nan)
    for row, node in zip(result, nodes, strict=True):
        if isinstance(node, p.Component):
            row[1 : len(node.factors) + 1] = node.factors
        else:
            row[1:] = np.arange(size) == node.code
    return result
