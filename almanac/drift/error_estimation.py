"""The error of a model: estimated before the truth arrives, and realised when it does.

The estimate comes from a model of the loss: boosted trees learn, on out-of-fold residuals, which rows are hard. It sees
a harder window coming, but not a changed relation between features and target; only the realised error shows that.
Both are judged against the blocks of the reference, so that each carries an interval that was earned there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr, stdtrit

from almanac.core.errors import DriftError
from almanac.core.files import canonical_json, write_bytes
from almanac.drift.counting.histogram import Floats
from almanac.drift.documents import read_document

if TYPE_CHECKING:
    import lightgbm as lgb

#: Version of the JSON form.
FORMAT = 1
_SPREADS = ("skill", "estimates", "errors")
_FOLDS = 5
_LEAST_ROWS = 200
_ROUNDS = 60
#: Probability of the intervals.
_LEVEL = 0.9
# Coarse bins and a third of the features at a time: as good on the later folds as finer ones at seven times the cost.
_PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "max_bin": 31,
    "feature_fraction": 0.3,
    "min_data_in_leaf": 100,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    # One thread: more would differ in speed alone, and fight over cores with the run around them.
    "num_threads": 1,
    "seed": 0,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Spread:
    """The distribution of the logarithm of a metric over blocks of the reference.

    Attributes:
        mean: mean of the logarithm.
        deviation: standard deviation of the logarithm.
        blocks: number of blocks.
    """

    mean: float
    deviation: float
    blocks: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the factors between which the metric of a new block lies with probability `level`."""
        reach = float(stdtrit(self.blocks - 1, (1 + level) / 2)) * self._new_deviation()
        return float(np.exp(self.mean - reach)), float(np.exp(self.mean + reach))

    def p_value(self, value: float) -> float:
        """Return the chance of a new block with at least this value, while nothing changes."""
        # A window without any error has no logarithm.
        distance = (np.log(max(value, 1e-300)) - self.mean) / self._new_deviation()
        return float(stdtr(self.blocks - 1, -distance))

    def _new_deviation(self) -> float:
        # A new block strays from the true mean, and the mean that was learnt from so many blocks does as well.
        return max(self.deviation, 0.01) * float(np.sqrt(1 + 1 / self.blocks))


@dataclass(frozen=True)
class WindowError:
    """The mean absolute and root mean squared error of a window.

    Attributes:
        kind: `estimated` or `realised`.
        rows: rows that it is computed from.
        mae: mean absolute error, in units of the target.
        rmse: root mean squared error, in units of the target.
        mae_interval: interval in which the realised mae is expected, at the level of the model; the mae itself twice
            if realised.
        ratio: mae over the mean absolute error of the reference.
        p_value: chance of so large a ratio in an undrifted window.
    """

    kind: str
    rows: int
    mae: float
    rmse: float
    mae_interval: tuple[float, float]
    ratio: float
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON."""
        return {**self.__dict__, "mae_interval": list(self.mae_interval)}


@dataclass(frozen=True)
class LossModel:
    """A model of the loss; see `fit_loss`.

    Attributes:
        names: features, in the order of the columns of X.
        absolute: booster of the absolute error, as LightGBM text.
        squared: booster of the squared error, as LightGBM text.
        reference_mae: mean absolute error of the out-of-fold residuals.
        skill: block error over estimated block error, on blocks that the estimate had not seen.
        estimates: estimated error of such blocks over the reference's.
        errors: realised error of the blocks over the reference's.
        level: probability of intervals.
    """

    names: tuple[str, ...]
    absolute: str
    squared: str
    reference_mae: float
    skill: Spread
    estimates: Spread
    errors: Spread
    level: float = 0.9

    def estimate(self, X: Floats) -> WindowError:
        """Return the expected error of a window's rows (n, f), before the truth is known.

        Raises:
            DriftError: no rows, or other columns.
        """
        _check(X, self.names)
        # A booster may predict a negative loss.
        mae = float(np.maximum(_predict(_booster(self.absolute), X), 0).mean()) * float(np.exp(self.skill.mean))
        squared = float(np.maximum(_predict(_booster(self.squared), X), 0).mean())
        raw = mae / float(np.exp(self.skill.mean))
        low, high = self.skill.interval(self.level)
        ratio = raw / self.reference_mae
        interval = (raw * low, raw * high)
        # Two models that were fitted apart may contradict each other; a root mean square is never below the mean.
        rmse = max(float(np.sqrt(squared)), mae)
        return WindowError(
            "estimated", len(X), mae, rmse, interval, mae / self.reference_mae, self.estimates.p_value(ratio)
        )

    def realised(self, truth: Floats, prediction: Floats) -> WindowError:
        """Return the realised error of a window (n,); rows without truth are left out.

        Raises:
            DriftError: other lengths, or no row with both.
        """
        if truth.shape != prediction.shape:
            raise DriftError(f"truth has shape {truth.shape} and prediction {prediction.shape}; they must agree")
        residual = truth - prediction
        residual = residual[np.isfinite(residual)]
        if not len(residual):
            raise DriftError("no row has both a truth and a prediction; there is no error to compute")
        mae = float(np.abs(residual).mean())
        rmse = float(np.sqrt((residual**2).mean()))
        ratio = mae / self.reference_mae
        return WindowError("realised", len(residual), mae, rmse, (mae, mae), ratio, self.errors.p_value(ratio))

    def to_json(self) -> dict[str, Any]:
        """Return the model as a JSON document; the boosters are LightGBM text in it."""
        spreads = {name: list(getattr(self, name).__dict__.values()) for name in _SPREADS}
        return {"format": FORMAT, "kind": "loss model", **self.__dict__, **spreads, "names": list(self.names)}

    def write(self, path: Path) -> None:
        """Write the model as JSON, whole or not at all."""
        write_bytes(path, canonical_json(self.to_json()) + b"\n")


def read_loss(path: Path) -> LossModel:
    """Return the loss model in the JSON file at `path`.

    Raises:
        DriftError: no such file, of another kind or version, or damaged.
    """
    document = read_document(path)
    if not isinstance(document, dict) or (document.get("kind"), document.get("format")) != ("loss model", FORMAT):
        raise DriftError(
            f"{path} is no loss model of format {FORMAT}; fit it again with almanac.drift.error_estimation.fit_loss"
        )
    try:
        spreads: dict[str, Any] = {name: Spread(*document[name]) for name in _SPREADS}
        plain = {name: document[name] for name in ("absolute", "squared", "reference_mae", "level")}
        return LossModel(names=tuple(document["names"]), **plain, **spreads)
    except (KeyError, TypeError) as error:
        raise DriftError(f"{path} is incomplete or damaged ({type(error).__name__}: {error})") from error


def fit_loss(X: Floats, residual: Floats, names: Sequence[str], *, block_rows: int = 720) -> LossModel:
    """Return a model of the loss.

    Args:
        X: features of the rows (n, f), in order of time.
        residual: out-of-fold residuals (n,): truth less a prediction by a model that had not seen the row; NaN rows
            are left out.
        names: names of the features.
        block_rows: rows of a window to come; intervals and p-values are calibrated on blocks of this length.

    Raises:
        DriftError: other shapes, fewer than 200 rows, or fewer than ten blocks.
    """
    _check(X, names)
    if residual.shape != (len(X),):
        raise DriftError(f"residual has shape {residual.shape}; X has {len(X)} rows")
    finite = np.isfinite(residual)
    X, loss = X[finite], np.abs(residual[finite])
    blocks = np.arange(len(X)) // block_rows
    # The rows left over at the end belong to the last whole block.
    blocks = np.minimum(blocks, max(len(X) // block_rows - 1, 0))
    count = int(blocks[-1]) + 1 if len(X) else 0
    if len(X) < _LEAST_ROWS or count < 2 * _FOLDS:
        raise DriftError(
            f"{len(X)} residuals make {count} blocks of {block_rows} rows; at least {2 * _FOLDS} blocks are needed"
        )
    # Whole blocks: rows next to each other are too alike to be on both sides.
    folds = blocks * _FOLDS // count
    unseen = np.empty(len(X))
    for fold in range(_FOLDS):
        unseen[folds == fold] = _predict(_train(X[folds != fold], loss[folds != fold], names), X[folds == fold])
    # A tree may predict an error of zero, and the ratio of errors would have no end.
    unseen = np.maximum(unseen, 1e-3 * loss.mean())
    realised, estimated = (np.bincount(blocks, weights=w) / np.bincount(blocks) for w in (loss, unseen))
    # A block without any error has no logarithm.
    realised = np.maximum(realised, 1e-12)
    return LossModel(
        names=tuple(names),
        absolute=_train(X, loss, names).model_to_string(),
        squared=_train(X, loss**2, names).model_to_string(),
        reference_mae=float(max(loss.mean(), 1e-12)),
        skill=_spread(realised / estimated),
        estimates=_spread(estimated / loss.mean()),
        errors=_spread(realised / loss.mean()),
        level=_LEVEL,
    )


def _spread(ratios: Floats) -> Spread:
    logs = np.log(ratios)
    return Spread(float(logs.mean()), float(logs.std(ddof=1)), len(logs))


def _train(X: Floats, loss: Floats, names: Sequence[str]) -> "lgb.Booster":
    import lightgbm as lgb

    return lgb.train(_PARAMETERS, lgb.Dataset(X, loss, feature_name=list(names)), _ROUNDS)


def _predict(booster: "lgb.Booster", X: Floats) -> Floats:
    # LightGBM keeps the number of threads for the whole process: a call that leaves it open changes it under a
    # training in another thread, whose buffers were made for one.
    return np.asarray(booster.predict(X, num_threads=1), dtype=np.float64)


def _booster(text: str) -> "lgb.Booster":
    import lightgbm as lgb

    try:
        return lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise DriftError(f"the loss model holds no LightGBM text ({error})") from error


def _check(X: Floats, names: Sequence[str]) -> None:
    if X.ndim != 2 or X.shape[1] != len(names):
        raise DriftError(f"X has shape {X.shape}; it must have the {len(names)} columns {', '.join(names)}")
    if not len(X):
        raise DriftError("X has no rows; there is no error to estimate")
