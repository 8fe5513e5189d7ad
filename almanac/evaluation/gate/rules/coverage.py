"""The intervals must cover as many values as they claim to, within the limits of their rows."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from almanac.core.arrays import Array, Mask
from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.evaluation.groups import UNKNOWN, band_names
from almanac.evaluation.paired import POWER
from almanac.evaluation.periods import Codes
from almanac.evaluation.student import student_quantile
from almanac.evaluation.ties import forced_coverage
from almanac.usecase.gate_section import ChanceRule
from almanac.usecase.training_section import Share

# Of a forecast that is an end of its own interval.
_LEAST_WIDTH = 1e-9


class CoverageWithin(ChanceRule):
    """Interval coverage must lie within this distance of the nominal one, or within that of chance."""

    rule: Literal["coverage"]
    within: Share = 0.03
    """Distance."""
    bands: bool = True
    """In each band too, and where the last value is unknown."""


def _checks(rule: CoverageWithin, model: Candidate) -> Iterator[Check]:
    # A probability has no interval.
    if model.classification:
        return
    coverage, rows = model.entry.get("coverage"), model.rows
    groups = _groups(rule, model)
    rate = model.rate / len(groups)
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
    clusters = {"periods": rows.clock.periods} | ({} if rows.entity is None else {"entities": rows.entity})
    counts = {name: int(np.unique(code[place]).size) for name, code in clusters.items()}
    error, chance = _by_chance_of(rows, place, nominal, rate)
    y, lower, upper = (values[place] for values in (rows.y, rows.lower, rows.upper))
    forced = forced_coverage(y, lower, upper, nominal, (column.min, column.max))
    n, distance = int(place.sum()), None if observed is None else _distance(observed, nominal, forced)
    allowed = max(rule.within, min(chance, 1.0))
    found = allowed + student_quantile(1e9, POWER) * error
    return Check(
        rule.rule,
        model.target.name,
        what,
        distance,
        allowed,
        note=(f"{forced:.2g} of the coverage is forced by values on an end or ends on a bound; " if forced else "")
        + f"{n:,} rows of {_listed(counts)}; chance alone reaches {min(chance, 1.0):.2g} in {rate:.2%}, and a distance "
        f"of {min(found, 1.0):.2g} is refused in {POWER:.0%}",
        evidence={
            "group": group,
            "rows": n,
            "standard_error": error,
            **counts,
            "within": rule.within,
            "by_chance": chance,
            "forced": forced,
            "false_refusal_rate": rate,
            "detectable_distance": found,
            "power": POWER,
        },
    )


def _distance(observed: float, nominal: float, forced: float) -> float:
    """Return the distance of the coverage from the nominal one; an excess that was forced does not count."""
    return nominal - observed if observed < nominal else max(observed - forced - nominal, 0.0)


def _listed(counts: dict[str, int]) -> str:
    return " and ".join(f"{count:,} {name}" for name, count in counts.items())


def _by_chance_of(rows: JudgedRows, place: Mask, nominal: float, rate: float) -> tuple[float, float]:
    """Return the standard error of the coverage of intervals that are right, and the distance that chance reaches.

    Misses come in a row, and the periods differ by it. A span that holds few of them seems to be sure of its coverage,
    which it is not: so the largest is taken of what the misses give, of what those of intervals give that are rescaled
    to the nominal coverage, and of what independent rows would.
    """
    n = int(place.sum())
    score = np.where(place, _excess(rows), -np.inf)
    bound = np.sort(score[place])[min(int(np.ceil(nominal * n)), n) - 1]
    free = float(np.sqrt(nominal * (1.0 - nominal) / n))
    found = [_clustered(rows, place, missed) for missed in (score > 0.0, score > bound)]
    errors = [(max(free, error), degrees) for error, degrees in found]
    largest = max(error for error, _ in errors)
    # Rows of a single period, or of one entity of a panel, are one observation: they can contradict nothing.
    if min(degrees for _, degrees in errors) <= 0.0:
        return largest, 1.0
    return largest, max(student_quantile(degrees, 1.0 - rate / 2) * error for error, degrees in errors)


def _clustered(rows: JudgedRows, place: Mask, missed: Mask) -> tuple[float, float]:
    """Return the standard error of the share of misses, and its degrees of freedom.

    The misses of a period depend on each other, and so do those of a panel's entity: one that has changed since the
    calibration misses in all periods. Variances of sums by period and by entity add up, less that of sums by both,
    which both count (Cameron, Gelbach and Miller, 2011, doi:10.1198/jbes.2010.07136); where that is less than one of
    them alone, the larger one holds. The degrees of freedom are Satterthwaite's (1946, doi:10.2307/3002019).
    """
    periods = rows.clock.periods
    by_period, degrees = _variance(periods, place, missed)
    if rows.entity is None:
        return float(np.sqrt(by_period)), degrees
    by_entity, others = _variance(rows.entity, place, missed)
    if min(degrees, others) <= 0.0:
        return float(np.sqrt(max(by_period, by_entity))), 0.0
    both, _ = _variance(rows.entity * (int(periods.max()) + 1) + periods, place, missed)
    spread = by_period**2 / degrees + by_entity**2 / others
    together = (by_period + by_entity) ** 2 / spread if spread else min(degrees, others)
    return float(np.sqrt(max(by_period, by_entity, by_period + by_entity - both))), float(together)


def _variance(code: Codes, place: Mask, missed: Mask) -> tuple[float, float]:
    """Return the variance of the share of misses, a ratio of the clusters' sums, and its degrees of freedom."""
    inside = missed[place].astype(np.float64)
    present, cluster = np.unique(code[place], return_inverse=True)
    sums = np.bincount(cluster, inside - inside.mean())
    degrees = present.size - 1.0
    return float((sums**2).sum() * present.size / max(degrees, 1.0)) / inside.size**2, degrees


def _excess(rows: JudgedRows) -> Array:
    """Return by how much each value lies outside of its interval, in units of the distance of that end."""
    below, above = (
        np.maximum(end, _LEAST_WIDTH) for end in (rows.prediction - rows.lower, rows.upper - rows.prediction)
    )
    # A row without an interval is a miss.
    return np.nan_to_num(np.maximum((rows.lower - rows.y) / below, (rows.y - rows.upper) / above), nan=np.inf)


def _by_chance(_: CoverageWithin, model: Candidate) -> bool:
    return not model.classification


KIND = GateRule("coverage", CoverageWithin, _checks, by_chance=_by_chance)
