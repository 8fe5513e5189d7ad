"""Population stability index over coarse bins, the missing values being one of them."""

from almanac.drift import statistics
from almanac.drift.measures._measure import Measure, Pair


def _index(pair: Pair) -> float:
    return statistics.psi(*pair.bins())


KIND = Measure(
    "psi",
    "population stability index",
    order=9,
    weight=0.12,
    floor=0.03,
    minimum=0.05,
    # Near zero it is quadratic in the shares, so that chance moves it by the rows and not by their root.
    shrinks=1.0,
    default=(0.2, 0.1),
    numbers=_index,
    categories=_index,
)
