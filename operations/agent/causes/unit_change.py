"""A column comes in another unit."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against_column, column, fact
from operations.agent.evidence import Evidence

_NAMES = ("unit", "range", "stuck", "resolution")


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("unit", evidence, "unit", "a conversion of its unit explains the distance")
    yield from fact("range", evidence, {"run.range": "the run finds values out of their range"})
    yield from fact("resolution", evidence, {"drift.resolution": "values of another resolution"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")


KIND = Cause("unit_change", "A unit has changed", _NAMES, _signs)
