"""The intervals must cover as many values as they claim to."""

from collections.abc import Iterator, Mapping
from typing import Literal

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase.training_section import GateRuleBase, Share


class CoverageWithin(GateRuleBase):
    """Interval coverage must lie within this distance of the nominal one."""

    rule: Literal["coverage"]
    within: Share = 0.03
    """Distance."""
    bands: bool = True
    """In each band too."""


def _checks(rule: CoverageWithin, model: Candidate) -> Iterator[Check]:
    # A probability has no interval.
    if model.classification:
        return
    nominal = model.usecase.training.intervals.level
    paths: dict[str, tuple[str, ...]] = {"overall": ("overall",)}
    coverage = model.entry.get("coverage")
    if rule.bands:
        bands = coverage.get("bands") if isinstance(coverage, Mapping) else None
        # Without bands this name leads to no number, which closes the gate.
        names = list(bands) if isinstance(bands, Mapping) and bands else ["(no bands)"]
        paths |= {f"in the band {name}": ("bands", name) for name in names}
    for where, path in paths.items():
        observed = number(coverage, *path)
        distance = None if observed is None else abs(observed - nominal)
        what = f"distance of the coverage {where} from {nominal:g}"
        yield Check(rule.rule, model.target.name, what, distance, rule.within)


KIND = GateRule("coverage", CoverageWithin, _checks)
