"""Loss of agreement between the rankings of features by importance; `outputs.importance_profile` computes it."""

from almanac.drift.measures._measure import Measure

KIND = Measure(
    "importance",
    "importances, 1 less nDCG",
    order=13,
    weight=1.0,
    floor=0.01,
    minimum=0.01,
    shrinks=1.0,
    default=(0.1, 0.05),
)
