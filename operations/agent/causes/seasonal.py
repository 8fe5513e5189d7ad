"""The season explains the change."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, against_column, column, fact, figure
from operations.agent.evidence import Evidence

_NAMES = ("season", "drift", "unknown", "shift", "offset", "unit", "stuck", "missing", "unseen", "recode", "resolution")


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("season", evidence, "season", "the season explains the distance")
    yield from figure("drift", evidence, {"drift.inputs": "drift of the inputs by the model's reference"})
    yield from fact("unknown", evidence, {"drift.unknown_season": "rows of seasons that the reference does not have"})
    yield from against_column("shift", evidence, "shift", "distance from its season")
    yield from against_column("offset", evidence, "offset", "level given the other columns", "inputs")
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")
    yield from against("resolution", evidence, {"drift.resolution": "values of another resolution"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")
    yield from against_column("missing", evidence, "missing", "missing values")
    yield from against_column("unseen", evidence, "unseen", "categories never seen")
    yield from against_column("recode", evidence, "recode", "an exchange of two categories fits better")


KIND = Cause("seasonal", "The season explains it", _NAMES, _signs)
