"""Drift of a model's outputs: predictions, truths, residuals and importances, against those frozen with the model.

reference = freeze(out_of_fold, time="timestamp")           # with the model, as a part of its reference.json
reference = read_outputs(Path("reference.json"))
drift = compare_outputs(reference, Window(made, known, explained), level=0.005)
drift.drifted, drift.to_json()
"""

from almanac.drift.outputs.compare import OutputDrift, Window, compare_outputs, score
from almanac.drift.outputs.importance import ImportanceDrift
from almanac.drift.outputs.importance_profile import ImportanceProfile
from almanac.drift.outputs.reference import (
    IMPORTANCE,
    PREDICTION,
    SECTION,
    SIGNALS,
    TARGET,
    OutputReference,
    freeze,
    outputs_from_json,
    read_outputs,
)

__all__ = [
    "IMPORTANCE",
    "PREDICTION",
    "SECTION",
    "SIGNALS",
    "TARGET",
    "ImportanceDrift",
    "ImportanceProfile",
    "OutputDrift",
    "OutputReference",
    "Window",
    "compare_outputs",
    "freeze",
    "outputs_from_json",
    "read_outputs",
    "score",
]
