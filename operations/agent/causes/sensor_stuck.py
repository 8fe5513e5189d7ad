"""A sensor repeats one value."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against_column, column, fact
from operations.agent.evidence import Evidence

_NAMES = (
    "run",
    "refused",
    "missing",
    "unit",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("run", evidence, "run", "longest run of one value")
    yield from fact("refused", evidence, {"run.flatline": "the run finds one value for too long"})
    yield from against_column("missing", evidence, "missing", "missing values")
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")


KIND = Cause("sensor_stuck", "A sensor is stuck", _NAMES, _signs)
