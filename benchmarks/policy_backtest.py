"""Retraining policies over the whole real series: by schedule and by drift, each with the gate and without, and never.

    python -m benchmarks.policy_backtest --out policy.json

From `--start` on the series is processed window by window. In each window the model in use forecasts every target; at
its end the monitoring's own code evaluates the last windows and the policy decides. All policies train the same fixed
LightGBM on the same span, all data known by then or a sliding window, and forecast the same rows; they differ only in
when they train, and in what they do with the new model. With the gate it learns what was known before the window that
has just ended, and is judged on that window beside the model in use (`not_worse_than_registered`, 2% false refusals);
without the gate it learns everything and is taken as it is. Each policy's errors are compared with those of never
retraining on the same rows, by the gate's own comparison of periods.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac.core.files import write_json
from almanac.evaluation.paired import Clock, compare
from almanac.features.split import microseconds
from almanac.usecase import UseCase, load
from almanac.usecase.types import to_microseconds, to_timedelta
from benchmarks.policy_series import PARAMETERS, ROOT, ROUNDS, Series, Walk, Watch, validated
from monitoring.windows.join import with_truth
from monitoring.windows.judge import Monitored, breached, judge

Decide = Callable[[list[dict[str, Any]]], bool]


def walk(series: Series, moments: list[datetime], watch: bool, decide: Decide, gated: bool = False) -> Walk:
    """Apply a policy to the series and return its trainings and forecasts.

    Args:
        series: the series.
        moments: ends of windows; the first is when the first model is trained.
        watch: judge the windows; without it `decide` is given none.
        decide: returns whether to train again, from the judged windows.
        gated: judge each new model on the window that has just ended, and use it only if the gate opens.
    """
    done = Walk([moments[0]])
    watched = series.watch(moments[0]) if watch else None
    for start, stop in pairwise(moments):
        done.forecasts.append(series.forecast(done.trained[-1], watched, start, stop))
        windows = _judged(series, watched, done, stop) if watched else []
        if windows:
            done.breaching += windows[-1]["breach"]
        if stop == moments[-1] or not decide(windows):
            continue
        if gated and start == done.trained[-1]:
            # The newest data that it may learn are those of the model in use.
            continue
        if gated and not series.admits(start, done.trained[-1], start, stop):
            done.refused += 1
            continue
        done.trained.append(start if gated else stop)
        done.reasons.append("; ".join(windows[-1]["reasons"]) if windows else "by schedule")
        watched = series.watch(done.trained[-1]) if watch else None
    return done


def _judged(series: Series, watch: Watch, done: Walk, stop: datetime) -> list[dict[str, Any]]:
    usecase = series.usecase
    length = usecase.drift.policy.of * to_timedelta(usecase.drift.window) + series.gap
    time_column = pl.col(series.time)
    table = series.table.filter(time_column < stop)
    joined = with_truth(usecase, table, pl.concat(done.forecasts).filter(time_column >= stop - length))
    joined = joined.filter(pl.col("prediction").is_finite())
    monitored = Monitored(usecase, table, joined, watch.reference, {}, watch.ranges, stop, watch.outputs)
    return [window.document for window in judge(monitored)]


def figures(series: Series, done: Walk) -> dict[str, Any]:
    """Return a policy's errors by target, on the rows that all policies forecast."""
    joined = with_truth(series.usecase, series.table, pl.concat(done.forecasts))
    known = joined.filter(pl.col("y").is_not_null() & pl.col("prediction").is_finite())
    found = {}
    for (name,), rows in sorted(known.group_by(["target"]), key=lambda item: str(item[0])):
        error = (rows["prediction"] - rows["y"]).to_numpy()
        found[str(name)] = {
            "n": rows.height,
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt((error**2).mean())),
        }
    return {
        "retrainings": len(done.trained) - 1,
        "refused": done.refused,
        "trained": [moment.date().isoformat() for moment in done.trained],
        "reasons": done.reasons,
        "breaching_windows": done.breaching,
        "windows": len(done.forecasts),
        "targets": found,
    }


def measure(usecase: UseCase, table: pl.DataFrame, start: datetime, span: str | None) -> dict[str, Any]:
    """Return the results of the three policies."""
    began = time.perf_counter()
    series, length = Series(usecase, table, span), to_timedelta(usecase.drift.window)
    moments = [start]
    newest: Any = table[usecase.time.column].max()
    while moments[-1] + length <= newest + to_timedelta(usecase.time.frequency):
        moments.append(moments[-1] + length)
    policies = {
        "never": walk(series, moments, watch=False, decide=lambda windows: False),
        "every window": walk(series, moments, watch=False, decide=lambda windows: True),
        "every window, gate": walk(series, moments, watch=False, decide=lambda windows: True, gated=True),
        "drift policy": walk(series, moments, watch=True, decide=lambda windows: breached(usecase, windows)),
        "drift policy, gate": walk(
            series, moments, watch=True, decide=lambda windows: breached(usecase, windows), gated=True
        ),
    }
    never = policies["never"]
    return {
        "use_case": usecase.name,
        "from": moments[0].isoformat(),
        "to": moments[-1].isoformat(),
        "window": usecase.drift.window,
        "policy": usecase.drift.policy.model_dump(mode="json"),
        "false_alarm_rate": usecase.drift.false_alarm_rate,
        "signals": list(usecase.drift.signals),
        "training_span": span or "all that is known",
        "model": {"parameters": PARAMETERS, "rounds": ROUNDS},
        "seconds": round(time.perf_counter() - began, 1),
        "policies": {
            name: {**figures(series, done), "beside_never": beside(series, done, never)}
            for name, done in policies.items()
        },
    }


def beside(series: Series, done: Walk, other: Walk) -> dict[str, Any]:
    """Return by target the relative difference of the MAE from another policy's on the same rows, with its interval."""
    ours, theirs = (with_truth(series.usecase, series.table, pl.concat(each.forecasts)) for each in (done, other))
    both = ours.with_columns(theirs["prediction"].alias("other")).filter(
        pl.col("y").is_not_null() & pl.col("prediction").is_finite() & pl.col("other").is_finite()
    )
    frequency, found = to_microseconds(series.usecase.time.frequency), {}
    for target in series.usecase.targets:
        rows = both.filter(pl.col("target") == target.name)
        lead = to_microseconds(target.horizon) // frequency
        clock = Clock(microseconds(rows[series.time]), frequency, lead)
        y, mine, its = (rows[name].to_numpy() for name in ("y", "prediction", "other"))
        pair = compare("mae", clock, y, mine, its)
        change, interval = float(np.expm1(pair.log_ratio)), [pair.at_least(0.025), pair.at_most(0.025)]
        found[target.name] = {"change": change, "interval": interval, "n": rows.height}
    return found


def table_of(result: dict[str, Any]) -> str:
    """Return the results as a text table."""
    lines = [f"{result['use_case']}: {result['from'][:10]} to {result['to'][:10]}, windows of {result['window']}"]
    names = list(result["policies"]["never"]["targets"])
    head = "".join(f"{name + ' MAE':>16}{'RMSE':>10}" for name in names)
    lines.append(f"{'policy':<20}{'retrainings':>12}{'refused':>9}{head}")
    for policy, found in result["policies"].items():
        cells = "".join(f"{t['mae']:16.3f}{t['rmse']:10.3f}" for t in found["targets"].values())
        lines.append(f"{policy:<20}{found['retrainings']:>12}{found['refused']:>9}{cells}")
    lines.append("MAE beside never retraining, on the same rows, with its 95% interval:")
    for policy, found in result["policies"].items():
        changes = (
            f"{name} {c['change']:+.2%} [{c['interval'][0]:+.2%}, {c['interval'][1]:+.2%}]"
            for name, c in found["beside_never"].items()
        )
        lines.append(f"  {policy:<20}{', '.join(changes)}")
    watched = result["policies"]["drift policy"]
    lines.append(f"{watched['breaching_windows']} of {watched['windows']} windows breach; {result['seconds']} s")
    lines += [f"  {day}  {why}" for day, why in zip(watched["trained"][1:], watched["reasons"], strict=True)]
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Backtest of the drift policy over the whole series.")
    parser.add_argument("--usecase", type=Path, default=ROOT / "usecases" / "air_quality.yaml")
    parser.add_argument("--start", type=datetime.fromisoformat, default=datetime(2012, 1, 1), help="first training")
    parser.add_argument("--targets", nargs="+", metavar="NAME", help="only these targets; all by default")
    parser.add_argument("--span", help="length of the training span, such as 730d; all that is known by default")
    parser.add_argument("--out", type=Path, help="write the result as JSON there")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    given = parser.parse_args()
    usecase = load(given.usecase)
    with tempfile.TemporaryDirectory() as folder:
        table = validated(usecase, Path(folder))
    if given.targets:
        chosen = [usecase.target(name) for name in given.targets]
        usecase = usecase.model_copy(update={"targets": chosen})
    span = given.span or usecase.drift.policy.retrain_window
    result = measure(usecase, table, given.start, span)
    if given.out:
        write_json(given.out, result)
    print(json.dumps(result, indent=2) if given.json else table_of(result))


if __name__ == "__main__":
    main()
