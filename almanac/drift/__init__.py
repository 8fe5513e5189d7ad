"""Drift: a reference frozen with the model, and windows compared with it.

    from almanac import drift

    reference = drift.profile(training_table, time="timestamp")
    reference.write(Path("reference.json"))
    comparison = drift.compare(drift.read(Path("reference.json")), last_month)
    comparison.drifted, comparison.to_json()

Each column is judged by effect sizes (distances of distributions, missing rate, stuck values, …), against the same
season of the reference. How large an effect must be was learnt from the reference: from how far its own months
lie from the same months of its other years. The false-alarm rate holds for all columns together. The outputs of a model
(predictions, residuals, importances) are frozen and compared in the same way by `almanac.drift.outputs`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from almanac.drift.comparison import Comparison, FeatureDrift, compare
    from almanac.drift.findings import Finding
    from almanac.drift.profiles.merging import merge, restrict
    from almanac.drift.profiles.profiling import profile
    from almanac.drift.profiles.reference import Profile, from_json, read
    from almanac.drift.statistics import jensen_shannon, ks, ks_exact, ndcg, psi

__all__ = [
    "Comparison",
    "FeatureDrift",
    "Finding",
    "Profile",
    "compare",
    "from_json",
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

# Imported on first use: a server counts rows without the modules that read and compare tables, and stays small.
_MODULES = {
    "comparison": ("Comparison", "FeatureDrift", "compare"),
    "findings": ("Finding",),
    "profiles.merging": ("merge", "restrict"),
    "profiles.profiling": ("profile",),
    "profiles.reference": ("Profile", "from_json", "read"),
    "statistics": ("jensen_shannon", "ks", "ks_exact", "ndcg", "psi"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
