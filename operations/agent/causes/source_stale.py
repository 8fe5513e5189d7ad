"""The source has no new rows."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, alarm, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "age",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacDataStale")
    ages = {
        "stale": "age of the newest row",
        "service.data_age": "age of the newest observation",
        "run.stale": "the run calls the data stale",
    }
    yield from figure("age", evidence, ages)


KIND = Cause("source_stale", "The source is stale", _NAMES, _signs)
