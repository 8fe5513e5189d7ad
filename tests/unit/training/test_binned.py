"""Binned rows are shared by trials, and give the same trees as rows that are binned anew."""

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from almanac.training.binned import BinnedRows

SETTINGS = {"verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "feature_pre_filter": False}
Array = npt.NDArray[np.float64]


def _rows() -> tuple[Array, npt.NDArray[np.intp]]:
    X = np.random.default_rng(5).normal(size=(3000, 6))
    return X, np.flatnonzero(X[:, 0] > -1.0)


def _trees(data: lightgbm.Dataset, parameters: dict[str, Any]) -> str:
    return lightgbm.train({**parameters, **SETTINGS, "seed": 7}, data, 20).model_to_string()


def test_trials_share_rows_and_grow_the_same_trees() -> None:
    X, rows = _rows()
    binned = BinnedRows()
    made: list[int] = []
    trials = [
        {"objective": "regression", "max_bin": 63, "num_leaves": 8, "learning_rate": 0.1, "min_child_samples": 20},
        {"objective": "regression_l1", "max_bin": 63, "num_leaves": 4, "learning_rate": 0.05, "min_child_samples": 300},
        {"objective": "regression", "max_bin": 63, "num_leaves": 16, "extra_trees": True, "subsample": 0.5},
    ]
    for number, parameters in enumerate(trials):
        label = X[rows, 1] + number * X[rows, 2]

        def make(label: Array = label, number: int = number) -> lightgbm.Dataset:
            made.append(number)
            return lightgbm.Dataset(X[rows], label, params=dict(SETTINGS))

        with binned.lend(rows, X.shape[1], label, parameters, make) as data:
            shared = _trees(data, parameters)
        assert shared == _trees(lightgbm.Dataset(X[rows], label, params=dict(SETTINGS)), parameters)
    assert made == [0], "the later trials take the first one's rows"


@pytest.mark.parametrize(("parameter", "value"), [("max_bin", 15), ("min_data_in_bin", 50)])
def test_other_bins_are_made_anew(parameter: str, value: int) -> None:
    X, rows = _rows()
    binned, label = BinnedRows(), X[rows, 1]

    def make() -> lightgbm.Dataset:
        return lightgbm.Dataset(X[rows], label, params=dict(SETTINGS))

    with binned.lend(rows, 6, label, {"max_bin": 63}, make) as first:
        _trees(first, {"max_bin": 63})
    with binned.lend(rows, 6, label, {"max_bin": 63, parameter: value}, make) as second:
        assert second is not first
        _trees(second, {"max_bin": 63, parameter: value})


def test_rows_in_use_are_not_lent_twice() -> None:
    X, rows = _rows()
    binned, label = BinnedRows(), X[rows, 1]

    def make() -> lightgbm.Dataset:
        return lightgbm.Dataset(X[rows], label, params=dict(SETTINGS))

    with binned.lend(rows, 6, label, {}, make) as first, binned.lend(rows, 6, label, {}, make) as second:
        assert first is not second
