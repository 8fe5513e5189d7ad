"""Features of the online engine that need single values, and those made from other features."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from almanac.features import formulas
from almanac.features import nodes as p
from almanac.features.spec import FeatureSpec

Array = npt.NDArray[np.float64]


class Points:
    """Computes values, lags, differences, categories and elapsed times of one prediction time.

    Args:
        spec: the specification.
        places: place of each column in the block.
    """

    def __init__(self, spec: FeatureSpec, places: dict[str, int]) -> None:
        nodes = list(enumerate(spec.nodes))
        changes = [(k, n) for k, n in nodes if isinstance(n, p.Change)]
        picks = [(k, n) for k, n in nodes if isinstance(n, p.Pick) and not isinstance(n, p.Change)]
        coded = [(k, n) for k, n in nodes if isinstance(n, p.Indicator | p.Component)]
        coded.sort(key=lambda pair: places[pair[1].column])
        self._since = [(k, n) for k, n in nodes if isinstance(n, p.Since)]
        self.features = [k for k, _ in [*picks, *changes, *coded, *self._since]]
        self._places = places

        def at(column: str, lag: int) -> int:
            return (places[column] + 1) * spec.reach - 1 - lag

        newest = [at(n.column, n.lag) for _, n in picks] + [at(n.column, 0) for _, n in changes]
        self._newest = np.array(newest, dtype=np.intp)
        self._older = np.array([at(n.column, n.lag) for _, n in changes], dtype=np.intp)
        self._picks, self._ends = len(picks), len(newest)
        self._tables, self._magnitudes = [], []
        place = self._ends
        for column in dict.fromkeys(n.column for _, n in coded):
            mine = [n for _, n in coded if n.column == column]
            lines = [_factors(n, len(spec.categories[column])) for n in mine]
            here = slice(place, place + len(mine))
            self._tables.append((at(column, 0), here, np.array(lines).T.copy(), np.full(len(mine), np.nan)))
            for n in mine:
                if isinstance(n, p.Component):
                    self._magnitudes.append((place, at(n.magnitude, 0)))
                place += 1
        self._elapsed = place

    def write(self, x: Array, source: Array, complete: bool, out: Array) -> None:
        """Write the features to `out`."""
        out[: self._ends] = x.take(self._newest)
        out[self._picks : self._ends] -= x.take(self._older)
        for source_place, here, table, unknown in self._tables:
            code = x.item(source_place)
            out[here] = table[int(code)] if code == code else unknown
        for place, magnitude in self._magnitudes:
            # Adding 0 turns the -0 of a calm from one side into 0.
            out[place] = x.item(magnitude) * out.item(place) + 0.0
        for place, (_, node) in enumerate(self._since, start=self._elapsed):
            above = x[self._places[node.column], x.shape[1] - node.limit :] > node.above
            age = int(above[::-1].argmax())
            out[place] = age if above[len(above) - 1 - age] else node.limit


def _factors(node: p.Node, size: int) -> list[float]:
    """Return what a feature is for each code, for a magnitude of 1 where it has one."""
    if isinstance(node, p.Component):
        return list(node.factors)
    assert isinstance(node, p.Indicator)
    return [float(code == node.code) for code in range(size)]


class Derived:
    """Computes interactions and transforms, in the order of their declaration.

    Args:
        spec: the specification.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._steps = [(k, n) for k, n in enumerate(spec.nodes) if isinstance(n, p.Combine | p.Apply)]

    @property
    def positions(self) -> set[int]:
        """The positions of the features."""
        return {k for k, _ in self._steps}

    def write(self, row: Array) -> None:
        """Write the features to their places in the row that holds the others."""
        for k, node in self._steps:
            if isinstance(node, p.Combine):
                value = _COMBINE[node.operation](row.item(node.left), row.item(node.right))
                row[k] = value + (value - value)
            elif isinstance(node, p.Apply):
                row[k : k + 1] = formulas.apply(node.function, row[node.of : node.of + 1])


_COMBINE: dict[str, Callable[[float, float], float]] = {
    "ratio": lambda left, right: left / right if right else float("nan"),
    "product": lambda left, right: left * right,
    "difference": lambda left, right: left - right,
    "sum": lambda left, right: left + right,
}
