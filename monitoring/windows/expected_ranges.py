"""Expected range of each metric of a window, estimated from the model's out-of-fold predictions."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtr

from almanac.drift.error_estimation import LossModel, Spread, read_loss
from almanac.features.classes import as_classes
from almanac.model.directory import LOSS, OUT_OF_FOLD
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_timedelta

#: Fewer blocks have no spread worth the name.
LEAST_BLOCKS = 6


@dataclass(frozen=True)
class ShareSpread:
    """The distribution of a share, such as a coverage, over blocks.

    Attributes:
        mean: mean over the blocks.
        deviation: standard deviation over the blocks.
        blocks: number of blocks.
    """

    mean: float
    deviation: float
    blocks: int

    def p_value(self, share: float) -> float:
        """Return the chance of a new block's share at most as large, while nothing changes."""
        # Coverage that never strayed in a few blocks will do so in more of them.
        deviation = max(self.deviation, 0.005) * float(np.sqrt(1 + 1 / self.blocks))
        # Student's t, as the deviation is an estimate from a few blocks.
        return float(stdtr(self.blocks - 1, (share - self.mean) / deviation))


@dataclass(frozen=True)
class ExpectedRanges:
    """The expected metrics of one target's windows.

    Attributes:
        relative: error over the error of persistence, in windows of out-of-fold predictions; None where too few.
        coverage: coverage of the intervals in such windows; None where too few, or without intervals.
        loss: model of the loss; None where there is none.
        missing_loss: the reason why there is no model of the loss.
    """

    relative: Spread | None
    coverage: ShareSpread | None
    loss: LossModel | None
    missing_loss: str | None = None


def read_expected_ranges(usecase: UseCase, directory: Path, model: Model) -> ExpectedRanges:
    """Return the expected ranges of a model directory.

    Args:
        usecase: the use case.
        directory: the run's model directory, with the out-of-fold predictions.
        model: one target's model.

    Raises:
        DriftError: a model of the loss that cannot be read.
    """
    loss = read_loss(directory / model.name / LOSS) if LOSS in model.directory.files else None
    missing_loss = (
        None if loss else f"{model.name} has no {LOSS}: an earlier release, or too few rows to learn its errors"
    )
    path = directory / OUT_OF_FOLD
    if not path.exists():
        return ExpectedRanges(None, None, loss, missing_loss)
    target = usecase.target(model.name)
    known = pl.col("y").is_finite() & pl.col("prediction").is_finite()
    rows = pl.read_parquet(path).filter((pl.col("target") == target.name) & known)
    ranges = expected_ranges(usecase, target, rows)
    return replace(ranges, loss=loss, missing_loss=missing_loss)


def expected_ranges(usecase: UseCase, target: Target, rows: pl.DataFrame) -> ExpectedRanges:
    """Return the expected ranges from out-of-fold rows: time, y, prediction, last and both ends of the interval.

    Those of `y` and `prediction` are finite.
    """
    blocks = _blocks(usecase, rows)
    return ExpectedRanges(_relative(target, rows, blocks), _coverage(rows, blocks), None)


def _blocks(usecase: UseCase, rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of each row's block (n,), counting full windows only; -1 for the rest."""
    time = rows[usecase.time.column].cast(pl.Datetime("us")).to_physical().to_numpy()
    if not time.size:
        return np.empty(0, dtype=np.int64)
    length = int(to_timedelta(usecase.drift.window).total_seconds() * 1e6)
    number = (time - time.min()) // length
    counts = np.bincount(number)
    # The first and the last block are usually cut off, and would stray more than full ones.
    full = counts >= 0.5 * counts.max()
    return np.where(full[number], number, -1)


def _relative(target: Target, rows: pl.DataFrame, blocks: npt.NDArray[np.int64]) -> Spread | None:
    y, prediction = (rows[name].to_numpy() for name in ("y", "prediction"))
    last = as_classes(rows["last"].to_numpy(), target.above)
    ratios = []
    for block in np.unique(blocks[blocks >= 0]):
        inside = (blocks == block) & np.isfinite(last)
        persistence = float(np.abs(last - y)[inside].mean()) if inside.any() else 0.0
        if persistence > 0:
            ratios.append(float(np.abs(prediction - y)[inside].mean()) / persistence)
    if len(ratios) < LEAST_BLOCKS:
        return None
    # Ratios of errors are skewed; their logarithms are close to normal.
    logs = np.log(np.maximum(ratios, 1e-12))
    return Spread(float(logs.mean()), float(logs.std(ddof=1)), len(logs))


def _coverage(rows: pl.DataFrame, blocks: npt.NDArray[np.int64]) -> ShareSpread | None:
    # Models of earlier releases lack the ends, and those of probabilities have none.
    if "lower" not in rows.columns or rows["lower"].is_null().all():
        return None
    inside = rows.select(pl.col("y").is_between("lower", "upper")).to_series().to_numpy()
    shares = np.array([inside[blocks == block].mean() for block in np.unique(blocks[blocks >= 0])])
    if len(shares) < LEAST_BLOCKS:
        return None
    return ShareSpread(float(shares.mean()), float(shares.std(ddof=1)), len(shares))
