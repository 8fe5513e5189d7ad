"""Fitting the confidences of the causes on injected faults."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.agent.series import Example
from operations.agent.causes import CAUSES

#: Strength of the prior that keeps weights small where few examples speak.
_PENALTY = 0.002


def fit(examples: Sequence[Example]) -> dict[str, Any]:
    """Return the bias and the weights of each cause: a logistic regression with weights that are not negative."""
    named = {example.cause for example in examples}
    return {name: _fit(name, examples) for name in CAUSES if name in named}


def _fit(name: str, examples: Sequence[Example]) -> dict[str, Any]:
    kind = CAUSES[name]
    signs = [{sign.name: sign.strength for sign in kind.signs(example.evidence)} for example in examples]
    X = np.array([[each.get(sign, 0.0) for sign in kind.names] for each in signs])
    y = np.array([example.cause == name for example in examples], dtype=np.float64)
    counts = {fault: sum(example.fault == fault for example in examples) for fault in {e.fault for e in examples}}
    # Each fault counts the same, and clean windows as much as five of them, since most windows are clean.
    weight = np.array([(5.0 if not e.cause else 1.0) / counts[e.fault] for e in examples])
    weight /= weight.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        total = parameters[0] + X @ parameters[1:]
        error = weight * (expit(total) - y)
        value = float(
            (weight * (np.logaddexp(0, total) - y * total)).sum() + _PENALTY / 20 * (parameters[1:] ** 2).sum() / 2
        )
        slope = np.concatenate([[error.sum()], X.T @ error + _PENALTY / 20 * parameters[1:]])
        return value, slope

    start = np.concatenate([[-2.0], np.ones(X.shape[1])])
    bounds = [(None, None), *[(0.0, None)] * X.shape[1]]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-12})
    values = [round(float(value), 3) for value in found.x]
    return {"bias": values[0], "weights": dict(zip(kind.names, values[1:], strict=True))}
