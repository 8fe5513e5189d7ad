"""Features of the online engine that need single values, and those made from other features."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.preprocessing import formulas
from components.preprocessing import nodes as p
from components.preprocessing.spec import FeatureSpec

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
        self._others = [(k, n) for k, n in nodes if isinstance(n, p.Indicator | p.Component | p.Since)]
        self.features = [k for k, _ in [*picks, *changes, *self._others]]
        self._places = places

        def at(column: str, lag: int) -> int:
            return (places[column] + 1) * spec.reach - 1 - lag

        newest = [at(n.column, n.lag) for _, n in picks] + [at(n.column, 0) for _, n in changes]
        self._newest = np.array(newest, dtype=np.intp)
        self._older = np.array([at(n.column, n.lag) for _, n in changes], dtype=np.intp)
        self._picks, self._ends = len(picks), len(newest)

    def write(self, x: Array, source: Array, time_us: int, out: Array) -> None:
        """Write the features to `out`."""
        out[: self._ends] = x.take(self._newest)
        out[self._picks : self._ends] -= x.take(self._older)
        for place, (_, node) in enumerate(self._others, start=self._ends):
            out[place] = self._other(x, node)

    def _other(self, x: Array, node: p.Node) -> float:
        if isinstance(node, p.Since):
            above = x[self._places[node.column], x.shape[1] - node.limit :] > node.above
            age = int(above[::-1].argmax())
            return float(age if above[len(above) - 1 - age] else node.limit)
        assert isinstance(node, p.Indicator | p.Component)
        code = float(x[self._places[node.column], -1])
        if code != code:
            return code
        if isinstance(node, p.Indicator):
            return float(code == node.code)
        return float(x[self._places[node.magnitude], -1]) * node.factors[int(code)] + 0.0


class Derived:
    """Computes interactions and transforms, in the order of their declaration.

    Args:
        spec: the specification.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._steps = [(k, n) for k, n in enumerate(spec.nodes) if isinstance(n, p.Combine | p.Apply)]

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
