"""Exact SHAP values of a model directory: the trees' own plus the linear part's.

A forecast before link and clip is `booster(x) + intercept + Σ coef·x`. The booster's values are exact (TreeSHAP;
Lundberg et al., 2020, doi:10.1038/s42256-019-0138-9); the linear part's are `coef·(x − mean)`, the mean over the
judged rows. Their sum over the features and the base value is the forecast.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.evaluation.scored_rows import Judged
from almanac.model.model import Model
from almanac.model.predictor import Rows

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


def explain(model: Model, judged: Judged, rows: npt.NDArray[np.intp]) -> Explained:
    """Return the SHAP values of the judged rows at the positions `rows`."""
    X = judged.X[rows]
    explained = model.predictor.explain(Rows(X))
    if explained is None:
        raise ModelError(f"{model.directory.path}: a model of kind {model.predictor.kind} has no explanation")
    values, base = explained
    offset = model.predictor.offset
    terms = np.where(np.isfinite(judged.X[:, offset.columns]), judged.X[:, offset.columns], offset.fill)
    middle = terms.mean(axis=0)
    np.add.at(values.T, offset.columns, ((terms[rows] - middle) * offset.coefficients).T)
    base += offset.intercept + float(middle @ offset.coefficients)
    return Explained(rows, values, np.full(len(values), base), model.names)


def sample(model: Model, judged: Judged, seed: int) -> npt.NDArray[np.intp]:
    """Return a random sample of positions, as large as the model's size allows in a few seconds."""
    visited = model.predictor.leaves
    most = _MOST if not visited else int(np.clip(_LEAVES // visited, _FEWEST, _MOST))
    size = judged.y.size
    return np.sort(np.random.default_rng(seed).choice(size, size=min(size, most), replace=False))


def instructive(judged: Judged) -> dict[str, int]:
    """Return the positions of rows worth explaining: the highest forecast, the worst miss, an ordinary row."""
    miss = np.abs(judged.prediction - judged.y)
    highest, worst = int(np.argmax(judged.prediction)), int(np.argmax(miss))
    distance = np.abs(_rank(judged.prediction) - 0.5) + np.abs(_rank(miss) - 0.5)
    return {"highest forecast": highest, "worst miss": worst, "ordinary": int(np.argmin(distance))}


def local(model: Model, judged: Judged, count: int = 8) -> list[dict[str, Any]]:
    """Return the explanations of the instructive rows, the strongest features of each."""
    chosen = instructive(judged)
    explained = explain(model, judged, np.asarray(list(chosen.values()), dtype=np.intp))
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


def _rank(values: Array) -> Array:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / values.size


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
