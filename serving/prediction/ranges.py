"""The policy for inputs beyond the range that the model declares."""

from typing import Literal

from almanac.model.columns import Outside
from almanac.model.model import Model
from monitoring.metrics import OUT_OF_RANGE, Metrics
from serving.runtime.errors import invalid

#: Values that are named by row; the rest is counted.
NAMED = 5

Policy = Literal["warn", "refuse"]


class Ranges:
    """Counts values out of range, and warns about or refuses them.

    Args:
        metrics: the metrics.
        policy: the policy; None as the model says.
    """

    def __init__(self, metrics: Metrics, policy: Policy | None) -> None:
        self._counter = metrics.counter(OUT_OF_RANGE)
        self._policy = policy

    def check_row(self, model: Model, names: list[str]) -> list[str]:
        """Return the warnings about one row, given its features out of range; raises as `check`."""
        return self.check(model, Outside(dict.fromkeys(names, 1), [(0, name) for name in names[:NAMED]]))

    def check(self, model: Model, outside: Outside) -> list[str]:
        """Return the warnings.

        Raises:
            HTTPError: the policy refuses the values.
        """
        for name, count in outside.counts.items():
            self._counter.labels(model.name, name).inc(count)
        columns, lines = model.columns, []
        for row, name in outside.first:
            at = columns.position[name]
            lines.append(f"row {row}, {name}: beyond the declared range {columns.low[at]:g} to {columns.high[at]:g}")
        if rest := sum(outside.counts.values()) - len(outside.first):
            lines.append(f"{rest} more values are out of range")
        if lines and (self._policy or model.out_of_range) == "refuse":
            raise invalid("; ".join(lines))
        return lines
