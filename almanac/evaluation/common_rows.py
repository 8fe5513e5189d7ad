"""Metrics of two evaluations on the rows that both scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from almanac.evaluation.metrics import CLASSIFICATION, REGRESSION, classification_terms, regression_terms


@dataclass(frozen=True)
class CommonRows:
    """Metrics of one target in two evaluations.

    Attributes:
        rows: number of rows that both scored, with the same truth.
        first: metrics of the first by name; empty without rows.
        second: those of the second.
    """

    rows: int
    first: dict[str, float]
    second: dict[str, float]


def compare_rows(first: pl.DataFrame, second: pl.DataFrame, classification: bool) -> CommonRows:
    """Return the metrics of two tables of predictions of one target on the rows that they have in common.

    Args:
        first: keys, y, prediction, lower and upper, as in predictions.parquet.
        second: the same of another evaluation.
        classification: whether the target is a probability.
    """
    rows, (one, other) = metrics_of_all([first, second], classification)
    return CommonRows(rows, one, other)


def metrics_of_all(tables: Sequence[pl.DataFrame], classification: bool) -> tuple[int, list[dict[str, float]]]:
    """Return the number of rows that all tables of predictions have in common, and the metrics of each on them.

    Args:
        tables: keys, y, prediction, lower and upper of one target, as in predictions.parquet.
        classification: whether the target is a probability.
    """
    both = joined(tables)
    if not both.height:
        return 0, [{} for _ in tables]
    return both.height, [_metrics(both, f" {number}", classification) for number in range(len(tables))]


def joined(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows that all tables have in common: keys and y, and each table's columns with its number."""
    # Rows are the same with their truth only, which a later version of the data may have corrected.
    keys = tables[0].columns[: tables[0].columns.index("y") + 1]
    named = ("prediction", "lower", "upper")
    numbered = [
        table.select(*keys, *(pl.col(name).alias(f"{name} {number}") for name in named))
        for number, table in enumerate(tables)
    ]
    both = numbered[0]
    for table in numbered[1:]:
        both = both.join(table, on=keys, how="inner", maintain_order="left")
    return both


def _metrics(rows: pl.DataFrame, end: str, classification: bool) -> dict[str, float]:
    y, prediction = rows["y"].to_numpy(), rows[f"prediction{end}"].to_numpy()
    terms = (classification_terms if classification else regression_terms)(y, prediction)
    sums = {name: values.sum() for name, values in terms.items()}
    found = {name: float(metric(sums)) for name, metric in (CLASSIFICATION if classification else REGRESSION).items()}
    covered = rows["y"].is_between(rows[f"lower{end}"], rows[f"upper{end}"]).mean()
    if isinstance(covered, float):
        found["coverage"] = covered
    return {name: value for name, value in found.items() if np.isfinite(value)}
