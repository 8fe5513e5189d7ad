"""Differences, categories, elapsed times, interactions and transforms of the batch engine."""

from collections.abc import Callable

import numpy as np

from components.preprocessing import formulas
from components.preprocessing import nodes as p
from components.preprocessing.sheet import Array, Sheet, stretches

Numbered = list[tuple[int, p.Node]]


class Changes:
    """Computes differences from earlier values, of neighbouring columns together.

    Args:
        nodes: the features wanted, with their positions.
        places: place of each column in a sheet.
    """

    def __init__(self, nodes: Numbered, places: dict[str, int]) -> None:
        changes = [(k, n) for k, n in nodes if isinstance(n, p.Change)]
        changes.sort(key=lambda pair: (pair[1].lag, places[pair[1].column]))
        self.features = [k for k, _ in changes]
        self._steps = []
        for lag in dict.fromkeys(n.lag for _, n in changes):
            rows = [row for row, (_, n) in enumerate(changes) if n.lag == lag]
            columns = [places[changes[row][1].column] for row in rows]
            self._steps += [(lag, of, to) for of, to in stretches(columns, rows)]

    def write(self, sheet: Sheet, out: Array) -> None:
        """Write the features to `out`, shape (features, n)."""
        for lag, of, to in self._steps:
            np.subtract(sheet.at(of, 0), sheet.at(of, lag), out=out[to])


class Categories:
    """Computes indicators, and components of a vector, from tables over the codes.

    Args:
        nodes: the features wanted, with their positions.
        places: place of each column in a sheet.
        sizes: number of categories of each category column.
    """

    def __init__(self, nodes: Numbered, places: dict[str, int], sizes: dict[str, int]) -> None:
        mine = [(k, n) for k, n in nodes if isinstance(n, p.Indicator | p.Component)]
        mine.sort(key=lambda pair: places[pair[1].column])
        self.features = [k for k, _ in mine]
        self._tables = []
        for column in dict.fromkeys(n.column for _, n in mine):
            rows = [row for row, (_, n) in enumerate(mine) if n.column == column]
            # The first entry is that of a missing code.
            table = np.full((len(rows), sizes[column] + 1), np.nan)
            for line, row in zip(table, rows, strict=True):
                line[1:] = self._line(mine[row][1], sizes[column])
            self._tables.append((places[column], slice(rows[0], rows[-1] + 1), table))
        self._magnitudes = [(row, places[n.magnitude]) for row, (_, n) in enumerate(mine) if isinstance(n, p.Component)]

    @staticmethod
    def _line(node: p.Node, size: int) -> Array:
        if isinstance(node, p.Component):
            return np.array(node.factors)
        assert isinstance(node, p.Indicator)
        return np.asarray(np.arange(size) == node.code, dtype=np.float64)

    def write(self, sheet: Sheet, out: Array) -> None:
        """Write the features to `out`, shape (features, n)."""
        for column, rows, table in self._tables:
            codes = np.add(sheet.at(column, 0), 1.0)
            if not sheet.complete[column]:
                np.copyto(codes, 0.0, where=np.isnan(codes))
            places = codes.astype(np.intp)
            for line, row in zip(table, out[rows], strict=True):
                np.take(line, places, out=row, mode="clip")
        for place, magnitude in self._magnitudes:
            row = out[place]
            np.multiply(sheet.at(magnitude, 0), row, out=row)
            # Adding 0 turns the -0 of a calm from one side into 0.
            np.add(row, 0.0, out=row)


class Elapsed:
    """Computes the steps since a condition last held.

    Args:
        nodes: the features wanted, with their positions.
        places: place of each column in a sheet.
    """

    def __init__(self, nodes: Numbered, places: dict[str, int]) -> None:
        mine = [(k, n) for k, n in nodes if isinstance(n, p.Since)]
        self.features = [k for k, _ in mine]
        self._nodes = [(n, places[n.column]) for _, n in mine]

    def write(self, sheet: Sheet, out: Array) -> None:
        """Write the features to `out`, shape (features, n)."""
        for (node, column), row in zip(self._nodes, out, strict=True):
            place = np.arange(sheet.x.shape[1])
            last = np.where(sheet.x[column] > node.above, place, -node.limit)
            np.maximum.accumulate(last, out=last)
            np.minimum((place - last)[sheet.first :], node.limit, out=row, casting="unsafe")


class Derived:
    """Computes interactions and transforms, in the order of their declaration.

    Args:
        nodes: the features wanted, with their positions.
    """

    def __init__(self, nodes: Numbered) -> None:
        self._nodes = [(k, n) for k, n in nodes if isinstance(n, p.Combine | p.Apply)]
        self.features = [k for k, _ in self._nodes]

    def write(self, feature: Callable[[int], Array], out: Array) -> None:
        """Write the features to `out`, shape (features, n); `feature` gives those that they are made from."""
        for (_, node), row in zip(self._nodes, out, strict=True):
            if isinstance(node, p.Combine):
                formulas.combine(node.operation, feature(node.left), feature(node.right), row)
            elif isinstance(node, p.Apply):
                formulas.apply(node.function, feature(node.of), row)
