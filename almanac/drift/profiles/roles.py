"""The roles of columns: features, target, prediction, and the residual of both."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from almanac.drift.counting.histogram import Numeric

Kind = Literal["number", "category"]
#: The column computed from target and prediction.
RESIDUAL = "residual"


class _Rows(Protocol):
    def number(self, name: str, /) -> Numeric: ...


@dataclass(frozen=True)
class Roles:
    """The target and the prediction of a table; other columns are features."""

    target: str | None = None
    prediction: str | None = None

    def has_residual(self) -> bool:
        """Return whether a residual can be computed."""
        return self.target is not None and self.prediction is not None

    def role(self, name: str) -> str:
        """Return the role of a column: feature, target, prediction or residual."""
        if name == RESIDUAL and self.has_residual():
            return "residual"
        return {self.target: "target", self.prediction: "prediction"}.get(name, "feature")

    def sources(self, name: str) -> list[str]:
        """Return the columns of the table that a watched column is computed from."""
        if self.role(name) == "residual":
            assert self.target is not None and self.prediction is not None
            return [self.target, self.prediction]
        return [name]

    def numbers(self, batch: _Rows, name: str) -> Numeric:
        """Return a numeric watched column (n,)."""
        if self.role(name) == "residual":
            assert self.target is not None and self.prediction is not None
            return np.asarray(batch.number(self.target) - batch.number(self.prediction), np.float64)
        return batch.number(name)
