"""Classes of a target that has a threshold."""

import numpy as np

from almanac.core.arrays import Array


def as_classes(values: Array, above: float | None) -> Array:
    """Return 1 above the threshold, 0 elsewhere and NaN where unknown; without a threshold the values themselves."""
    return values if above is None else np.where(np.isfinite(values), (values > above).astype(np.float64), np.nan)
