"""Jensen–Shannon divergence of the shares of categories."""

from almanac.drift import statistics
from almanac.drift.measures._measure import Measure, Pair


def _divergence(pair: Pair) -> float:
    return statistics.jensen_shannon(*pair.bins())


KIND = Measure(
    "js",
    "Jensen–Shannon divergence, bits",
    order=11,
    weight=0.22,
    floor=0.03,
    minimum=0.01,
    # Near zero it is quadratic in the shares, so that chance moves it by the rows and not by their root.
    shrinks=1.0,
    default=(0.1, 0.06),
    categories=_divergence,
)
