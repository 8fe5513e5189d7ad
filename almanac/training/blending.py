"""Non-negative combinations of candidates, weighted on their out-of-fold predictions."""

import numpy as np
from scipy.optimize import minimize, nnls

from almanac.core.arrays import Array
from almanac.model.offset import probability

#: A weight comes from a few folds, so that a smaller one is noise, and costs a booster at prediction time.
SMALLEST = 0.02
#: Shrinkage of the weights towards equal ones, in units of the mean squared error.
SHRINKAGE = 0.05
#: Candidates whose mean squared error is more than this many times the best one's have a prior weight of zero.
NEAR = 1.1


def weigh(y: Array, raw: Array, classification: bool = False, shares: Array | None = None) -> Array:
    """Return the non-negative weights of the combination with the smallest loss on the given rows, shape (m,).

    The loss is the squared error, which holds the bias, whatever metric chooses among contenders: of a metric such as
    sMAPE, which follows the relative errors of small values, the least would be found by a search whose result a few
    rows decide.

    Least squares for values, with weights that add up to one (stacked regression; Breiman, 1996,
    doi:10.1007/BF00117832), log loss for log-odds.
    Weights below `SMALLEST` are set to zero and the others are solved for again.

    Args:
        y: truth, shape (n,).
        raw: out-of-fold raw predictions of the candidates, shape (n, m).
        classification: whether `raw` is log-odds.
        shares: share of each row in the loss, shape (n,), which add up to one; equal ones when None.
    """
    used = np.arange(raw.shape[1])
    shares = np.full(y.size, 1.0 / y.size) if shares is None else shares
    solve = _log_odds if classification else _least_squares
    while True:
        solution = solve(y, raw[:, used], shares)
        keep = solution >= SMALLEST
        if keep.all() or not keep.any():
            break
        used = used[keep]
    weights = np.zeros(raw.shape[1])
    weights[used] = solution if keep.any() else 1.0 / used.size
    return weights


def _least_squares(y: Array, raw: Array, shares: Array) -> Array:
    """Solve for weights that add up to one, since a span's level does not carry over to the next."""
    candidates = raw.shape[1]
    error = raw - y[:, None]
    moments = error.T @ (shares[:, None] * error)
    # A clearly worse candidate gets weight only if its errors offset those of the others.
    near = np.diag(moments) <= NEAR * np.diag(moments).min()
    prior = near / near.sum()
    # It also keeps the matrix below positive definite where candidates make the same errors.
    penalty = SHRINKAGE * float(np.trace(moments)) / candidates
    # min wᵀMw + penalty·|w - prior|² over the simplex; the heavy last row of the least squares keeps the sum.
    factor = np.linalg.cholesky(moments + penalty * np.eye(candidates)).T
    heavy = 1e3 * np.sqrt(float(np.trace(moments)))
    A = np.vstack([factor, np.full((1, candidates), heavy)])
    b = np.r_[np.linalg.solve(factor.T, penalty * prior), heavy]
    weights = np.asarray(nnls(A, b)[0])
    # The heavy row keeps the sum only approximately.
    return np.asarray(weights / weights.sum())


def _log_odds(y: Array, raw: Array, shares: Array) -> Array:
    def value(weights: Array) -> tuple[float, Array]:
        margin = raw @ weights
        gradient = raw.T @ (shares * (probability(margin) - y))
        # The log loss of log-odds, without the overflow of an exponential.
        return float(shares @ (np.logaddexp(0.0, margin) - y * margin)), gradient

    start = np.full(raw.shape[1], 1.0 / raw.shape[1])
    return np.asarray(minimize(value, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * start.size).x)
