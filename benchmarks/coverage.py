"""Share of a fold's deviation in coverage that returns in the next fold, which `calibration._levels` accounts for.

    python -m benchmarks.coverage runs/air_quality/latest runs/traffic/latest [--json]

Each fold after the first is covered by intervals of the folds before it, without the correction of their level. A
deviation from the nominal level that were a property of the band would return whole in the next fold, and mere chance
not at all. Targets whose intervals have the widths of trees are measured twice, by widths that follow from the forecast
and by those of the trees.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.model.directory import OUT_OF_FOLD
from almanac.model.intervals import Intervals
from almanac.model.model import load_model
from almanac.training.calibration import calibrate
from almanac.usecase import load as load_use_case


def deviations(run: Path, trees: bool = False) -> dict[str, Array]:
    """Return the deviations of each target with intervals in the folds after the first, shape (folds - 1, bands).

    Args:
        run: run directory.
        trees: whether widths are those of trees, of the targets that have them, and follow from the forecast otherwise.
    """
    metrics = json.loads((run / "metrics.json").read_text())
    usecase = load_use_case(Path("usecases") / f"{metrics['use_case']}.yaml")
    table = pl.read_parquet(run / "model" / OUT_OF_FOLD)
    deviations_of = {}
    for target in usecase.targets:
        model = load_model(run / "model" / target.name)
        if model.intervals is None or (trees and model.width is None):
            continue
        rows = table.filter(pl.col("target") == target.name)
        y, prediction, last, fold = (rows[name].to_numpy() for name in ("y", "prediction", "last", "fold"))
        width = _widths(model.intervals, rows) if trees else np.empty(0)
        edges, level = usecase.evaluation.bands.edges, usecase.training.intervals.level
        place = np.where(np.isfinite(last), np.searchsorted(edges, last, side="left"), -1)
        spans = []
        for number in np.unique(fold)[1:]:
            past, ahead = fold < number, fold == number
            made = calibrate(
                y[past], prediction[past], last[past], level=level, bins=usecase.training.intervals.bins,
                by=model.intervals.by, edges=edges, clip=model.intervals.clip, width=width[past] if trees else None,
            )  # fmt: skip
            lower, upper = made.apply(last[ahead], prediction[ahead], width=width[ahead] if trees else None)
            covered = (y[ahead] >= lower) & (y[ahead] <= upper)
            spans.append([covered[place[ahead] == band].mean() - level for band in range(len(edges) + 1)])
        deviations_of[target.name] = np.array(spans)
    return deviations_of


def _widths(intervals: Intervals, rows: pl.DataFrame) -> Array:
    """Return the width of each out-of-fold row, by which the ends of its interval follow from the offsets."""
    prediction = rows["prediction"].to_numpy()
    ones = replace(intervals, clip=(None, None)).apply(rows["last"].to_numpy(), prediction, width=np.ones(rows.height))
    ends = (rows[name].to_numpy() for name in ("lower", "upper"))
    # An end that was moved to a bound of the column is nearer to the forecast; the other end has the whole width.
    lower, upper = ((end - prediction) / (one - prediction) for end, one in zip(ends, ones, strict=True))
    return np.asarray(np.maximum(lower, upper))


def returned(deviations: dict[str, Array]) -> float:
    """Return the share of a deviation that returns in the next fold, by least squares through the origin."""
    before = np.concatenate([spans[:-1].ravel() for spans in deviations.values()])
    after = np.concatenate([spans[1:].ravel() for spans in deviations.values()])
    return float(before @ after / (before @ before))


def main() -> None:
    """Print the deviations of every band, and the share that returns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", type=Path, nargs="+", help="run directories")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = {kind: _of_all(arguments.runs, trees=kind == "trees") for kind in ("forecast", "trees")}
    measured = {
        kind: {"returned": returned(each), "deviations": {name: spans.tolist() for name, spans in each.items()}}
        for kind, each in found.items()
        if each
    }
    if arguments.json:
        print(json.dumps(measured))
        return
    for kind, each in found.items():
        for name, spans in each.items():
            for number, bands in enumerate(spans, 2):
                print(f"{kind:8} {name:12} fold {number}  " + "  ".join(f"{100 * band:+5.1f}" for band in bands))
    for kind, result in measured.items():
        bands = sum(spans.shape[1] for spans in found[kind].values())
        print(f"widths of {kind}: {result['returned']:.2f} of a deviation returns in the next fold, in {bands} bands")


def _of_all(runs: list[Path], trees: bool) -> dict[str, Array]:
    return {name: spans for run in runs for name, spans in deviations(run, trees).items()}


if __name__ == "__main__":
    main()
