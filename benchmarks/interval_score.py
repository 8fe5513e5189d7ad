"""Interval score on the folds by widths that follow from the forecast, and by those of trees.

    python -m benchmarks.interval_score runs/air_quality/latest [--json]

It is the mean over the folds after the first, by trees and intervals of the folds before them, as training compares the
two where `training.intervals.width` is `trees`. The run must be of this version of the use case.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl

from almanac.core.files import read_json
from almanac.model.directory import OUT_OF_FOLD
from almanac.training.dataset import make_problem, read_features
from almanac.training.folds import make_folds
from almanac.training.target_intervals import FoldRows
from almanac.usecase import load as load_use_case


def scores(run: Path) -> dict[str, dict[str, float]]:
    """Return both scores of each target of a run directory that is a regression of one series."""
    metrics = read_json(run / "metrics.json")
    usecase = load_use_case(Path("usecases") / f"{metrics['use_case']}.yaml")
    features = read_features(usecase, run / "features.parquet")
    table, found = pl.read_parquet(run / "model" / OUT_OF_FOLD), {}
    for target in usecase.targets:
        if target.task == "classification":
            continue
        names = read_json(run / "model" / target.name / "features.json")["names"]
        problem = make_problem(usecase, features, names, target)
        rows = np.concatenate([fold.valid for fold in make_folds(usecase, problem)])
        kept = table.filter(pl.col("target") == target.name)
        folds = FoldRows(usecase, problem, rows, kept["prediction"].to_numpy(), kept["fold"].to_numpy())
        found[target.name] = {"forecast": folds.score(trees=False), "trees": folds.score(trees=True)}
    return found


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    found = scores(arguments.run)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, pair in found.items():
        change = pair["trees"] / pair["forecast"] - 1.0
        print(f"{name:20} forecast {pair['forecast']:8.3f}  trees {pair['trees']:8.3f}  {change:+.1%}")


if __name__ == "__main__":
    main()
