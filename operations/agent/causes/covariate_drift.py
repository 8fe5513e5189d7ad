"""The inputs' distribution has moved."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, against_column, column, fact
from operations.agent.evidence import Evidence

_NAMES = ("offset", "shift", "drift", "unit", "recode", "unseen", "stuck", "missing", "season", "resolution")


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("offset", evidence, "offset", "level given the other columns", "inputs")
    yield from column("shift", evidence, "shift", "distance from its season", "inputs")
    yield from fact("drift", evidence, {"drift.inputs": "drift of the inputs by the model's reference"})
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")
    yield from against_column("recode", evidence, "recode", "an exchange of two categories fits better")
    yield from against_column("unseen", evidence, "unseen", "categories never seen")
    yield from against("resolution", evidence, {"drift.resolution": "values of another resolution"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")
    yield from against_column("missing", evidence, "missing", "missing values")
    yield from against_column("season", evidence, "season", "the season explains the distance")


KIND = Cause("covariate_drift", "The inputs have drifted", _NAMES, _signs)
