"""Drift: a reference frozen with the model, and windows compared with it.

    from monitoring import drift

    reference = drift.profile(training_table, time="timestamp")
    reference.write(Path("reference.json"))
    comparison = drift.compare(drift.read(Path("reference.json")), last_month)
    comparison.drifted, comparison.to_json()

Each column is judged by effect sizes (distances of distributions, missing rate, stuck values, …), against the same
season of the reference. How large an effect must be was learnt from the reference alone: from how far its own months
lie from the same months of its other years. The false-alarm rate holds for all columns together. What a model gives out
(predictions, residuals, importances) is frozen and compared in the same way by `monitoring.drift.outputs`.
"""

from monitoring.drift.comparison import Comparison, FeatureDrift, compare
from monitoring.drift.findings import Finding
from monitoring.drift.importance import importance_drift, importances
from monitoring.drift.merging import merge, restrict
from monitoring.drift.profiling import profile
from monitoring.drift.reference import Profile, from_json, read
from monitoring.drift.statistics import jensen_shannon, ks, ks_exact, ndcg, psi

__all__ = [
    "Comparison",
    "FeatureDrift",
    "Finding",
    "Profile",
    "compare",
    "from_json",
    "importance_drift",
    "importances",
    "jensen_shannon",
    "ks",
    "ks_exact",
    "merge",
    "ndcg",
    "profile",
    "psi",
    "read",
    "restrict",
]
