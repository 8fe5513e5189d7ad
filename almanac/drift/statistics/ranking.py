"""Agreement of two rankings."""

import numpy as np

from almanac.drift.counting.histogram import Floats


def ndcg(reference: Floats, current: Floats) -> float:
    """Return how well the ranking by `current` importances keeps the order of the `reference` importances, 0 to 1.

    The normalised discounted cumulative gain: gains are the reference importances (f,), placed in the order of the
    current ones (f,). Below 0.9 an attribution is usually taken to have drifted.

    Raises:
        ValueError: other lengths, a negative or missing importance, or none above zero in the reference.
    """
    if reference.shape != current.shape or reference.ndim != 1:
        raise ValueError(f"importances have shapes {reference.shape} and {current.shape}; both must be (f,)")
    if not (np.isfinite(reference).all() and np.isfinite(current).all() and (reference >= 0).all()):
        raise ValueError("importances must be finite, and those of the reference not negative")
    if not reference.sum() > 0:
        raise ValueError("no reference importance is above zero")
    discount = 1 / np.log2(np.arange(2, len(reference) + 2))
    gained = reference[np.argsort(-current, kind="stable")]
    return float((gained * discount).sum() / (np.sort(reference)[::-1] * discount).sum())
