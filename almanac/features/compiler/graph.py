"""Graph of the formulas that are compiled together.

Features that read a single column are traced column by column, in a form for rows without a missing value and in one
for all others; the rest is traced together.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from almanac.core.errors import FeatureError
from almanac.features.compiler.formula import Inputs, Node, value_of
from almanac.features.compiler.tracing import ClockInput, ColumnInput, FeatureInput, Input, TableInput, Trace, Value


class Wanted(NamedTuple):
    """The features to compile, and the columns that they read.

    Attributes:
        nodes: the features and those that they are made from, with their positions.
        columns: input columns; those that are read before imputation are columns of their own.
        centres: of each column.
    """

    nodes: tuple[tuple[int, Node], ...]
    columns: tuple[ColumnInput, ...]
    centres: tuple[float, ...]


@dataclass(frozen=True)
class Traced:
    """Steps, and the value of each feature that is computed from them, by position."""

    trace: Trace
    features: dict[int, Value]


class Graph:
    """The traced formulas of some features, and the slots of their inputs.

    Args:
        wanted: the features.

    Attributes:
        slots: number of each input: columns, clocks, features that are computed, and tables, in this order.
        columns, clocks, computed, tables: the inputs of each sort, in the order of their slots.
        entries: the lookup tables, a row each: the entry of a missing code, and those of the codes.

    Raises:
        FeatureError: a feature is not computed by exactly one formula.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._nodes = dict(wanted.nodes)
        self._centres = {one.name: centre for one, centre in zip(wanted.columns, wanted.centres, strict=True)}
        inputs = dict.fromkeys(one for _, node in wanted.nodes for one in node.inputs)
        self.columns = list(wanted.columns)
        self.clocks = [one for one in inputs if isinstance(one, ClockInput)]
        self.computed = [FeatureInput(k) for k, node in wanted.nodes if node.view is None]
        self.tables = [one for one in inputs if isinstance(one, TableInput)]
        order: list[Input] = [*self.columns, *self.clocks, *self.computed, *self.tables]
        self.slots = {one: slot for slot, one in enumerate(order)}
        width = 1 + max((len(one.entries) for one in self.tables), default=0)
        # One matrix for all tables, since a slot is a row of a matrix; shorter tables end in NaN.
        self.entries = np.full((len(self.tables), width), np.nan)
        for row, one in zip(self.entries, self.tables, strict=True):
            # The first entry stays NaN, for a missing code.
            row[1 : 1 + len(one.entries)] = one.entries

    def parts(self, complete: bool) -> list[Traced]:
        """Return the formulas of each column's own features, in order, and of all others.

        Args:
            complete: whether no value of the columns is missing; the others take them as they come.
        """
        parts = [self._part(one, complete) for one in self.columns]
        # Several columns are seldom complete together, so that one form of these is enough.
        parts.append(self._part(None, False))
        # An output that no program writes would be whatever the memory holds.
        times = Counter(k for part in parts for k in part.features)
        if wrong := [one.position for one in self.computed if times[one.position] != 1]:
            name = self._nodes[wrong[0]].name
            raise FeatureError(f"feature {name}: is computed {times[wrong[0]]} times; expected exactly once")
        return parts

    def _part(self, column: ColumnInput | None, complete: bool) -> Traced:
        before = {node.name: (k, node) for k, node in self._nodes.items()}
        inputs = Inputs(Trace(), before, complete, self._centres)
        values: dict[int, Value] = {}
        for k, node in self._nodes.items():
            if node.view is None and node.column == column:
                values[k] = inputs.values[node.name] = value_of(node.feature, inputs)
        return Traced(inputs.trace, values)
