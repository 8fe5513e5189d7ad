"""Answers of the service, before a protocol writes them, and those who take the predicted rows."""

from dataclasses import dataclass
from typing import Protocol

from almanac.core.arrays import Array
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import Predictions


class Observer(Protocol):
    """Takes the predicted rows; see `serving.operations.live_drift`."""

    def see(self, model: Model, rows: Array) -> None:
        """Take rows (n, f) in the order of the model's features."""
        ...

    def see_row(self, model: Model, row: Array) -> None:
        """Take one row (f,), which is only valid during the call."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions by target, in the order of the bundle, with warnings."""

    bundle: Bundle
    outcomes: dict[str, Predictions]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions (n, f) and base value of each target, with the predictions that they explain."""

    bundle: Bundle
    parts: dict[str, tuple[Array, float, Array]]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.parts.values()))[2])
