"""Figures of a panel: of all entities, of those that training has not seen, and of single ones."""

from typing import Any

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.evaluation.disparity import FEWEST_ROWS
from almanac.evaluation.groups import Slices
from almanac.evaluation.labels import TRAINING
from almanac.evaluation.metrics import ERRORS, log_loss, regression_terms
from almanac.evaluation.scored_rows import ScoredRows

SEEN, UNSEEN = "seen", "unseen"
#: Entities whose figures are written one by one; more of them are in the predictions alone.
MOST_ENTITIES = 200
_WORST = 10
_NAMED = 10


def seen_and_unseen(scored: ScoredRows) -> dict[str, Slices]:
    """Return the grouping into seen and unseen entities; none where all were seen, or none was."""
    if scored.unseen is None or not 0 < scored.unseen.sum() < scored.unseen.size:
        return {}
    return {TRAINING: Slices.of([SEEN, UNSEEN], scored.unseen.astype(np.int64))}


def entity_figures(scored: ScoredRows) -> dict[str, Any] | None:
    """Return the figures of a panel's entities; None for a single series.

    Returns:
        `count`, and `unseen`: number of entities without a known target in training and their first names; `ranked_by`,
        the metric of `worst`, which lists the entities of at least `FEWEST_ROWS` rows with the largest; `median` of
        each metric over the entities; and `each` of them by name, where they are no more than `MOST_ENTITIES`.
    """
    if scored.unseen is None:
        return None
    table = _by_entity(scored)
    if table.height < 2:
        return None
    name, metrics = table.columns[0], [each for each in table.columns[1:] if each not in ("unseen", "n")]
    by = "mase" if "mase" in metrics and table["mase"].is_not_null().any() else ERRORS[scored.target.task][0]
    unseen = table.filter("unseen")[name].to_list()
    enough = table.filter(pl.col("n") >= FEWEST_ROWS) if (table["n"] >= FEWEST_ROWS).any() else table
    worst = enough.sort(by, name, descending=[True, False], nulls_last=True).head(_WORST)
    figures = {
        "count": table.height,
        "unseen": {"count": len(unseen), "names": unseen[:_NAMED]},
        "ranked_by": by,
        "median": {metric: _number(table[metric].median()) for metric in metrics},
        "worst": [{"entity": row.pop(name), **row} for row in worst.iter_rows(named=True)],
    }
    if table.height > MOST_ENTITIES:
        return figures
    return figures | {"each": {row.pop(name): row for row in table.iter_rows(named=True)}}


def _by_entity(scored: ScoredRows) -> pl.DataFrame:
    """Return each entity's name, whether it is unseen, its number of rows and its metrics, in order of the names."""
    name = scored.keys.columns[0]
    terms = _terms(scored) | {"unseen": np.asarray(scored.unseen)}
    rows = scored.keys.select(pl.col(name).cast(pl.String)).with_columns(
        pl.Series(term, values, nan_to_null=True) for term, values in terms.items()
    )
    means = [pl.col(term).mean() for term in terms if term not in ("unseen", "mse")]
    root = [pl.col("mse").mean().sqrt().alias("rmse")] if "mse" in terms else []
    grouped = rows.group_by(name).agg(pl.col("unseen").first(), pl.len().alias("n"), *root, *means)
    return grouped.sort(name)


def _terms(scored: ScoredRows) -> dict[str, Array]:
    """Return the terms of each row whose means over an entity are its metrics."""
    y, error = scored.y, scored.prediction - scored.y
    if scored.classification:
        return {"log_loss": log_loss(y, scored.prediction), "brier": error**2, "bias": error}
    found = {"mse": error**2, "mae": np.abs(error), "bias": error}
    found["smape"] = regression_terms(y, scored.prediction)["symmetric"]
    if scored.scales is not None:
        # A scale of zero is that of a series that repeats itself exactly, and no unit.
        scales = np.where(scored.scales > 0, scored.scales, np.nan)
        found["mase"] = np.abs(error) / scales
    if scored.lower is not None and scored.upper is not None:
        found |= {
            "coverage": ((y >= scored.lower) & (y <= scored.upper)).astype(np.float64),
            "width": scored.upper - scored.lower,
        }
    return found


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
