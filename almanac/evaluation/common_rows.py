"""Metrics of two evaluations on the rows that both scored."""

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
    # Rows are the same with their truth only, which a later version of the data may have corrected.
    keys = first.columns[: first.columns.index("y") + 1]
    both = first.join(second, on=keys, how="inner", maintain_order="left", suffix=" of the second")
    if not both.height:
        return CommonRows(0, {}, {})
    return CommonRows(both.height, *(_metrics(both, end, classification) for end in ("", " of the second")))


def _metrics(rows: pl.DataFrame, end: str, classification: bool) -> dict[str, float]:
    y, prediction = rows["y"].to_numpy(), rows[f"prediction{end}"].to_numpy()
    terms = (classification_terms if classification else regression_terms)(y, prediction)
    sums = {name: values.sum() for name, values in terms.items()}
    found = {name: float(metric(sums)) for name, metric in (CLASSIFICATION if classification else REGRESSION).items()}
    covered = rows["y"].is_between(rows[f"lower{end}"], rows[f"upper{end}"]).mean()
    if isinstance(covered, float):
        found["coverage"] = covered
    return {name: value for name, value in found.items() if np.isfinite(value)}
