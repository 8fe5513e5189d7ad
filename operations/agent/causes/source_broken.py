"""The source delivers gaps, or files that cannot be read."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, against_column, column, fact
from operations.agent.evidence import Evidence

_NAMES = (
    "missing",
    "unreadable",
    "drift",
    "stale",
    "stuck",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("missing", evidence, "missing", "missing values")
    unreadable = {
        "run.unreadable": "the run could not read the source",
        "run.altered": "the source's file is another one",
        "run.missing": "the run misses values",
    }
    yield from fact("unreadable", evidence, unreadable)
    yield from fact("drift", evidence, {"drift.missing": "drift of missing values", "drift.gaps": "drift of gaps"})
    yield from against("stale", evidence, {"stale": "age of the newest row"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")


KIND = Cause("source_broken", "The source is broken", _NAMES, _signs)
