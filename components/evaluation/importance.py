"""Exact SHAP values of a model directory: the trees' own plus the linear part's.

A forecast before link and clip is `booster(x) + intercept + Σ coef·x`. The booster's values are exact (TreeSHAP;
Lundberg et al., 2020, doi:10.1038/s42256-019-0138-9); the linear part's are `coef·(x − mean)`, the mean over the
judged rows. Their sum over the features and the base value is the forecast.
"""

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.errors import ModelError
from components.evaluation.jitless import without_numba
from components.evaluation.rows import Judged
from components.training.model_format import Forecaster

Array = npt.NDArray[np.float64]

#: Leaves visited in all, rows times leaves: about two seconds on one core.
_LEAVES = 6_000_000
_FEWEST, _MOST = 60, 1000


@dataclass(frozen=True)
class Explained:
    """SHAP values of some judged rows.

    Attributes:
        rows: positions of the rows among the judged ones, shape (m,).
        values: contribution of each feature, shape (m, f), in the unit of the margin.
        base: the mean forecast, which the contributions start from, shape (m,).
        names: ordered feature names.
    """

    rows: npt.NDArray[np.intp]
    values: Array
    base: Array
    names: list[str]

    def ranking(self) -> list[tuple[str, float]]:
        """Return the features with their mean absolute contribution, the strongest first."""
        size = np.abs(self.values).mean(axis=0)
        return [(self.names[place], float(size[place])) for place in np.argsort(-size, kind="stable")]


def explain(model: Forecaster, judged: Judged, rows: npt.NDArray[np.intp], threads: int) -> Explained:
    """Return the SHAP values of the judged rows at the positions `rows`."""
    X = judged.X[rows]
    values, base = _body(model, X, threads)
    offset = model.offset
    terms = np.where(np.isfinite(judged.X[:, offset.columns]), judged.X[:, offset.columns], offset.fill)
    middle = terms.mean(axis=0)
    np.add.at(values.T, offset.columns, ((terms[rows] - middle) * offset.coefficients).T)
    base = base + offset.intercept + float(middle @ offset.coefficients)
    return Explained(rows, values, base, model.names)


def sample(model: Forecaster, judged: Judged, seed: int) -> npt.NDArray[np.intp]:
    """Return a random sample of positions, as large as the model's size allows in a few seconds."""
    leaves = _leaves(model)
    most = _MOST if not leaves else int(np.clip(_LEAVES // leaves, _FEWEST, _MOST))
    size = judged.y.size
    return np.sort(np.random.default_rng(seed).choice(size, size=min(size, most), replace=False))


def instructive(judged: Judged) -> dict[str, int]:
    """Return the positions of rows worth explaining: the highest forecast, the worst miss, an ordinary row."""
    miss = np.abs(judged.prediction - judged.y)
    highest, worst = int(np.argmax(judged.prediction)), int(np.argmax(miss))
    distance = np.abs(_rank(judged.prediction) - 0.5) + np.abs(_rank(miss) - 0.5)
    return {"highest forecast": highest, "worst miss": worst, "ordinary": int(np.argmin(distance))}


def local(model: Forecaster, judged: Judged, threads: int, count: int = 8) -> list[dict[str, Any]]:
    """Return the explanations of the instructive rows, the strongest features of each."""
    chosen = instructive(judged)
    explained = explain(model, judged, np.asarray(list(chosen.values()), dtype=np.intp), threads)
    result = []
    for place, (why, row) in enumerate(chosen.items()):
        values = explained.values[place]
        order = np.argsort(-np.abs(values), kind="stable")
        features = [
            {"name": model.names[i], "value": _finite(judged.X[row, i]), "contribution": float(values[i])}
            for i in order[:count]
        ]
        result.append(
            {
                "why": why,
                "time": str(judged.time[row].astype("datetime64[us]").astype("datetime64[m]")),
                "of": str(judged.due[row].astype("datetime64[m]")),
                "y": float(judged.y[row]),
                "prediction": float(judged.prediction[row]),
                "base": float(explained.base[place]),
                "features": features,
                "others": float(values[order[count:]].sum()),
            }
        )
    return result


def _body(model: Forecaster, X: Array, threads: int) -> tuple[Array, Array]:
    """Return the contributions of the body, shape (m, f), and their base, shape (m,)."""
    if model.booster is not None:
        both = np.asarray(model.booster.predict(X, pred_contrib=True, num_threads=threads), dtype=np.float64)
        return both[:, :-1].copy(), both[:, -1].copy()
    if model.estimator is None:
        return np.zeros(X.shape), np.zeros(len(X))
    shap = _shap()
    try:
        both = shap.TreeExplainer(model.estimator)(X)
    except Exception as error:
        raise ModelError(
            f"{model.directory}: {type(model.estimator).__name__} cannot be explained ({error})"
        ) from error
    return np.array(both.values, dtype=np.float64), np.asarray(both.base_values, dtype=np.float64).reshape(len(X))


def _shap() -> Any:
    """Return the package shap, which takes seconds to import and draws on what its own dependencies call old."""
    with warnings.catch_warnings(), without_numba():
        warnings.simplefilter("ignore")
        import shap
    return shap


def _leaves(model: Forecaster) -> int:
    if model.booster is None:
        return 0
    return sum(map(int, re.findall(r"^num_leaves=(\d+)$", model.booster.model_to_string(), flags=re.MULTILINE)))


def _rank(values: Array) -> Array:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / values.size


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
