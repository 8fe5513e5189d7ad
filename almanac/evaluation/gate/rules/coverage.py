"""The intervals must cover as many values as they claim to, as far as the number of rows can tell."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.rules import Candidate, GateRule, Rate
from almanac.evaluation.groups import UNKNOWN, Mask, band_names
from almanac.evaluation.paired import POWER
from almanac.evaluation.student import student_quantile
from almanac.evaluation.ties import forced_coverage
from almanac.usecase.training_section import GateRuleBase, Share


class CoverageWithin(GateRuleBase):
    """Interval coverage must lie within this distance of the nominal one, or within what chance allows."""

    rule: Literal["coverage"]
    within: Share = 0.03
    """Distance."""
    bands: bool = True
    """In each band too, and where the last value is unknown."""
    false_refusals: Rate = 0.005
    """Chance that intervals of the nominal coverage are refused by any target or band."""


def _checks(rule: CoverageWithin, model: Candidate) -> Iterator[Check]:
    # A probability has no interval.
    if model.classification:
        return
    coverage, rows = model.entry.get("coverage"), model.rows
    groups = _groups(rule, model)
    rate = rule.false_refusals / (sum(t.task == "regression" for t in model.usecase.targets) * len(groups))
    nominal = model.usecase.training.intervals.level
    for where, path in groups.items():
        observed = model.number("coverage", *path)
        what = f"distance of the coverage {where} from {nominal:g}"
        place = None if rows is None else _inside(rows, path)
        if place is not None and not place.any() and isinstance(coverage, dict) and observed is None:
            yield Check(rule.rule, model.target.name, what, None, None, vacuous="there is no such row")
        elif rows is None or place is None or not place.any():
            yield Check(rule.rule, model.target.name, what, None, rule.within)
        else:
            yield _check(rule, model, what, path[-1], observed, rows, place, rate)


def _groups(rule: CoverageWithin, model: Candidate) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {"overall": ("overall",)}
    if rule.bands:
        groups |= {f"in the band {name}": ("bands", name) for name in band_names(model.usecase)}
        groups["where the last value is unknown"] = ("bands", UNKNOWN)
    return groups


def _inside(rows: JudgedRows, path: tuple[str, ...]) -> Mask | None:
    """Return the rows of a check; None if the model gave no intervals at all."""
    if not np.isfinite(rows.lower).any():
        return None
    if path == ("overall",):
        return np.ones(rows.y.shape, dtype=np.bool_)
    return np.asarray(rows.bands.labels == path[-1])


def _check(
    rule: CoverageWithin,
    model: Candidate,
    what: str,
    group: str,
    observed: float | None,
    rows: JudgedRows,
    place: Mask,
    rate: float,
) -> Check:
    nominal, column = model.usecase.training.intervals.level, model.usecase.columns[model.target.column]
    error, blocks = _standard_error(rows, place, nominal)
    y, lower, upper = (values[place] for values in (rows.y, rows.lower, rows.upper))
    forced = forced_coverage(y, lower, upper, nominal, (column.min, column.max))
    n, distance = int(place.sum()), None if observed is None else _distance(observed, nominal, forced)
    # Rows of a single block are one observation: they can contradict nothing.
    chance = float(student_quantile(blocks - 1, 1.0 - rate / 2) * error) if blocks > 1 else 1.0
    allowed = max(rule.within, min(chance, 1.0))
    found = allowed + student_quantile(1e9, POWER) * error
    return Check(
        rule.rule,
        model.target.name,
        what,
        distance,
        allowed,
        note=(f"{forced:.2g} of the coverage is forced by values on an end or ends on a bound; " if forced else "")
        + f"{n:,} rows; chance alone reaches {min(chance, 1.0):.2g} in {rate:.2%}, and a distance of "
        f"{min(found, 1.0):.2g} is refused in {POWER:.0%}",
        evidence={
            "group": group,
            "rows": n,
            "standard_error": error,
            "blocks": blocks,
            "within": rule.within,
            "by_chance": chance,
            "forced": forced,
            "false_refusal_rate": rate,
            "detectable_distance": found,
            "power": POWER,
        },
    )


def _distance(observed: float, nominal: float, forced: float) -> float:
    """Return how far the coverage is from the nominal one; of what lies above it, the forced part does not count."""
    return nominal - observed if observed < nominal else max(observed - forced - nominal, 0.0)


def _standard_error(rows: JudgedRows, place: Mask, nominal: float) -> tuple[float, int]:
    """Return the standard error of the coverage of intervals that are right, and the number of blocks that hold rows.

    Misses come in a row, which the moving-block bootstrap of `almanac.evaluation.paired` accounts for; but what it sees
    in few rows may be no miss at all, so that no error is smaller than that of independent rows.
    """
    covered = ((rows.y >= rows.lower) & (rows.y <= rows.upper)).astype(np.float64)
    bootstrap = rows.clock.draw(np.where(place, covered - nominal, 0.0))
    sums = bootstrap.sums(np.column_stack([np.where(place, covered, 0.0), place.astype(np.float64)]))
    drawn = sums[sums[:, 1] > 0]
    tied = float(np.std(drawn[:, 0] / drawn[:, 1])) if len(drawn) else 0.0
    free = float(np.sqrt(nominal * (1.0 - nominal) / place.sum()))
    return max(tied, free), int(np.unique(bootstrap.step[place] // bootstrap.length).size)


KIND = GateRule("coverage", CoverageWithin, _checks)
