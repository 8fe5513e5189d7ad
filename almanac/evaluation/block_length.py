"""Length of the bootstrap's blocks, from the lead of the forecasts and the dependence of the rows."""

import numpy as np

from almanac.core.arrays import Array


def block_length(values: Array, lead: int) -> int:
    """Return the steps of a block for the mean of a series: the larger of twice the lead and the optimal length.

    Errors of forecasts h steps ahead overlap for h - 1 steps whatever the model is, so that blocks of less than twice
    that would cut most of their dependence.

    Args:
        values: one number for each time step, shape (n,), 0 for a step without a row.
        lead: steps from the newest value that a forecast knows to the one that it forecasts.
    """
    return max(2 * lead, optimal_length(values), 1)


def optimal_length(values: Array) -> int:
    """Return the block length that minimises the error of a circular block bootstrap's variance of the mean.

    Politis and White (2004, doi:10.1081/ETC-120028836), as corrected by Patton, Politis and White (2009,
    doi:10.1080/07474930802459016): the flat-top kernel's estimate of the dependence, cut off where the
    autocorrelations stay insignificant.

    Args:
        values: the series, shape (n,).
    """
    n = values.size
    around = values - values.mean()
    # A constant series has no correlation to divide by.
    if n < 8 or not around.any():
        return 1
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    most = min(int(np.ceil(np.sqrt(n))) + run, n - 1)
    covariance = np.array([around[: n - lag] @ around[lag:] / n for lag in range(most + 1)])
    cut = min(2 * _last_significant(covariance / covariance[0], n, run), most)
    lags = np.arange(-cut, cut + 1)
    kernel = np.minimum(1.0, 2.0 * (1.0 - np.abs(lags) / max(cut, 1)))
    weighted = kernel * covariance[np.abs(lags)]
    spectrum, slope = float(weighted.sum()), float((np.abs(lags) * weighted).sum())
    # A negative estimate of the long-run variance is chance, and of a series without dependence to speak of.
    if spectrum <= 0:
        return 1
    length = np.cbrt(2.0 * slope**2 / (4.0 / 3.0 * spectrum**2)) * np.cbrt(n)
    # The upper bound is that of the authors' own program.
    return int(np.clip(np.round(length), 1, np.ceil(min(3.0 * np.sqrt(n), n / 3.0))))


def _last_significant(correlation: Array, n: int, run: int) -> int:
    """Return the lag after which `run` autocorrelations in a row are insignificant, at least 1."""
    small = np.abs(correlation[1:]) < 2.0 * np.sqrt(np.log10(n) / n)
    for lag in range(small.size - run + 1):
        if small[lag : lag + run].all():
            return max(lag, 1)
    significant = np.flatnonzero(~small)
    return int(significant[-1]) + 1 if significant.size else 1
