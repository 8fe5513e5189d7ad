"""A column of categories has new levels, or levels that have changed places."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against_column, column, fact
from operations.agent.evidence import Evidence

_NAMES = (
    "unseen",
    "recode",
    "refused",
    "stuck",
    "unit",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from column("unseen", evidence, "unseen", "categories never seen")
    yield from column("recode", evidence, "recode", "an exchange of two categories fits better")
    yield from fact("refused", evidence, {"run.categories": "the run refuses categories"})
    yield from against_column("stuck", evidence, "run", "longest run of one value")
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")


KIND = Cause("category_change", "Categories have changed", _NAMES, _signs)
