"""The part of a target's chapter that shows every step up to its horizon."""

from collections.abc import Iterator
from typing import Any

from almanac.evaluation.labels import label
from almanac.reports import Block, Details, Note, Table

_METRICS = ("rmse", "mae", "smape", "mase_median", "coverage")


def steps(figures: dict[str, Any]) -> Iterator[Block]:
    """Yield the figures of all steps together, and of each.

    Args:
        figures: the target's `steps` in metrics.json.
    """
    metrics = [metric for metric in _METRICS if metric in figures]
    yield Note(
        f"{figures['count']} steps from {figures['origins']} origins. Each step is forecast by the target with the "
        "nearest horizon that is not before it, from what was known that much earlier."
    )
    rows = [_row("model", figures, metrics)]
    for name, each in figures["baselines"].items():
        if each["n"] < figures["n"]:
            rows.append(_row(f"model where {name} has a forecast", each["model"], metrics))
        rows.append(_row(name, each, metrics))
    yield Table(["All steps", "Rows", *map(label, metrics)], rows, digits=3)
    each = [
        [number, step["target"], step["n"], *(step.get(metric) for metric in metrics)]
        for number, step in figures["by_step"].items()
    ]
    yield Details("Every step in figures", [Table(["Step", "By", "Rows", *map(label, metrics)], each, digits=3)])


def _row(name: str, figures: dict[str, Any], metrics: list[str]) -> list[Any]:
    return [name, figures["n"], *(figures.get(metric) for metric in metrics)]
