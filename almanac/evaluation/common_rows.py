"""Metrics of two evaluations on the rows that both scored."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from almanac.evaluation.metrics import CLASSIFICATION, REGRESSION, classification_terms, regression_terms


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
