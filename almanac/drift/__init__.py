"""Drift: a reference frozen with the model, and windows compared with it.

    from monitoring import drift

    reference = drift.profile(training_table, time="timestamp")
    reference.write(Path("reference.json"))
    comparison = drift.compare(drift.read(Path("reference.json")), last_month)
    comparison.drifted, comparison.to_json()

Each column is judged by effect sizes (distances of distributions, missing rate, stuck values, …), against the same
season of the reference. How large an effect must be was learnt from the reference alone: from how far its own months
lie from the same months of its other years. The false-alarm rate holds for all columns together. What a model gives out
(predictions, residuals, importances) is frozen and compared in the same way by `almanac.drift.outputs`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from almanac.drift.comparison import Comparison, FeatureDrift, compare
    from almanac.drift.findings import Finding
    from almanac.drift.importance import importance_drift, importances
    from almanac.drift.merging import merge, restrict
    from almanac.drift.profiling import profile
    from almanac.drift.reference import Profile, from_json, read
    from almanac.drift.statistics import jensen_shannon, ks, ks_exact, ndcg, psi

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

# Imported when asked for: a server counts rows without what reads and compares tables, and stays small.
_MODULES = {
    "Comparison": "comparison",
    "FeatureDrift": "comparison",
    "compare": "comparison",
    "Finding": "findings",
    "importance_drift": "importance",
    "importances": "importance",
    "merge": "merging",
    "restrict": "merging",
    "profile": "profiling",
    "Profile": "reference",
    "from_json": "reference",
    "read": "reference",
    "jensen_shannon": "statistics",
    "ks": "statistics",
    "ks_exact": "statistics",
    "ndcg": "statistics",
    "psi": "statistics",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
