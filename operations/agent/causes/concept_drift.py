"""The relation of inputs and target has changed."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, against_column, column, fact, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "error",
    "course",
    "rougher",
    "residual",
    "release",
    "unit",
    "stuck",
    "offset",
    "unseen",
    "missing",
    "resolution",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    errors = {"error": "improbability of the error", "coverage": "improbability of the coverage"}
    yield from figure("error", evidence, errors)
    yield from column("course", evidence, "course", "course over the day", "targets")
    yield from column("rougher", evidence, "rougher", "steps from value to value", "targets")
    residuals = {"drift.residual": "drift of the residuals", "error.over_estimate": "error over its estimate"}
    yield from fact("residual", evidence, residuals)
    yield from against("release", evidence, {"release.worse": "error over that of the version before"})
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")
    yield from against("resolution", evidence, {"drift.resolution": "values of another resolution"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")
    yield from against_column("offset", evidence, "offset", "level given the other columns", "inputs")
    yield from against_column("unseen", evidence, "unseen", "categories never seen")
    yield from against_column("missing", evidence, "missing", "missing values")


KIND = Cause("concept_drift", "The relation of inputs and target has changed", _NAMES, _signs)
