"""The learning problem of one target, and the backend interface for growing LightGBM boosters on its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array, Mask
from almanac.model.target_history import TargetHistory
from almanac.training.binned import BinnedRows
from almanac.training.entity_fits import EntityFits
from almanac.usecase.training_section import Target

Rows = npt.NDArray[np.intp]

#: Rows of the feature matrix that are processed at a time, since the matrix may lie on the disk.
BLOCK = 1 << 16


class TreeGrower(Protocol):
    """Grows LightGBM boosters on rows of the feature matrix."""

    def __call__(
        self, rows: Rows, label: Array, parameters: dict[str, Any], rounds: int, seeds: list[int]
    ) -> list[Any]:
        """Return one booster for each seed.

        Args:
            rows: ascending positions of the training rows, shape (m,).
            label: the values to learn, shape (m,).
            parameters: LightGBM's.
            rounds: trees of each booster.
            seeds: random seeds.
        """


def _quiet(text: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Problem:
    """The data that a candidate learns from.

    Attributes:
        target: the target.
        names: ordered feature names.
        X: features, shape (n, f).
        y: the target's value, NaN where unknown, its logarithm on a scale of logarithms, 0 or 1 for a classification;
            shape (n,).
        last: the last known value of the target's column, NaN where missing; shape (n,).
        last_name: the feature that holds it, imputed where that is declared; None where no feature does.
        baselines: forecasts of the baselines by name, NaN where there is none, each of shape (n,).
        time: prediction time, µs since the epoch, shape (n,).
        train: mask of the rows of the training span, shape (n,).
        history: returns the newest known value of the target's column at each row, for candidates of time series.
        steps_ahead: grid steps from the newest known value to the target.
        season_length: length of the seasonal baseline's season in µs.
        grower: grows LightGBM's boosters on a backend; in this process when None.
        binned: LightGBM's copies of the rows, for this process.
        fits: fits models of each entity.
        report: called with a line for people while a candidate is fitted.
        age_name: the feature that is positive where the last known value was imputed; None where no feature tells.
    """

    target: Target
    names: list[str]
    X: Array
    y: Array
    last: Array
    last_name: str | None
    baselines: Mapping[str, Array]
    time: npt.NDArray[np.int64]
    train: Mask
    history: Callable[[], TargetHistory]
    steps_ahead: int
    season_length: int
    grower: TreeGrower | None = None
    binned: BinnedRows = field(default_factory=BinnedRows, compare=False)
    fits: EntityFits = field(default_factory=EntityFits, compare=False)
    report: Callable[[str], None] = field(default=_quiet, compare=False)
    age_name: str | None = None

    def last_read(self, rows: Rows) -> Array | None:
        """Return the last known value of some rows as the features show it, NaN where it was imputed; shape (m,)."""
        if self.last_name is None:
            return None
        last: Array = self.X[rows, self.names.index(self.last_name)].copy()
        if self.age_name is not None:
            last[self.X[rows, self.names.index(self.age_name)] > 0] = np.nan
        return last

    @property
    def classification(self) -> bool:
        """Whether the target is a probability."""
        return self.target.task == "classification"

    @property
    def truth(self) -> Array:
        """The target's value in the unit of its column, or its class, shape (n,)."""
        return np.exp(self.y) if self.target.scale == "log" else self.y

    @property
    def known(self) -> Mask:
        """Mask of the rows of the training span whose target is known."""
        return self.train & np.isfinite(self.y)


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a candidate is fitted to.

    Attributes:
        problem: the learning problem.
        rows: ascending positions of the rows, shape (m,).
    """

    problem: Problem
    rows: Rows

    @property
    def X(self) -> Array:  # noqa: N802
        """Features of the rows, shape (m, f)."""
        return self.problem.X[self.rows]

    @property
    def y(self) -> Array:
        """Target of the rows, shape (m,)."""
        return self.problem.y[self.rows]
