"""The part of a target's chapter that shows a panel's entities."""

from collections.abc import Iterator
from typing import Any

from almanac.evaluation.labels import TRAINING, label
from almanac.reports import Block, Details, Note, Table

_METRICS = ("rmse", "mae", "log_loss", "brier", "bias", "smape", "mase", "coverage")


def entities(entry: dict[str, Any]) -> Iterator[Block]:
    """Yield the figures of all rows, the median, the worst and, where there are not too many, all entities."""
    figures = entry["entities"]
    metrics = [metric for metric in _METRICS if metric in figures["median"]]
    unseen = figures["unseen"]
    yield Note(
        f"{figures['count']:,} entities, {_unseen(unseen)}. The worst are those with the largest "
        f"{label(figures['ranked_by'])} of at least {entry['fewest_rows']} rows."
    )
    header = ["Entity", "Rows", *map(label, metrics)]
    everything = ["all rows", entry["n"], *(_overall(entry, metric) for metric in metrics)]
    parts = [
        [f"{value} entities", part["n"], *(part.get(metric) for metric in metrics)]
        for value, part in entry["slices"].get(TRAINING, {}).items()
    ]
    median = ["median of the entities", None, *(figures["median"][metric] for metric in metrics)]
    worst = [_row(row["entity"], row, metrics) for row in figures["worst"]]
    yield Table(header, [everything, *parts, median, *worst], digits=3)
    if len(each := figures.get("each", {})) > len(worst):
        rows = [_row(name, row, metrics) for name, row in each.items()]
        yield Details(f"All {len(each)} entities in figures", [Table(header, rows, digits=3)])


def _unseen(unseen: dict[str, Any]) -> str:
    if not unseen["count"]:
        return "all of them known from training"
    named = ", ".join(unseen["names"]) + (", …" if unseen["count"] > len(unseen["names"]) else "")
    return f"{unseen['count']:,} of them without a known value in training, marked as unseen: {named}"


def _overall(entry: dict[str, Any], metric: str) -> float | None:
    value = entry["coverage"]["overall"] if metric == "coverage" else entry.get(metric)
    return None if value is None else float(value)


def _row(name: str, figures: dict[str, Any], metrics: list[str]) -> list[Any]:
    return [name + (" (unseen)" if figures["unseen"] else ""), figures["n"], *(figures[metric] for metric in metrics)]
