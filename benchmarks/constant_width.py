"""Compare the coverage by band of intervals of constant width and of the model's own, on the test span of a run.

    python -m benchmarks.constant_width runs/air_quality/latest

The width is the usual one of split-conformal intervals: for every row the same quantile of the absolute out-of-fold
residuals, at the level of the use case (Lei et al., 2018, doi:10.1080/01621459.2017.1307116).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from almanac.core.files import read_json
from almanac.evaluation.groups import bands_of
from almanac.model.directory import OUT_OF_FOLD
from almanac.usecase import UseCase, load_text

#: Target, band, rows, share covered by constant width, share covered by the model's intervals.
Row = tuple[str, str, int, float, float]


def coverages(run: Path) -> Iterator[Row]:
    """Yield the coverages of each target with intervals, over all rows and by band of the last known value."""
    usecase = load_text((run / "governance" / "usecase.json").read_text(), "usecase.json")
    residuals = pl.read_parquet(run / "model" / OUT_OF_FOLD)
    scored = pl.read_parquet(run / "predictions.parquet")
    for name, entry in read_json(run / "metrics.json")["targets"].items():
        if "coverage" in entry:
            of = pl.col("target") == name
            yield from _of_target(usecase, name, residuals.filter(of), scored.filter(of))


def _of_target(usecase: UseCase, name: str, residuals: pl.DataFrame, scored: pl.DataFrame) -> Iterator[Row]:
    sizes = residuals.select((pl.col("y") - pl.col("prediction")).abs()).drop_nans().to_series().to_numpy()
    level = min(np.ceil((sizes.size + 1) * usecase.training.intervals.level) / sizes.size, 1.0)
    width = float(np.quantile(sizes, level, method="higher"))
    constant = scored.select((pl.col("y") - pl.col("prediction")).abs() <= width).to_series().to_numpy()
    own = scored.select(pl.col("y").is_between("lower", "upper")).to_series().to_numpy()
    bands = bands_of(usecase, scored["last"].fill_null(float("nan")).to_numpy()).labels
    for band in ("all", *dict.fromkeys(sorted(bands))):
        rows = np.ones(bands.shape, dtype=np.bool_) if band == "all" else bands == band
        yield name, band, int(rows.sum()), float(constant[rows].mean()), float(own[rows].mean())


def main() -> None:
    """Print the coverages of a run."""
    parser = argparse.ArgumentParser("python -m benchmarks.constant_width", description=__doc__)
    parser.add_argument("run", type=Path, help="directory of a training")
    print(f"{'target':<16}{'band':<12}{'rows':>8}{'constant':>12}{'own':>8}")
    for name, band, rows, constant, own in coverages(parser.parse_args().run):
        print(f"{name:<16}{band:<12}{rows:>8,}{constant:>12.1%}{own:>8.1%}")


if __name__ == "__main__":
    main()
