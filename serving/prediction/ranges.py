"""What is done about inputs beyond the range that the model declares."""

from typing import Literal

from almanac.model.columns import Outside
from almanac.model.model import Model as Target
from monitoring.metrics import OUT_OF_RANGE, Metrics
from serving.runtime.errors import invalid

NAMED = 5
"""Values that are named by row; the rest is counted."""

Policy = Literal["warn", "refuse"]


class Ranges:
    """Counts values out of range, and warns about or refuses them.

    Args:
        metrics: where to count.
        policy: what to do; None as the model says.
    """

    def __init__(self, metrics: Metrics, policy: Policy | None) -> None:
        self._counter = metrics.counter(OUT_OF_RANGE)
        self._policy = policy

    def one(self, target: Target, names: list[str]) -> list[str]:
        """Return the warnings about one row, whose features `names` are out of range; raises as `many` does."""
        return self.many(target, Outside(dict.fromkeys(names, 1), [(0, name) for name in names[:NAMED]]))

    def many(self, target: Target, outside: Outside) -> list[str]:
        """Return the warnings.

        Raises:
            HTTPError: the policy refuses them.
        """
        for name, count in outside.counts.items():
            self._counter.labels(target.name, name).inc(count)
        columns, lines = target.columns, []
        for row, name in outside.first:
            at = columns.position[name]
            lines.append(f"row {row}, {name}: beyond the declared range {columns.low[at]:g} to {columns.high[at]:g}")
        if rest := sum(outside.counts.values()) - len(outside.first):
            lines.append(f"{rest} more values are out of range")
        if lines and (self._policy or target.out_of_range) == "refuse":
            raise invalid("; ".join(lines))
        return lines
