"""How often the gate refuses a model as good as the registered one, and one that is 10% worse, by chance.

    python -m benchmarks.gate [--months 200] [--days 30] [--year 2014] [--json]

Models of one kind that differ in their seed alone are equal but for chance: LightGBM of fixed parameters, trained on
everything before the year. Its rows are resampled to months: weeks that begin at random hours, one after the other, so
that a month holds the dependence of its hours and all months together are the year. In each month one of two such
models is registered and the other is judged by the reference use case's whole gate; errors are scaled so that over the
year both are the same. Then the judged model is made 10% worse over the year, by mixing persistence into it. A month
allows that to be found if the gate states that a model this much worse is refused in 90% of the cases.

The intervals are plainer than those of the use case: their widths follow from the forecast, and a last known value that
was imputed counts as one that was read. What the rule `coverage` refuses is measured of such intervals.

The gate's method was chosen on years before 2014, of which `--year 2013` and `--year 2012` are repeated here.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.evaluation.evaluate import predictions
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import RegisteredModel, read_evidence
from almanac.evaluation.groups import Slices, bands_of
from almanac.evaluation.scored_rows import ScoredRows
from almanac.evaluation.target_metrics import target_metrics
from almanac.features.baselines import baseline_forecasts
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.split import microseconds
from almanac.features.target import targets
from almanac.model.intervals import Intervals
from almanac.training.calibration import calibrate
from almanac.usecase import UseCase, load
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds
from benchmarks.policy_series import PARAMETERS, ROUNDS, validated

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (1, 2, 3)
WORSE = 0.1
_WEEK = 7 * 24
YEARS = (2012, 2013, 2014)


@dataclass(frozen=True)
class Year:
    """The hours of the test year of one target.

    Attributes:
        target: the target.
        y: truth, NaN where unknown, shape (n,).
        last: last known value, shape (n,).
        baselines: forecasts of the baselines by name.
        forecasts: forecast of each seed's model, shape (n,).
        intervals: intervals of the models, calibrated on the year before.
        by: the feature that the intervals depend on, shape (n,).
        scale: unit of MASE.
    """

    target: Target
    y: Array
    last: Array
    baselines: dict[str, Array]
    forecasts: dict[int, Array]
    intervals: Intervals
    by: Array
    scale: float


def years(
    usecase: UseCase, table: pl.DataFrame, rounds: int = ROUNDS, year: int = YEARS[-1]
) -> tuple[list[Year], npt.NDArray[np.int64]]:
    """Return the test year of each target, and its times."""
    spec = FeatureSpec.of(usecase)
    features = compute(spec, table)
    time = microseconds(features[usecase.time.column])
    values = pl.concat([features.select(usecase.time.column), targets(usecase, spec, table)], how="horizontal")
    X = features.select(spec.names).to_numpy()
    spans = _Spans(time, *(int(np.datetime64(f"{year + moved}-01-01", "us").astype(np.int64)) for moved in (-1, 0, 1)))
    return [_year(usecase, target, values, X, spec.names, spans, rounds) for target in usecase.targets], time[
        spans.test
    ]


@dataclass(frozen=True)
class _Spans:
    """The rows' times, and the starts of the year that calibrates, of the test year, and of the one after."""

    time: npt.NDArray[np.int64]
    calibrated: int
    first: int
    end: int

    @property
    def test(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self.time >= self.first) & (self.time < self.end))


def _year(
    usecase: UseCase, target: Target, values: pl.DataFrame, X: Array, names: list[str], spans: _Spans, rounds: int
) -> Year:
    y, last = (values[f"{kind}_{target.name}"].to_numpy() for kind in ("y", "last"))
    late, known = spans.test, np.isfinite(y) & np.isfinite(last)
    due = spans.time + to_microseconds(target.horizon)
    learned, earlier = known & (due < spans.first), known & (due < spans.calibrated)
    by = X[:, names.index(target.column)]
    forecasts = {seed: _fit(X, y, by, learned, seed, rounds, late) for seed in SEEDS}
    year = learned & (spans.time >= spans.calibrated)
    unseen = _fit(X, y, by, earlier, SEEDS[0], rounds, year)
    settings = usecase.training.intervals
    intervals = calibrate(
        y[year], unseen, by[year], level=settings.level, bins=settings.bins, by=target.column,
        edges=usecase.evaluation.bands.edges, clip=(0.0, None),
    )  # fmt: skip
    baselines = {name: each[late] for name, each in baseline_forecasts(usecase, values, target, learned).items()}
    return Year(target, y[late], last[late], baselines, forecasts, intervals, by[late], 1.0)


def _fit(X: Array, y: Array, by: Array, rows: Any, seed: int, rounds: int, wanted: Any) -> Array:
    data = lightgbm.Dataset(X[rows], (y - by)[rows], params=PARAMETERS)
    booster = lightgbm.train(PARAMETERS | {"seed": seed, "num_threads": 1}, data, rounds)
    # A missing last value leaves no forecast of a difference from it; the mean stands in, as in a saved model.
    return np.asarray(booster.predict(X[wanted]) + np.where(np.isfinite(by[wanted]), by[wanted], np.nanmean(by[rows])))


def months(hours: int, count: int, days: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the hours of each resampled month: weeks of the year that begin at random."""
    random = np.random.default_rng(2014)
    for _ in range(count):
        starts = random.integers(0, hours - _WEEK, size=-(-days * 24 // _WEEK))
        yield np.concatenate([np.arange(start, start + _WEEK) for start in starts])[: days * 24]


def measure(
    usecase: UseCase, table: pl.DataFrame, count: int, days: int, rounds: int = ROUNDS, year: int = YEARS[-1]
) -> dict[str, Any]:
    """Return the shares of months in which an equal and a worse model are refused, by whom, and where it is allowed."""
    made, time = years(usecase, table, rounds, year)
    random, refused = np.random.default_rng(7), {"equal": 0, "worse": 0}
    rules: dict[str, Counter[str]] = {"equal": Counter(), "worse": Counter()}
    found: dict[str, list[tuple[float | None, bool]]] = {each.target.name: [] for each in made}
    weights = {(each.target.name, seed): _weight(each, seed) for each in made for seed in SEEDS}
    stated_rate = 0.0
    for hours in months(time.size, count, days):
        ours, theirs = random.choice(SEEDS, 2, replace=False)
        stated: dict[str, float | None] = {}
        for kind in ("equal", "worse"):
            weight = {name: weights[name, ours] if kind == "worse" else 0.0 for name in found}
            decision = _decision(usecase, made, time, hours, (ours, theirs), weight)
            failed = [check for check in decision["rules"] if not check["passed"]]
            stated_rate = decision["false_refusals"]
            refused[kind] += bool(failed)
            rules[kind].update({check["rule"] for check in failed})
            for check in decision["rules"]:
                if check["rule"] == "not_worse_than_registered" and kind == "equal":
                    stated[check["target"]] = check["evidence"]["detectable_excess"]
                elif check["rule"] == "not_worse_than_registered":
                    found[check["target"]].append((stated[check["target"]], not check["passed"]))
    return {
        "year": year,
        "months": count,
        "days": days,
        "stated": stated_rate,
        "equal": {"refused": refused["equal"] / count, "rules": {k: n / count for k, n in rules["equal"].items()}},
        "worse": {"refused": refused["worse"] / count, "rules": {k: n / count for k, n in rules["worse"].items()}},
        "targets": {name: _detected(pairs) for name, pairs in found.items()},
    }


def _detected(pairs: list[tuple[float | None, bool]]) -> dict[str, Any]:
    """Return how often a target's worse model was refused, in all months and in those that allow it."""
    allowed = [refused for smallest, refused in pairs if smallest is not None and smallest <= WORSE]
    stated = [smallest for smallest, _ in pairs if smallest is not None]
    return {
        "refused": float(np.mean([refused for _, refused in pairs])),
        "months_that_allow_it": len(allowed),
        "refused_there": float(np.mean(allowed)) if allowed else None,
        "detectable_excess": float(np.median(stated)) if stated else None,
    }


def _rows(year: Year) -> Any:
    return np.isfinite(year.y) & np.isfinite(year.last)


def _error(year: Year, forecast: Array) -> float:
    return float(np.sqrt(np.mean((forecast - year.y)[_rows(year)] ** 2)))


def _weight(year: Year, seed: int) -> float:
    """Return the weight of persistence that makes a model this much worse over the year."""
    forecast = year.forecasts[seed]
    least, low, high = (1.0 + WORSE) * _error(year, forecast), 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        worse = _error(year, forecast + middle * (year.last - forecast)) >= least
        low, high = (low, middle) if worse else (middle, high)
    return high


def _decision(
    usecase: UseCase, made: list[Year], time: Any, hours: Any, seeds: tuple[int, int], weight: dict[str, float]
) -> dict[str, Any]:
    scored, registered = [], []
    for year in made:
        rows = hours[np.isfinite(year.y[hours])]
        ours, theirs = (year.forecasts[seed] for seed in seeds)
        # Over the year both have the same error.
        theirs = year.y + (theirs - year.y) * (_error(year, ours) / _error(year, theirs))
        mixed = ours + weight[year.target.name] * (np.where(np.isfinite(year.last), year.last, ours) - ours)
        # The months' weeks follow each other in time, as those of a real month do.
        moments = time[0] + np.flatnonzero(np.isfinite(year.y[hours])) * to_microseconds(usecase.time.frequency)
        scored.append(_scored(usecase, year, rows, mixed[rows], moments))
        registered.append(theirs[rows])
    metrics = {"use_case": usecase.name, "targets": {e.target.name: target_metrics(usecase, e, "") for e in scored}}
    table = predictions(scored).with_columns(registered=np.concatenate(registered))
    names = tuple(each.target.name for each in made)
    return decide(usecase, metrics, read_evidence(usecase, table, RegisteredModel(1, names)))


def _scored(usecase: UseCase, year: Year, rows: Any, forecast: Array, time: Any) -> ScoredRows:
    lower, upper = year.intervals.apply(year.by[rows], forecast)
    keys = pl.DataFrame({usecase.time.column: pl.Series(time, dtype=pl.Datetime("us"))})
    weekend = np.where((time // (24 * 3_600_000_000) + 3) % 7 >= 5, 1, 0)
    return ScoredRows(
        target=year.target,
        keys=keys,
        time=time,
        grid=usecase.time.grid,
        X=np.zeros((rows.size, 0)),
        y=year.y[rows],
        prediction=forecast,
        lower=lower,
        upper=upper,
        last=year.last[rows],
        baselines={name: values[rows] for name, values in year.baselines.items()},
        bands=bands_of(usecase, year.last[rows]),
        groups={"weekend": Slices.of(("weekday", "weekend"), weekend)},
        scale=year.scale,
    )


def table_of(result: dict[str, Any]) -> str:
    """Return the results as a text table."""
    lines = [
        f"{result['months']} resampled spans of {result['days']} days of {result['year']}; stated by the gate: "
        f"{result['stated']:.1%}"
    ]
    for kind, said in (("equal", "a model as good as the registered one"), ("worse", "one 10% worse over the year")):
        found = result[kind]
        rules = ", ".join(f"{rule} {share:.1%}" for rule, share in sorted(found["rules"].items())) or "no rule"
        lines.append(f"refused of {said}: {found['refused']:.1%} ({rules})")
    for name, found in result["targets"].items():
        there = "none" if found["refused_there"] is None else f"{found['refused_there']:.1%}"
        lines.append(
            f"  {name}: 10% worse refused in {found['refused']:.1%}; in the {found['months_that_allow_it']} months "
            f"that allow it {there}; stated as detectable: {_share(found['detectable_excess'])} (median)"
        )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.1%}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="False refusals and power of the gate over resampled months.")
    parser.add_argument("--months", type=int, default=200)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--year", type=int, choices=YEARS, default=YEARS[-1])
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    given = parser.parse_args()
    usecase = load(ROOT / "usecases" / "air_quality.yaml")
    with tempfile.TemporaryDirectory() as folder:
        table = validated(usecase, Path(folder))
    result = measure(usecase, table, given.months, given.days, year=given.year)
    print(json.dumps(result, indent=2) if given.json else table_of(result))


if __name__ == "__main__":
    main()
