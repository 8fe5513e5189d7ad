"""LightGBM models of every shape that the engine must answer for, trained on the real series."""

from typing import Any

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray

_ROWS = 8_000
_LAGS = (1, 2, 3, 24)
_PARAMETERS: dict[str, Any] = {"verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True, "num_leaves": 31}
_CATEGORY = 8

SHAPES: dict[str, dict[str, Any]] = {
    "numbers": {},
    "categories": {"categorical": [_CATEGORY, 9, 10], "max_cat_to_onehot": 2, "rounds": 55},
    "zero_as_missing": {"zero_as_missing": True},
    "nothing_missing": {"use_missing": False},
    "two_classes": {"objective": "binary"},
    "counts": {"objective": "poisson"},
    "deep": {"num_leaves": 255, "min_data_in_leaf": 2, "rounds": 15},
    "chains": {"num_leaves": 63, "min_data_in_leaf": 1, "learning_rate": 1.0, "rounds": 20},
    "over_256_leaves": {"num_leaves": 400, "min_data_in_leaf": 1, "rounds": 7},
    "many_thresholds": {"max_bin": 4000, "min_data_in_bin": 1, "num_leaves": 200, "rounds": 30},
    "constant_trees": {"min_data_in_leaf": 5_000, "rounds": 5},
    "two_rules_in_one": {"continued": True},
    "constant_trees_first": {
        "continued": True,
        "min_data_in_leaf": 5_000,
        "rounds": 5,
        "then": {"min_data_in_leaf": 20},
    },
}

_texts: dict[str, bytes] = {}


def matrix(series: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows (n, 11) of the series with their gaps, and the change of the target in the next hour (n,)."""
    codes = series["cbwd"].cast(pl.Categorical).to_physical().cast(pl.Float64)
    table = series.select(
        *(pl.col("pm25").shift(lag).alias(f"lag{lag}") for lag in _LAGS),
        pl.col("dewp", "temp", "pres", "iws"),
        codes.alias("wind"),
        pl.col("timestamp").dt.hour().cast(pl.Float64).alias("hour"),
        pl.col("timestamp").dt.month().cast(pl.Float64).alias("month"),
        pl.col("pm25").alias("target"),
    )
    rows = table.to_numpy()[24 : 24 + 4 * _ROWS]
    rows = rows[np.isfinite(rows[:, -1]) & np.isfinite(rows[:, 0])][:_ROWS].astype(np.float64)
    X = np.ascontiguousarray(rows[:, :-1])
    return X, rows[:, -1] - X[:, 0]


def text(shape: str, series: pl.DataFrame) -> bytes:
    """The text of the model of that shape; trained once in a session."""
    if shape not in _texts:
        _texts[shape] = _train(dict(SHAPES[shape]), *matrix(series)).model_to_string().encode()
    return _texts[shape]


def _train(options: dict[str, Any], X: NDArray[np.float64], y: NDArray[np.float64]) -> lightgbm.Booster:
    rounds, categorical = options.pop("rounds", 40), options.pop("categorical", [])
    continued, then = options.pop("continued", False), options.pop("then", {})
    parameters = {**_PARAMETERS, "objective": "regression", **options}
    if parameters["objective"] == "binary":
        y = (y > 0).astype(np.float64)
    if parameters["objective"] == "poisson":
        y = np.abs(y)
    data = lightgbm.Dataset(X, y, categorical_feature=categorical, free_raw_data=False)
    booster = lightgbm.train(parameters, data, rounds)
    if continued:
        # The second half never saw a gap: its splits read NaN as 0, those of the first half have a default direction.
        whole = lightgbm.Dataset(np.nan_to_num(X, nan=3.0), y, free_raw_data=False)
        booster = lightgbm.train({**parameters, **then}, whole, rounds, init_model=booster)
    return booster
