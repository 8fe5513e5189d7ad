"""Share of a fold's deviation in coverage that returns in the next fold, which `calibration._levels` accounts for.

    python -m benchmarks.coverage runs/air_quality/latest runs/traffic/latest [--json]

Each fold after the first is covered by plain intervals of the folds before it. A deviation from the nominal level that
were a property of the band would return whole in the next fold, and mere chance not at all.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.model.directory import OUT_OF_FOLD
from almanac.model.model import load_model
from almanac.training.calibration import calibrate
from almanac.usecase import load as load_use_case

Array = npt.NDArray[np.float64]


def deviations(run: Path) -> dict[str, Array]:
    """Return the deviations of each target with intervals in the folds after the first, shape (folds - 1, bands)."""
    metrics = json.loads((run / "metrics.json").read_text())
    usecase = load_use_case(Path("usecases") / f"{metrics['use_case']}.yaml")
    table = pl.read_parquet(run / "model" / OUT_OF_FOLD)
    deviations_of = {}
    for target in usecase.targets:
        model = load_model(run / "model" / target.name)
        if model.intervals is None:
            continue
        rows = table.filter(pl.col("target") == target.name)
        y, prediction, last, fold = (rows[name].to_numpy() for name in ("y", "prediction", "last", "fold"))
        edges, level = usecase.evaluation.bands.edges, usecase.training.intervals.level
        place = np.where(np.isfinite(last), np.searchsorted(edges, last, side="left"), -1)
        spans = []
        for number in np.unique(fold)[1:]:
            past, ahead = fold < number, fold == number
            made = calibrate(
                y[past], prediction[past], last[past], level=level, bins=usecase.training.intervals.bins,
                by=model.intervals.by, edges=edges, clip=model.intervals.clip,
            )  # fmt: skip
            lower, upper = made.apply(last[ahead], prediction[ahead])
            covered = (y[ahead] >= lower) & (y[ahead] <= upper)
            spans.append([covered[place[ahead] == band].mean() - level for band in range(len(edges) + 1)])
        deviations_of[target.name] = np.array(spans)
    return deviations_of


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
    found: dict[str, Array] = {}
    for run in arguments.runs:
        found |= deviations(run)
    share = returned(found)
    if arguments.json:
        document: dict[str, Any] = {"returned": share, "deviations": {name: d.tolist() for name, d in found.items()}}
        print(json.dumps(document))
        return
    for name, spans in found.items():
        for number, bands in enumerate(spans, 2):
            print(f"{name:12} fold {number}  " + "  ".join(f"{100 * band:+5.1f}" for band in bands))
    print(f"{share:.2f} of a deviation returns in the next fold, in {sum(d.shape[1] for d in found.values())} bands")


if __name__ == "__main__":
    main()
