"""Metrics of every step from origins that lie the longest horizon apart, for columns with several targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.evaluation.metrics import regression_terms
from almanac.evaluation.rank_metrics import median_mase
from almanac.evaluation.scored_rows import ScoredRows
from almanac.features.baselines import PERSISTENCE, SEASONAL
from almanac.model.steps import Step, horizons_by_column, plan_steps
from almanac.usecase import UseCase


def step_metrics(usecase: UseCase, scored: Sequence[ScoredRows]) -> dict[str, dict[str, Any]]:
    """Return the metrics of the steps by the name of the target with the longest horizon of each column.

    A step is forecast as `almanac.model.steps` says. Origins lie the longest horizon apart, one step before its
    multiples, so that each time of the test span is forecast once: from midnight to midnight for a day ahead. A step of
    an origin counts where its forecast was made in the test span. A baseline's figures have those of the model on the
    same rows beside them, under `model`.
    """
    if usecase.events is not None:
        return {}
    values = {each.target.name: each for each in scored if not each.classification}
    columns = horizons_by_column((name, each.target.column, each.target.horizon) for name, each in values.items())
    grid = usecase.time.grid
    return {
        max(horizons, key=lambda name: (horizons[name], name)): _metrics(values, plan_steps(horizons, grid))
        for horizons in columns.values()
        if len(horizons) > 1
    }


def _metrics(scored: dict[str, ScoredRows], steps: list[Step]) -> dict[str, Any]:
    parts = [_rows(scored[step.target], step, steps[-1].ahead) for step in steps]
    naive = _naive(scored[steps[-1].target])
    rows, baselines = pl.concat(parts), {}
    if naive is not None:
        rows = rows.join(naive, on=[*_entity(rows), "due"], how="left")
        # Compared on the rows where both have a forecast.
        common = rows.drop_nulls("naive")
        baselines[SEASONAL] = {**_figures(common, "naive"), "model": _figures(common, "prediction")}
    by_step = {
        str(number): {"target": step.target, **_figures(part, "prediction")}
        for number, (step, part) in enumerate(zip(steps, parts, strict=True), start=1)
    }
    return {
        "count": len(steps),
        "origins": rows.select((pl.col("due") - pl.col("ahead")).n_unique()).item(),
        **_figures(rows, "prediction"),
        "baselines": baselines,
        "by_step": by_step,
    }


def _rows(scored: ScoredRows, step: Step, longest: int) -> pl.DataFrame:
    """Return the rows of one step."""
    due = scored.even_due
    table = scored.keys.drop(scored.keys.columns[-1]).with_columns(
        due=pl.Series(due),
        ahead=pl.lit(step.ahead),
        y=pl.Series(scored.y),
        prediction=pl.Series(scored.prediction),
        lower=pl.Series(_or_missing(scored, scored.lower)),
        upper=pl.Series(_or_missing(scored, scored.upper)),
        scale=pl.Series(_or_missing(scored, scored.scales)),
    )
    return table.filter(pl.Series(due % longest + step.grid.step == step.ahead))


def _naive(scored: ScoredRows) -> pl.DataFrame | None:
    """Return the seasonal naive forecast by entity and time; where the target lies whole seasons ahead, it persists."""
    values = scored.baselines.get(SEASONAL, scored.baselines.get(PERSISTENCE))
    if values is None:
        return None
    due = scored.even_due
    keys = scored.keys.drop(scored.keys.columns[-1])
    return keys.with_columns(due=pl.Series(due), naive=pl.Series(values).fill_nan(None))


def _entity(rows: pl.DataFrame) -> list[str]:
    return rows.columns[: rows.columns.index("due")]


def _figures(rows: pl.DataFrame, forecast: str) -> dict[str, Any]:
    if rows.is_empty():
        return {"n": 0}
    y, prediction = rows["y"].to_numpy(), rows[forecast].to_numpy()
    error = prediction - y
    found: dict[str, Any] = {
        "n": rows.height,
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.abs(error).mean()),
        "smape": float(regression_terms(y, prediction)["symmetric"].mean()),
    }
    if entity := _entity(rows):
        found["mase_median"] = median_mase(rows[entity[0]], np.abs(error), rows["scale"].to_numpy())
    if forecast == "prediction" and np.isfinite(rows["lower"].to_numpy()).all():
        inside = (y >= rows["lower"].to_numpy()) & (y <= rows["upper"].to_numpy())
        found["coverage"] = float(inside.mean())
    return found


def _or_missing(scored: ScoredRows, values: Array | None) -> Array:
    return np.full(scored.y.shape, np.nan) if values is None else values
