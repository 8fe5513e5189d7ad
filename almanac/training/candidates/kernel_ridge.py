"""Kernel ridge regression on landmarks: smooth functions of all features together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.units import Units, standardise
from almanac.training.fitted_model import AdditiveModel, score
from almanac.training.level_learner import LevelLearner, base, shifted
from almanac.training.problem import BLOCK, TrainingRows
from almanac.training.standardising import scale_of

#: Keeps the landmarks' kernel matrix positive definite where two landmarks are nearly alike.
_JITTER = 1e-6
Single = npt.NDArray[np.float32]


class KernelRidge(LevelLearner):
    """A ridge regression on the values of an RBF kernel at landmarks, which are training rows (Nyström's method)."""

    kind: Literal["kernel_ridge"]


class _KernelRidge:
    name = "kernel_ridge"
    declaration = KernelRidge
    cost = 2
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the number of landmarks, the kernel's gamma, and the penalty."""
        return {"landmarks": (), "gamma": (), "alpha": ()}

    def fit(self, declared: KernelRidge, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return the regression on standardised features, compressed by asinh; a missing one counts as its mean.

        The Nyström approximation is that of Williams and Seeger (2001), "Using the Nyström method to speed up kernel
        machines", NIPS 13. Kernels are computed in single precision, a block of rows at a time.
        """
        from scipy.linalg import cho_factor, cho_solve, solve_triangular

        if data.problem.classification:
            raise TrainingError(f"candidate {declared.name}: of kind kernel_ridge, which forecasts no probability")
        linear = base(declared, data)
        gamma, alpha = float(parameters.get("gamma", 0.003)), float(parameters.get("alpha", 2.0))
        scale = scale_of(data, linear.fill)
        count = min(int(parameters.get("landmarks", 800)), len(data.rows))
        picked = np.sort(np.random.default_rng(seed).choice(len(data.rows), count, replace=False))
        marks = standardise(data.problem.X[data.rows[picked]], linear.fill, scale, True).astype(np.float32)
        label = data.y - score(linear, data.problem.X, data.rows)
        mean = float(label.mean())
        root = np.linalg.cholesky(_kernel(marks, marks, gamma).astype(np.float64) + _JITTER * np.eye(count))
        # A row's features are its kernels with the landmarks times this, so that a plain ridge is the kernel's.
        whiten = solve_triangular(root, np.eye(count), lower=True).T
        total, products, moments = np.zeros(count), np.zeros(count), np.zeros((count, count))
        for part, Z in _blocks(data, linear.fill, scale):
            features = _kernel(Z, marks, gamma) @ whiten.astype(np.float32)
            total += features.sum(axis=0, dtype=np.float64)
            products += features.T @ (label[part] - mean)
            moments += features.T @ features
        average = total / len(data.rows)
        moments -= len(data.rows) * np.outer(average, average)
        moments[np.diag_indices(count)] += alpha
        coefficients = cho_solve(cho_factor(moments), products)
        layer = Units(
            fill=linear.fill,
            scale=scale,
            weights=marks.astype(np.float64),
            output=whiten @ coefficients,
            gamma=gamma,
            squash=True,
        )
        intercept = mean - float(average @ coefficients)
        return AdditiveModel(shifted(linear, intercept), layers=[layer])


def _blocks(data: TrainingRows, fill: Array, scale: Array) -> Iterator[tuple[slice, Single]]:
    """Yield the standardised rows, some at a time, with their place."""
    for start in range(0, len(data.rows), BLOCK // 8):
        part = slice(start, start + BLOCK // 8)
        yield part, standardise(data.problem.X[data.rows[part]], fill, scale, True).astype(np.float32)


def _kernel(Z: Single, marks: Single, gamma: float) -> Single:
    """Return the RBF kernel of rows (n, f) and landmarks (m, f), shape (n, m)."""
    distance = (Z * Z).sum(axis=1)[:, None] + (marks * marks).sum(axis=1) - np.float32(2.0) * (Z @ marks.T)
    return np.asarray(np.exp(np.float32(-gamma) * np.maximum(distance, np.float32(0.0))), dtype=np.float32)


KIND = _KernelRidge()
