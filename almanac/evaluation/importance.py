"""Exact SHAP values of a model: those of the trees plus those of the linear part.

A forecast before link and clip is `booster(x) + intercept + Σ coef·x`. The booster's values are exact (TreeSHAP;
Lundberg et al., 2020, doi:10.1038/s42256-019-0138-9); the linear part's are `coef·(x − mean)`, the mean over the
training rows, as the server explains. Their sum over the features and the base value is the forecast.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.evaluation.scored_rows import ScoredRows
from almanac.model.model import Model
from almanac.model.predictor import Rows

#: Budget of visited leaves (rows times leaves): about two seconds on one core.
_LEAVES = 6_000_000
#: Rows that are explained at least, however large the model, and at most, however small.
_FEWEST, _MOST = 60, 1000


@dataclass(frozen=True)
class Explained:
    """SHAP values of a sample of the scored rows.

    Attributes:
        rows: positions of the rows among the scored ones, shape (m,).
        values: contribution of each feature, shape (m, f), in the unit of the margin.
        base: the mean forecast, to which the contributions add, shape (m,).
        names: ordered feature names.
    """

    rows: npt.NDArray[np.intp]
    values: Array
    base: Array
    names: list[str]

    def ranking(self) -> list[tuple[str, float]]:
        """Return the features with their mean absolute contribution, the strongest first."""
        size = np.abs(self.values).mean(axis=0)
        return [(self.names[index], float(size[index])) for index in np.argsort(-size, kind="stable")]


def explain(model: Model, scored: ScoredRows, rows: npt.NDArray[np.intp]) -> Explained | None:
    """Return the SHAP values of the scored rows at the positions `rows`; None if the body has none."""
    X = scored.X[rows]
    explained = model.predictor.explain(Rows(X))
    if explained is None:
        return None
    values, base = explained
    # The linear part's contributions are added to `values` in place.
    base += model.predictor.offset.explain(values, X)
    return Explained(rows, values, np.full(len(values), base), model.names)


def sample(model: Model, scored: ScoredRows, seed: int) -> npt.NDArray[np.intp]:
    """Return a random sample of positions, smaller for larger models, so that explaining takes a few seconds."""
    visited = model.predictor.leaves
    most = _MOST if not visited else int(np.clip(_LEAVES // visited, _FEWEST, _MOST))
    size = scored.y.size
    return np.sort(np.random.default_rng(seed).choice(size, size=min(size, most), replace=False))


def instructive(scored: ScoredRows) -> dict[str, int]:
    """Return the positions of three instructive rows: highest forecast, worst miss, ordinary."""
    miss = np.abs(scored.prediction - scored.y)
    highest, worst = int(np.argmax(scored.prediction)), int(np.argmax(miss))
    # Ranks, because sizes of forecasts and errors cannot be added.
    distance = np.abs(_rank(scored.prediction) - 0.5) + np.abs(_rank(miss) - 0.5)
    return {"highest forecast": highest, "worst miss": worst, "ordinary": int(np.argmin(distance))}


def local(model: Model, scored: ScoredRows, count: int = 8) -> list[dict[str, Any]]:
    """Return the explanations of the instructive rows, the strongest features of each; none if the body has none."""
    chosen = instructive(scored)
    explained = explain(model, scored, np.asarray(list(chosen.values()), dtype=np.intp))
    if explained is None:
        return []
    result = []
    for index, (why, row) in enumerate(chosen.items()):
        values = explained.values[index]
        # Stable, so that equal contributions come in the same order on every machine.
        order = np.argsort(-np.abs(values), kind="stable")
        features = [
            {"name": model.names[i], "value": _finite(scored.X[row, i]), "contribution": float(values[i])}
            for i in order[:count]
        ]
        result.append(
            {
                "why": why,
                **entity_of(scored, row),
                "time": str(scored.time[row].astype("datetime64[us]").astype("datetime64[m]")),
                "of": str(scored.due[row].astype("datetime64[m]")),
                "y": float(scored.y[row]),
                "prediction": float(scored.prediction[row]),
                "base": float(explained.base[index]),
                "features": features,
                "others": float(values[order[count:]].sum()),
            }
        )
    return result


def entity_of(scored: ScoredRows, row: int) -> dict[str, str]:
    """Return the entity of a row of a panel as a field, none for a table of one series."""
    return {} if scored.keys.width == 1 else {"entity": str(scored.keys.item(row, 0))}


def _rank(values: Array) -> Array:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / values.size


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
